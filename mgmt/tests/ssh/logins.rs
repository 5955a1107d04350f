//! Every way to be let in: shells, noise, jumps, passwords, passphrases, and becoming another user.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::process::Command;
use std::sync::{Arc, Mutex};

use mgmt::sys::process::Status;
use mgmt::sys::ssh::{Answer, Answers, Endpoint, Executable, Link, LinkError, LinkProblem, Question, SshOptions};
use zeroize::Zeroizing;

use crate::hosts::{Net, PASSWORD, Setup, address, inside, run};
use crate::link::{run as run_there, text};

/// Gives these answers, one after the other, to questions that contain these texts.
#[derive(Default)]
struct Script {
    expected: Mutex<VecDeque<(&'static str, Option<&'static str>)>>,
    unexpected: Mutex<Vec<Question>>,
}

impl Script {
    fn new(expected: &[(&'static str, Option<&'static str>)]) -> Arc<Script> {
        Arc::new(Script { expected: Mutex::new(expected.iter().copied().collect()), ..Script::default() })
    }

    /// All questions came, and no others.
    #[track_caller]
    fn is_done(&self) {
        let (left, more) = (self.expected.lock().unwrap(), self.unexpected.lock().unwrap());
        assert!(left.is_empty() && more.is_empty(), "not asked: {left:?}; asked: {more:?}");
    }
}

impl Answers for Script {
    fn answer(&self, question: Question) -> Answer {
        let mut expected = self.expected.lock().unwrap();
        let answer = match expected.front() {
            Some((text, answer)) if question.text.contains(text) => {
                let answer = answer.map(|answer| Zeroizing::new(answer.to_owned()));
                expected.pop_front();
                answer
            }
            _ => {
                self.unexpected.lock().unwrap().push(question);
                None
            }
        };
        Box::pin(async move { answer })
    }
}

/// The words that `id -un` and this text print there.
async fn id(endpoint: &Endpoint, options: &SshOptions) -> Result<String, LinkError> {
    let program = Executable::at("/bin/sh").await.unwrap();
    let link = Link::open(endpoint, options, &program).await?;
    let words: Vec<OsString> = text(&["-c", "id -un; printf %s \"$1\"; cat", "sh", "it's $1\\n!"]);
    let ended = run_there(&link, &words, &[], b" and input").await?;
    assert_eq!(ended.status, Status::Exit(0), "{ended:?}");
    link.close().await;
    Ok(String::from_utf8(ended.stdout).unwrap())
}

fn is(user: &str) -> String {
    format!("{user}\nit's $1\\n! and input")
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn every_login_shell_and_the_noise_of_its_files_and_banners_are_survived() {
    if !inside(module_path!(), "every_login_shell_and_the_noise_of_its_files_and_banners_are_survived") {
        return;
    }
    let net = Net::new();
    for shell in ["/bin/sh", "/bin/bash", "/usr/bin/zsh", "/usr/bin/fish", "/bin/tcsh"] {
        let prepare = r#"
            printf 'Do not enter\nmgmt:1:hello 0 root\n' >"$K/banner"
            for home in /root /home/ann; do
              mkdir -p "$home/.config/fish"
              for rc in .bashrc .zshenv .cshrc .config/fish/config.fish; do echo 'echo "mgmt:0:end"; printf partial' >"$home/$rc"; done
            done
        "#;
        let sshd = "Banner /mnt/kit/h1/banner\n".replace("h1", &format!("h{}", 1 + net.count()));
        let host = net.host(Setup { shell, sshd, prepare: prepare.to_owned(), ..Setup::default() });
        for user in ["ann", "root"] {
            let found = id(&host.at(user), &net.options()).await;
            assert_eq!(found.unwrap_or_else(|error| panic!("{shell}: {error}")), is(user), "{shell}");
        }
        host.until_nothing_is_left().await;
    }
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_host_that_has_only_busybox_or_lacks_most_programs_is_enough() {
    if !inside(module_path!(), "a_host_that_has_only_busybox_or_lacks_most_programs_is_enough") {
        return;
    }
    let net = Net::new();
    let busybox = r#"
        cp /bin/busybox /run/busybox
        for name in dash id uname ls mkdir chmod df tail timeout gzip sha256sum mktemp find grep rm mv cat touch; do
          mount --bind /run/busybox "$(readlink -f "$(command -v $name)")"
        done
        for name in getconf ldd getent; do mount --bind /dev/null "$(command -v $name)"; done
    "#;
    let bare = r#"
        for name in getconf ldd getent timeout gzip sha256sum df find touch; do mount --bind /dev/null "$(command -v $name)"; done
    "#;
    for prepare in [busybox, bare] {
        let host = net.host(Setup { prepare: prepare.to_owned(), ..Setup::default() });
        for user in ["ann", "root"] {
            let found = id(&host.at(user), &net.options()).await;
            assert_eq!(found.unwrap_or_else(|error| panic!("{error}")), is(user));
        }
        host.until_nothing_is_left().await;
    }
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_host_with_one_session_for_each_connection_is_worked_on_by_several() {
    if !inside(module_path!(), "a_host_with_one_session_for_each_connection_is_worked_on_by_several") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup { sshd: "MaxSessions 1\n".to_owned(), ..Setup::default() });
    assert_eq!(id(&host.at("ann"), &net.options()).await.unwrap(), is("ann"));
    host.until_nothing_is_left().await;
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_host_is_reached_through_another_one() {
    if !inside(module_path!(), "a_host_is_reached_through_another_one") {
        return;
    }
    let net = Net::new();
    let (between, host) = (net.host(Setup::default()), net.host(Setup::default()));
    let path = net.dir().join("config");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("Host far\n HostName {}\n ProxyJump bob@h1\n{config}", address(2))).unwrap();
    assert_eq!(id(&"ann@far".parse().unwrap(), &net.options()).await.unwrap(), is("ann"));
    assert!(between.log().contains("Accepted publickey for bob"), "{}", between.log());
    assert!(host.log().contains(&format!("Accepted publickey for ann from {}", address(1))), "{}", host.log());
    // The way is cut: it is the host in between that can't be reached.
    between.cut(true);
    let error = id(&"ann@far".parse().unwrap(), &net.options()).await.unwrap_err();
    assert!(matches!(error.problem, LinkProblem::Unreachable { .. }), "{error}");
    host.until_nothing_is_left().await;
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_password_of_an_address_or_of_a_person_lets_in_and_is_nowhere_to_be_seen() {
    if !inside(module_path!(), "a_password_of_an_address_or_of_a_person_lets_in_and_is_nowhere_to_be_seen") {
        return;
    }
    let net = Net::new();
    let sshd = "PasswordAuthentication yes\nPubkeyAuthentication no\n".to_owned();
    let host = net.host(Setup { sshd, ..Setup::default() });
    let mut options = net.options();
    let with = |password: &str| Endpoint::with_password(&format!("ssh://ann:{password}@{}:22", address(1))).unwrap();
    let program = Executable::at("/bin/sh").await.unwrap();
    let link = Link::open(&with(PASSWORD), &options, &program).await.unwrap_or_else(|error| panic!("{error}"));
    let running = link.start(&text(&["-c", "cat"]), &[], b"").await.unwrap();
    for place in ["cmdline", "environ"] {
        let all: Vec<u8> = std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .flat_map(|entry| std::fs::read(entry.path().join(place)).unwrap_or_default())
            .collect();
        assert!(!String::from_utf8_lossy(&all).contains(PASSWORD), "{place}");
    }
    assert!(!format!("{link:?}").contains(PASSWORD));
    drop(running);
    link.close().await;
    let error = id(&with("wrong"), &options).await.unwrap_err();
    assert!(matches!(error.problem, LinkProblem::Refused { .. }) && !error.to_string().contains("wrong"), "{error}");
    let error = id(&host.at("ann"), &options).await.unwrap_err();
    assert!(matches!(error.problem, LinkProblem::Refused { .. }), "{error}");
    // A person types it, the second time right.
    let answers = Script::new(&[("ann@10.78.0.11's password:", Some("wrong")), ("password:", Some(PASSWORD))]);
    options.answers = Some(answers.clone());
    assert_eq!(id(&host.at("ann"), &options).await.unwrap(), is("ann"));
    answers.is_done();
    // That person does not want to.
    let answers = Script::new(&[("password:", None)]);
    options.answers = Some(answers.clone());
    let error = id(&host.at("ann"), &options).await.unwrap_err();
    assert!(error.to_string().contains("ssh asked `ann@10.78.0.11's password:`"), "{error}");
    host.until_nothing_is_left().await;
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_person_is_asked_for_a_passphrase_and_about_an_unknown_key() {
    if !inside(module_path!(), "a_person_is_asked_for_a_passphrase_and_about_an_unknown_key") {
        return;
    }
    let net = Net::new();
    let host = net.stranger(Setup::default());
    run(Command::new("ssh-keygen").args(["-q", "-p", "-P", "", "-N", "open", "-f", "/mnt/kit/key"]));
    let mut options = net.options();
    let answers = Script::new(&[("ED25519 key fingerprint is SHA256:", Some("no"))]);
    options.answers = Some(answers.clone());
    let error = id(&host.at("ann"), &options).await.unwrap_err();
    assert!(matches!(error.problem, LinkProblem::UnknownKey { .. }), "{error}");
    answers.is_done();
    let passphrase = ("Enter passphrase for key '/mnt/kit/key'", Some("open"));
    let answers = Script::new(&[("(yes/no", Some("yes")), passphrase]);
    options.answers = Some(answers.clone());
    assert_eq!(id(&host.at("ann"), &options).await.unwrap(), is("ann"));
    answers.is_done();
    // It is known now.
    let answers = Script::new(&[passphrase]);
    options.answers = Some(answers.clone());
    assert_eq!(id(&host.at("ann"), &options).await.unwrap(), is("ann"));
    answers.is_done();
    host.until_nothing_is_left().await;
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn another_user_is_become_by_sudo_with_and_without_a_password() {
    if !inside(module_path!(), "another_user_is_become_by_sudo_with_and_without_a_password") {
        return;
    }
    let net = Net::new();
    let sudoers = "Defaults use_pty\nann ALL=(ALL) NOPASSWD: ALL\nbob ALL=(ALL) ALL\nDefaults lecture=always\nroot ALL=(ALL) ALL\n";
    let host = net.host(Setup { sudoers, shell: "/usr/bin/fish", ..Setup::default() });
    let mut options = net.options();
    options.become_user = Some("root".to_owned());
    assert_eq!(id(&host.at("ann"), &options).await.unwrap(), is("root"));
    // What is copied is root's.
    assert_eq!(host.sh("stat -c %U ~root/.cache/mgmt/executables"), "root");
    assert!(!host.dir.join("home/ann/.cache/mgmt").exists());
    // One who is that user already needs no sudo.
    host.sh("mount --bind /dev/null /usr/bin/sudo");
    assert_eq!(id(&host.at("root"), &options).await.unwrap(), is("root"));
    let error = id(&host.at("bob"), &options).await.unwrap_err();
    assert!(matches!(error.problem, LinkProblem::Become { .. }), "{error}");
    assert!(error.to_string().contains("can't become root there"), "{error}");
    host.until_nothing_is_left().await;
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn the_password_of_sudo_is_asked_for_once() {
    if !inside(module_path!(), "the_password_of_sudo_is_asked_for_once") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup { sudoers: "bob ALL=(ALL) ALL\n", ..Setup::default() });
    // sudo asks PAM, which must know the accounts of this host only.
    let pam = "auth required pam_unix.so\naccount required pam_unix.so\nsession optional pam_permit.so\n";
    std::fs::write(host.dir.join("pam"), pam).unwrap();
    host.sh(&format!("mount --bind {}/pam /etc/pam.d/sudo", host.dir.display()));
    let mut options = net.options();
    options.become_user = Some("root".to_owned());
    let error = id(&host.at("bob"), &options).await.unwrap_err().to_string();
    assert!(error.contains("a password is required") && error.contains("NOPASSWD"), "{error}");
    let question = "password of sudo, to become root";
    let answers = Script::new(&[(question, Some("wrong")), ("that was wrong", Some(PASSWORD))]);
    options.answers = Some(answers.clone());
    assert_eq!(id(&host.at("bob"), &options).await.unwrap(), is("root"));
    answers.is_done();
    let answers = Script::new(&[(question, None)]);
    options.answers = Some(answers.clone());
    let error = id(&host.at("bob"), &options).await.unwrap_err().to_string();
    assert!(error.contains("a password is required"), "{error}");
    answers.is_done();
    let answers = Script::new(&[(question, Some("1")), ("wrong", Some("2")), ("wrong", Some("3"))]);
    options.answers = Some(answers.clone());
    let error = id(&host.at("bob"), &options).await.unwrap_err().to_string();
    assert!(error.contains("incorrect password"), "{error}");
    answers.is_done();
    // Who may not at all, and a user who is not there.
    options.answers = None;
    let error = id(&host.at("ann"), &options).await.unwrap_err();
    assert!(matches!(error.problem, LinkProblem::Become { .. }), "{error}");
    options.become_user = Some("nope".to_owned());
    let error = id(&host.at("bob"), &options).await.unwrap_err().to_string();
    assert!(error.contains("unknown user nope"), "{error}");
    host.until_nothing_is_left().await;
}

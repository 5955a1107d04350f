//! The connection: opened, the executable copied, verified and run, over any login.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use mgmt::sys::process::Status;
use mgmt::sys::ssh::{Endpoint, Executable, Link, LinkError, LinkProblem, Running, SshOptions, Start};
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::hosts::{Net, Setup, inside};

/// A small program that stands for the executable.
async fn program(path: &str) -> Executable {
    Executable::at(path).await.unwrap()
}

/// What a run has printed, and how it has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) status: Status,
}

/// Runs the executable there with these words, with this input.
pub(crate) async fn run(
    link: &Link,
    words: &[OsString],
    vars: &[(String, OsString)],
    input: &[u8],
) -> Result<Ended, LinkError> {
    let running = link.start(words, vars, &input[..input.len() / 2]).await?;
    to_the_end(running, &input[input.len() / 2..]).await
}

/// What it prints when it gets the rest of its input.
async fn to_the_end(mut running: Running, rest: &[u8]) -> Result<Ended, LinkError> {
    let mut stdin = running.stdin.take().unwrap();
    let rest = rest.to_vec();
    let writing = tokio::spawn(async move { stdin.write_all(&rest).await });
    let (mut stdout, mut stderr) = (Vec::new(), String::new());
    running.stdout.take().unwrap().read_to_end(&mut stdout).await.unwrap();
    running.stderr.take().unwrap().read_to_string(&mut stderr).await.unwrap();
    let _ = writing.await.unwrap();
    Ok(Ended { stdout, stderr, status: running.ended().await? })
}

pub(crate) fn text(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

async fn open(endpoint: &Endpoint, options: &SshOptions, program: &Executable) -> Link {
    Link::open(endpoint, options, program).await.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_program_is_copied_once_and_runs_with_its_words_variables_and_input() {
    if !inside(module_path!(), "a_program_is_copied_once_and_runs_with_its_words_variables_and_input") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup::default());
    let options = net.options();
    let shell = program("/bin/sh").await;
    let link = open(&host.at("ann"), &options, &shell).await;
    assert_eq!((link.there().user.as_str(), link.there().uid), ("ann", 2001));
    let mut words = text(&["-c", "printf '%s\\0' \"$@\" \"$WORD\" \"$(umask)\"; cat; echo err >&2; exit 7", "0"]);
    let odd = ["", "it's", "a\nb", "$(id)", "\\n", "!x"].map(OsString::from);
    words.extend(odd.clone());
    words.push(OsString::from_vec(vec![0xff, 0xfe]));
    let vars = [("WORD".to_owned(), OsString::from("a 'b' \n c"))];
    let ended = run(&link, &words, &vars, b"input\n\0\xff").await.unwrap();
    let mut expected: Vec<u8> = odd.iter().flat_map(|word| [word.as_encoded_bytes(), b"\0"].concat()).collect();
    expected.extend_from_slice(b"\xff\xfe\0a 'b' \n c\x000022\0input\n\0\xff");
    assert_eq!(ended, Ended { stdout: expected, stderr: "err\n".to_owned(), status: Status::Exit(7) });
    // It is in the user's own directory, for that user alone.
    let file = format!("/home/ann/.cache/mgmt/executables/{}/sh", shell.sha256());
    assert_eq!(host.sh(&format!("stat -c '%U %a' {file} /home/ann/.cache/mgmt/executables")), "ann 700\nann 700");
    assert!(!host.sh_as("bob", &format!("cat {file}")).status.success());
    let made = host.sh(&format!("stat -c %i {file}"));
    link.close().await;
    // The next connection uses it.
    let link = open(&host.at("ann"), &options, &shell).await;
    assert_eq!(run(&link, &text(&["-c", "echo $0"]), &[], b"").await.unwrap().stdout, format!("{file}\n").as_bytes());
    assert_eq!(host.sh(&format!("stat -c %i {file}")), made);
    // One that was changed is not used.
    host.sh(&format!("echo x >>{file}"));
    assert_eq!(run(&link, &text(&["-c", "echo ok"]), &[], b"").await.unwrap().stdout, b"ok\n");
    assert_eq!(host.sh(&format!("sha256sum <{file} | cut -d' ' -f1")), shell.sha256());
    link.close().await;
    host.until_nothing_is_left().await;
    assert_eq!(host.sh("ls -A /home/ann/.cache/mgmt/executables /tmp /var/tmp").matches(".new").count(), 0);
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_program_starts_with_the_connection_where_it_is_there_and_after_its_copy_where_it_is_not() {
    if !inside(
        module_path!(),
        "a_program_starts_with_the_connection_where_it_is_there_and_after_its_copy_where_it_is_not",
    ) {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup { shell: "/usr/bin/fish", ..Setup::default() });
    let program = program("/bin/sh").await;
    let mut words = text(&["-c", "printf '%s\\0' \"$@\" \"$WORD\" \"$(umask)\"; cat; exit 7", "0"]);
    words.extend(["", "it's", "a\nb", "$(id)", "\\n", "!x"].map(OsString::from));
    let vars = [("WORD".to_owned(), OsString::from("a 'b' \n c"))];
    // As a script it would be harmful.
    let input = b"touch /home/ann/harm\nagain\n\n\0 $(touch /home/ann/harm)\n";
    let small = Start { words: &words, vars: &vars, early: &input[..30] };
    let large = vec![b'x'; 300_000];
    let mut expected = Vec::new();
    words[3..].iter().for_each(|word| expected.extend([word.as_encoded_bytes(), b"\0"].concat()));
    expected.extend_from_slice(b"a 'b' \n c\x000022\0");
    let file = format!("/home/ann/.cache/mgmt/executables/{}/sh", program.sha256());
    for state in ["cold", "warm", "damaged", "become", "again"] {
        let mut options = net.options();
        match state {
            "damaged" => drop(host.sh(&format!("echo x >>{file}"))),
            "become" => options.become_user = Some("root".to_owned()),
            _ => {}
        }
        for (early, rest) in [(small.early, &input[30..]), (&large[..], &b"y"[..]), (&b""[..], &b"z"[..])] {
            let start = Start { early, ..small };
            let opened = Link::open_and_start(&host.at("ann"), &options, &program, start).await;
            let (link, running) = opened.unwrap_or_else(|error| panic!("{state}: {error}"));
            // Others run beside it.
            let other = run(&link, &text(&["-c", "echo other"]), &[], b"").await.unwrap();
            assert_eq!(other.stdout, b"other\n", "{state}");
            let ended = to_the_end(running, rest).await.unwrap_or_else(|error| panic!("{state}: {error}"));
            assert_eq!(ended.stdout, [&expected, early, rest].concat(), "{state}");
            assert_eq!(ended.status, Status::Exit(7), "{state}");
            // Where the program is the connection, that ends with it.
            match run(&link, &text(&["-c", "echo later"]), &[], b"").await {
                Ok(later) => assert_eq!(later.stdout, b"later\n", "{state}"),
                Err(error) => assert!(matches!(error.problem, LinkProblem::Lost { .. }), "{state}: {error}"),
            }
            link.close().await;
        }
        assert_eq!(host.sh(&format!("sha256sum <{file} | cut -d' ' -f1")), program.sha256(), "{state}");
    }
    assert_eq!(host.sh("ls /home/ann /root"), "/home/ann:\n\n/root:");
    host.until_nothing_is_left().await;
}

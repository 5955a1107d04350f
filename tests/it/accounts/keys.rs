//! Keys with which users may log in: graphs on a simulated host, and the laws in a machine that is booted for that.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;

use mgmt::prelude::*;
use mgmt::resources::SshAuthorizedKeyBuilder;
use mgmt::testing::laws::{self, Law, Subject};
use mgmt::testing::{Fake, Host};

use super::real::{UNDONE, run};
use crate::kit::inside;

const BODY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
const OTHERS: &str = "# mine\nno-pty ssh-rsa AAAAB3 other\n";

fn key(name: &str) -> SshAuthorizedKeyBuilder {
    SshAuthorizedKey::new(name, "ann").r#type("ssh-ed25519").key(BODY)
}

#[test]
fn a_key_comes_after_its_user_wherever_the_home_is_and_is_repaired_there() {
    let host = Host::new();
    let mut run = host.start(|g: &mut Graph| {
        g.add(key("laptop").options(["no-pty", "from=\"10.0.0.0/8\""]).comment("ann@laptop"));
        g.add(User::new("ann").homedir("/srv/ann").createhome(true));
        Ok(())
    });
    run.converge();
    run.assert_applied(["user[ann]", "ssh:authorized_key[laptop]"]);
    let file = "/srv/ann/.ssh/authorized_keys";
    let line = format!("no-pty,from=\"10.0.0.0/8\" ssh-ed25519 {BODY} ann@laptop\n");
    assert_eq!(host.read(file).as_ref(), Some(&line));
    let ann = Some(("ann".to_owned(), "ann".to_owned()));
    assert_eq!((host.mode(file), host.owner(file)), (Some(0o600), ann.clone()));
    assert_eq!((host.mode("/srv/ann/.ssh"), host.owner("/srv/ann/.ssh")), (Some(0o700), ann));
    // Another program removes it: the file that is watched is the one of the new home.
    host.write(file, OTHERS);
    run.converge();
    assert_eq!(host.read(file), Some(format!("{OTHERS}{line}")));
    host.chmod(file, 0o666);
    host.chmod("/srv/ann/.ssh", 0o777);
    host.write(file, format!("{OTHERS}ssh-ed25519 {BODY} ann@laptop\n"));
    run.converge();
    assert_eq!(host.read(file), Some(format!("{OTHERS}{line}")));
    assert_eq!((host.mode(file), host.mode("/srv/ann/.ssh")), (Some(0o600), Some(0o700)));
}

#[test]
fn a_key_that_leaves_the_graph_leaves_nothing_or_what_was_there() {
    let host = Host::new();
    host.add_user("ann", 1500);
    host.make_dir("/home/ann");
    host.add_user("bob", 1501);
    let before = format!("{OTHERS}no-pty ssh-ed25519 {BODY} old\n");
    host.write("/home/bob/.ssh/authorized_keys", &before);
    host.chmod("/home/bob/.ssh", 0o700);
    for path in ["/home/bob", "/home/bob/.ssh", "/home/bob/.ssh/authorized_keys"] {
        host.chown(path, "bob", "bob");
    }
    let mut run = host.start(|g: &mut Graph| {
        g.add(key("new").reverse(true));
        g.add(SshAuthorizedKey::new("bob's", "bob").content(format!("ssh-ed25519 {BODY} new")).reverse(true));
        Ok(())
    });
    run.converge();
    assert_eq!(
        host.read("/home/bob/.ssh/authorized_keys"),
        Some(format!("{OTHERS}ssh-ed25519 {BODY} new\n")),
        "`content` is the whole line"
    );
    run.swap(|_: &mut Graph| Ok(()));
    run.converge();
    assert!(!host.exists("/home/ann/.ssh"));
    assert_eq!(host.read("/home/bob/.ssh/authorized_keys"), Some(before));
}

#[test]
fn a_key_of_a_user_that_does_not_exist_is_waited_for_and_an_absent_one_is_absent() {
    let host = Host::new();
    let mut run = host.start(|g: &mut Graph| {
        g.add(key("wanted"));
        g.add(SshAuthorizedKey::new("gone", "nobody-here").content(format!("ssh-ed25519 {BODY}")).absent());
        Ok(())
    });
    run.pass(Duration::from_secs(5));
    let story = run.story();
    assert!(
        story.contains("the user `ann` does not exist") && story.contains("declare it too, as user[ann]"),
        "{story}"
    );
    host.make_dir("/home/ann");
    host.add_user("ann", 1500);
    run.converge();
    assert!(host.read("/home/ann/.ssh/authorized_keys").unwrap().contains(BODY));
}

#[test]
fn wrong_keys_and_two_resources_for_one_key_are_problems_of_the_graph() {
    let problems = |g: Graph| {
        let problems = g.finish().and_then(|config| mgmt::graph::validate(&config).map(drop)).unwrap_err();
        problems.to_string()
    };
    let new = || SshAuthorizedKey::new("k", "ann");
    for (key, wanted) in [
        (new(), "give `content`, or `type` and `key`"),
        (new().key(BODY), "give `content`, or `type` and `key`"),
        (new().content("no key"), "holds no key"),
        (new().content(format!("ssh-ed25519 {BODY}\nssh-rsa {BODY}")), "is not one line"),
        (new().content(format!("ssh-rsa {BODY}")), "is a key of the type `ssh-ed25519`"),
        (new().content(format!("ssh-ed25519 {BODY}")).comment("x"), "give only one of them"),
        (key("k").options(["no-pty,no-x11-forwarding"]), "give each option by itself"),
        (key("k").comment("a\nssh-rsa AAAA"), "`comment`"),
        (key("k").file("keys"), "`file`"),
    ] {
        let mut g = Graph::new("wrong");
        g.add(key);
        let said = problems(g);
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let mut g = Graph::new("wrong");
    g.add(key("one"));
    g.add(key("two").absent());
    let said = problems(g);
    assert!(said.contains("the key `ssh-ed25519"), "{said}");
}

/// What is in a home directory: modes, owners, contents.
fn home(_: &Path) -> String {
    let describe = |path: &str| {
        let path = Path::new(path);
        let Ok(stat) = fs::symlink_metadata(path) else { return format!("{}: nothing", path.display()) };
        let text = if stat.is_file() { fs::read_to_string(path).unwrap() } else { String::new() };
        format!("{}: {:o} {}:{} {text}", path.display(), stat.permissions().mode(), stat.uid(), stat.gid())
    };
    ["/home/ann/.ssh", "/home/ann/.ssh/authorized_keys"].map(describe).join("\n")
}

fn make_ann() {
    drop(std::process::Command::new("userdel").arg("--remove").arg("ann").output().unwrap());
    run("useradd", &["--uid", "4711", "--create-home", "ann"]);
}

fn make_keys() {
    make_ann();
    fs::create_dir("/home/ann/.ssh").unwrap();
    fs::write("/home/ann/.ssh/authorized_keys", format!("{OTHERS}no-pty ssh-ed25519 {BODY} old\n")).unwrap();
    for (path, mode) in [("/home/ann/.ssh", 0o700), ("/home/ann/.ssh/authorized_keys", 0o600)] {
        chown(path, Some(4711), Some(4711)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_key_keeps_the_laws() {
    inside("accounts::keys::a_key_keeps_the_laws", || {
        let file = "/home/ann/.ssh/authorized_keys";
        let breaks = |subject: Subject| {
            subject
                .observe(home)
                .break_it(move |_| fs::write(file, OTHERS).unwrap())
                .break_it(move |_| fs::write(file, format!("ssh-ed25519 {BODY} {BODY}\n")).unwrap())
                .break_it(move |_| fs::set_permissions(file, fs::Permissions::from_mode(0o664)).unwrap())
                .break_it(move |_| chown(file, Some(0), Some(0)).unwrap())
                .break_it(|_| fs::set_permissions("/home/ann/.ssh", fs::Permissions::from_mode(0o755)).unwrap())
                .break_it(|_| fs::remove_dir_all("/home/ann/.ssh").unwrap())
        };
        let wanted = || key("k").options(["restrict"]).comment("ann");
        let laws = laws::report(breaks(Subject::new(move |_| wanted()).prepare(|_| make_ann()).new_each_time()));
        assert_eq!(laws.broken, []);
        assert_eq!(laws.kept, UNDONE);
        let changed = Subject::new(move |_| wanted()).prepare(|_| make_keys()).observe(home).break_it(move |_| {
            let text = fs::read_to_string(file).unwrap();
            fs::write(file, text.replace("restrict", "no-pty")).unwrap();
        });
        assert_eq!(laws::check(changed), UNDONE);
        let absent = Subject::new(|_| key("k").absent()).prepare(|_| make_keys()).observe(home).break_it(move |_| {
            let text = fs::read_to_string(file).unwrap();
            fs::write(file, format!("{text}ssh-ed25519 {BODY}\n")).unwrap();
        });
        assert_eq!(laws::check(absent), UNDONE);
        assert!(Law::ALL.len() < UNDONE.len());
    });
}

/// Puts something in the place of a directory or of the file in it.
type Put = fn(&str, &str);

#[test]
#[ignore = "needs root, systemd and dbus"]
fn what_a_user_or_another_one_has_put_in_the_way_is_neither_followed_nor_taken_over() {
    inside("accounts::keys::what_a_user_or_another_one_has_put_in_the_way_is_neither_followed_nor_taken_over", || {
        let (dir, file) = ("/home/ann/.ssh", "/home/ann/.ssh/authorized_keys");
        fs::create_dir("/srv/target").unwrap();
        fs::write("/srv/target/secret", "canary").unwrap();
        // With the protection of the kernel, a user could not make such a link; root can.
        let ways: [(&str, Put); 5] = [
            ("a link in place of the directory", |dir, _| {
                fs::remove_dir_all(dir).unwrap();
                symlink("/srv/target", dir).unwrap();
                std::os::unix::fs::lchown(dir, Some(4711), Some(4711)).unwrap();
            }),
            ("a link in place of the file", |_, file| {
                fs::remove_file(file).unwrap();
                symlink("/srv/target/secret", file).unwrap();
                std::os::unix::fs::lchown(file, Some(4711), Some(4711)).unwrap();
            }),
            ("another name of a file of root", |_, file| {
                fs::remove_file(file).unwrap();
                fs::hard_link("/srv/target/secret", file).unwrap();
            }),
            ("a file of another user", |_, file| chown(file, Some(4712), Some(4712)).unwrap()),
            ("a directory of another user", |dir, _| chown(dir, Some(4712), Some(4712)).unwrap()),
        ];
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for (what, put) in ways {
            make_keys();
            put(dir, file);
            let before = home(Path::new("/"));
            runtime.block_on(async {
                let host = Fake::new().unwrap();
                let error = host.put(key("k").options(["restrict"])).settle().await.unwrap_err();
                assert!(error.obstacle().is_some(), "{what}: {error}");
            });
            assert_eq!(home(Path::new("/")), before, "{what}");
            let stat = fs::metadata("/srv/target/secret").unwrap();
            assert_eq!((stat.uid(), fs::read_dir("/srv/target").unwrap().count()), (0, 1), "{what}");
            assert_eq!(fs::read_to_string("/srv/target/secret").unwrap(), "canary", "{what}");
        }
    });
}

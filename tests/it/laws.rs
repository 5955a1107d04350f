//! The built-in kinds keep the laws of all kinds.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use mgmt::prelude::*;
use mgmt::testing::laws::{self, Law, Subject};

/// Those that can be tried on what nothing outside can change.
const WITHOUT_A_BREAK: [Law; 5] = [
    Law::CheckChangesNothing,
    Law::ApplyThenCheckIsInSync,
    Law::ApplyTwiceIsApplyOnce,
    Law::NoopNeverApplies,
    Law::CancelledApplyIsRepaired,
];
/// Those of a kind that can be undone.
const UNDONE: [Law; 7] = {
    let [a, b, c, d, e, f] = Law::ALL;
    [a, b, c, d, e, f, Law::UndoRestores]
};
/// The same on what does not even drift at first.
const WITHOUT_DRIFT: [Law; 4] =
    [Law::CheckChangesNothing, Law::ApplyThenCheckIsInSync, Law::ApplyTwiceIsApplyOnce, Law::NoopNeverApplies];

fn at(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().expect("a temporary directory has a plain name").to_owned()
}

fn chmod(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn noop() {
    assert_eq!(laws::check(Subject::new(|_| Noop::new("anchor"))), WITHOUT_DRIFT);
}

#[test]
fn value() {
    assert_eq!(laws::check(Subject::new(|_| mgmt::resources::Value::new("v").value("x"))), WITHOUT_DRIFT);
}

#[test]
fn timer() {
    let timer = || Timer::new("t", Duration::from_secs(3600));
    assert_eq!(laws::check(Subject::new(move |_| timer())), WITHOUT_DRIFT);
    let grows = move || timer().grow(Grow::Linear).max(Duration::from_secs(7200)).reset(true);
    assert_eq!(laws::check(Subject::new(move |_| grows())), WITHOUT_DRIFT);
}

#[test]
fn msg() {
    assert_eq!(laws::check(Subject::new(|_| Msg::new("m").body("the laws say hello"))), WITHOUT_A_BREAK);
}

#[test]
fn print() {
    assert_eq!(laws::check(Subject::new(|_| Print::new("p").msg("the laws print this"))), WITHOUT_A_BREAK);
    assert_eq!(laws::check(Subject::new(|_| Print::new("p").refresh_only(true))), WITHOUT_DRIFT);
}

#[test]
fn exit() {
    assert_eq!(laws::check(Subject::new(|_| Exit::new("e").code(7))), WITHOUT_A_BREAK);
}

#[test]
fn test() {
    assert_eq!(laws::check(Subject::new(|_| Test::new("t").changes(1u32))), WITHOUT_A_BREAK);
    assert_eq!(laws::check(Subject::new(|_| Test::new("t"))), WITHOUT_DRIFT);
}

#[test]
fn kv() {
    let store = |dir: &Path| {
        let files = fs::read_dir(dir.parent().unwrap().join("prefix/pgraph/kv")).unwrap();
        files.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let kv = Subject::new(|_| Kv::new("k").value("1"))
        .break_it(move |dir| store(dir).into_iter().for_each(|file| fs::remove_file(file).unwrap()))
        .break_it(move |dir| {
            for file in store(dir) {
                let other = fs::read_to_string(&file).unwrap().replace("\"1\"", "\"2\"");
                fs::write(file, other).unwrap();
            }
        });
    assert_eq!(laws::check(kv), UNDONE);
}

#[test]
fn kv_in_a_world() {
    let world = mgmt::world::Embedded::new();
    // Each trial has a key of its own.
    let key = |dir: &Path| dir.to_str().unwrap().to_owned();
    let at = move |dir: &Path| format!("/mgmt/values/{}", key(dir).replace('/', "%2F"));
    let member = mgmt::resource::World::member(&world, "another");
    let observed = std::sync::Arc::clone(&member);
    let write = move |dir: &Path, write: mgmt::resource::Write| {
        let writes = [(at(dir), write)].into();
        let written = member.commit(mgmt::resource::Transaction { conditions: Vec::new(), writes });
        assert!(at_once(written).unwrap().is_some());
    };
    let other = write.clone();
    let kv = Subject::new(move |dir| Kv::new("k").key(key(dir)).value("1"))
        .world(world)
        .break_it(move |dir| write(dir, mgmt::resource::Write::Remove))
        .break_it(move |dir| other(dir, mgmt::resource::Write::Put(b"2"[..].into(), None)))
        .observe(move |dir| {
            let key = mgmt::resource::Keys::One(at(dir));
            let found = at_once(observed.get(vec![key])).unwrap();
            format!("{:?}", found.entries.values().map(|entry| &entry.value).collect::<Vec<_>>())
        });
    assert_eq!(laws::check(kv), UNDONE);
}

#[test]
fn schedule() {
    assert_eq!(laws::check(Subject::new(|_| Schedule::new("s").max(2u32).data("x"))), WITHOUT_DRIFT);
    // Each trial has a schedule of its own.
    let name = |dir: &Path| dir.to_str().unwrap().to_owned();
    let in_world = Subject::new(move |dir| Schedule::new("s").namespace(name(dir))).world(mgmt::world::Embedded::new());
    assert_eq!(laws::check(in_world), WITHOUT_A_BREAK);
}

/// What the embedded world answers at once.
fn at_once<T>(mut answer: mgmt::resource::BoxFuture<T>) -> T {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match answer.as_mut().poll(&mut cx) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn line() {
    let line = Subject::new(|dir| Line::new("x", at(dir, "f")))
        .prepare(|dir| fs::write(dir.join("f"), "a\r\nb").unwrap())
        .break_it(|dir| fs::write(dir.join("f"), "a\r\nb\r\n").unwrap())
        .break_it(|dir| {
            fs::write(dir.join("other"), "a\r\nb\r\n").unwrap();
            fs::rename(dir.join("other"), dir.join("f")).unwrap();
        });
    assert_eq!(laws::check(line), UNDONE);
}

#[test]
fn line_that_makes_its_file() {
    let line = Subject::new(|dir| Line::new("x", at(dir, "f")).create(true))
        .break_it(|dir| fs::remove_file(dir.join("f")).unwrap());
    assert_eq!(laws::check(line), UNDONE);
}

#[test]
fn line_that_is_absent() {
    let line = Subject::new(|dir| Line::new("x", at(dir, "f")).absent())
        .prepare(|dir| fs::write(dir.join("f"), "a\nx\nb\nx").unwrap())
        .break_it(|dir| fs::write(dir.join("f"), "x\na\nb\n").unwrap());
    assert_eq!(laws::check(line), UNDONE);
}

#[test]
fn sysctl() {
    let sysctl = Subject::new(|dir| Sysctl::new("vm.swappiness", "10").runtime(false).path(at(dir, "f.conf")))
        .prepare(|dir| fs::write(dir.join("f.conf"), "# a\nvm.swappiness=60\nvm.other=1").unwrap())
        .break_it(|dir| fs::write(dir.join("f.conf"), "# a\nvm.swappiness=60\nvm.other=1").unwrap())
        .break_it(|dir| fs::write(dir.join("f.conf"), "# a\nvm.swappiness=1\nvm.other=1").unwrap());
    assert_eq!(laws::check(sysctl), UNDONE);
}

#[test]
fn gzip() {
    let gzip = Subject::new(|dir| Gzip::new(at(dir, "out.gz")).input(at(dir, "in")))
        .prepare(|dir| fs::write(dir.join("in"), "hello").unwrap())
        .break_it(|dir| fs::write(dir.join("out.gz"), "other").unwrap())
        .break_it(|dir| fs::remove_file(dir.join("out.gz")).unwrap());
    assert_eq!(laws::check(gzip), Law::ALL);
}

#[test]
fn tar() {
    let tar = Subject::new(|dir| Tar::new(at(dir, "out.tar.gz"), [at(dir, "in"), at(dir, "file")]))
        .prepare(|dir| {
            fs::create_dir_all(dir.join("in/sub")).unwrap();
            fs::write(dir.join("in/sub/a"), "hello").unwrap();
            fs::write(dir.join("file"), "hello").unwrap();
        })
        .break_it(|dir| fs::write(dir.join("out.tar.gz"), "other").unwrap())
        .break_it(|dir| fs::remove_file(dir.join("out.tar.gz")).unwrap());
    assert_eq!(laws::check(tar), Law::ALL);
}

#[test]
fn unpack() {
    let unpack = Subject::new(|dir| Unpack::new(at(dir, "d"), at(dir, "archive")))
        .prepare(|dir| fs::write(dir.join("archive"), crate::kit::archive("one")).unwrap())
        .break_it(|dir| fs::write(dir.join("d/sub/file"), "other").unwrap())
        .break_it(|dir| chmod(dir.join("d/sub/file"), 0o600))
        .break_it(|dir| fs::remove_file(dir.join("d/sub/file")).unwrap())
        .break_it(|dir| fs::remove_dir_all(dir.join("d")).unwrap());
    assert_eq!(laws::check(unpack), Law::ALL);
}

#[test]
fn file_with_content() {
    let file = Subject::new(|dir| File::new(at(dir, "motd")).content("hello\n").mode(0o640))
        .break_it(|dir| fs::write(dir.join("motd"), "good bye\n").unwrap())
        .break_it(|dir| fs::remove_file(dir.join("motd")).unwrap())
        .break_it(|dir| chmod(dir.join("motd"), 0o666))
        .break_it(|dir| {
            fs::remove_file(dir.join("motd")).unwrap();
            symlink("/dev/null", dir.join("motd")).unwrap();
        })
        .break_it(|dir| {
            fs::write(dir.join("other"), "hello\n").unwrap();
            chmod(dir.join("other"), 0o600);
            fs::rename(dir.join("other"), dir.join("motd")).unwrap();
        });
    assert_eq!(laws::check(file), UNDONE);
}

#[test]
fn file_with_a_secret() {
    let file = Subject::new(|dir| File::new(at(dir, "key")).content(Secret::new("canary".to_owned())))
        .break_it(|dir| fs::write(dir.join("key"), "other").unwrap())
        .break_it(|dir| chmod(dir.join("key"), 0o644));
    assert_eq!(laws::check(file), UNDONE);
}

#[test]
fn file_below_directories_that_come_and_go() {
    let file = Subject::new(|dir| File::new(at(dir, "a/b/motd")).content("hello\n"))
        .prepare(|dir| fs::create_dir_all(dir.join("a/b")).unwrap())
        .break_it(|dir| {
            fs::rename(dir.join("a"), dir.join("old")).unwrap();
            fs::remove_dir_all(dir.join("old")).unwrap();
            fs::create_dir_all(dir.join("a/b")).unwrap();
        });
    assert_eq!(laws::check(file), UNDONE);
}

#[test]
fn file_that_is_absent() {
    let file = Subject::new(|dir| File::new(at(dir, "gone")).absent())
        .prepare(|dir| fs::write(dir.join("gone"), "still here").unwrap())
        .break_it(|dir| fs::write(dir.join("gone"), "back").unwrap())
        .break_it(|dir| {
            fs::create_dir(dir.join("gone")).unwrap();
            fs::write(dir.join("gone/inside"), "deep").unwrap();
        });
    assert_eq!(laws::check(file), UNDONE);
}

#[test]
fn file_that_is_a_directory() {
    let file = Subject::new(|dir| File::new(at(dir, "d/")).mode(0o750))
        .break_it(|dir| fs::remove_dir(dir.join("d")).unwrap())
        .break_it(|dir| chmod(dir.join("d"), 0o700));
    assert_eq!(laws::check(file), UNDONE);
}

#[test]
fn file_that_is_a_symlink() {
    let file = Subject::new(|dir| File::new(at(dir, "link")).symlink("target"))
        .break_it(|dir| fs::remove_file(dir.join("link")).unwrap())
        .break_it(|dir| {
            fs::remove_file(dir.join("link")).unwrap();
            symlink("elsewhere", dir.join("link")).unwrap();
        });
    assert_eq!(laws::check(file), UNDONE);
}

#[test]
fn file_that_is_a_copy_of_a_tree_and_nothing_else() {
    let file =
        Subject::new(|dir| File::new(at(dir, "copy/")).source(at(dir, "from/")).recurse(true).purge(true).force(true))
            .prepare(|dir| {
                fs::create_dir_all(dir.join("from/deep/deeper")).unwrap();
                (0..5).for_each(|n| fs::write(dir.join(format!("from/{n}")), format!("file {n}")).unwrap());
                fs::write(dir.join("from/deep/deeper/last"), "last").unwrap();
            })
            .break_it(|dir| fs::write(dir.join("copy/deep/deeper/last"), "changed").unwrap())
            .break_it(|dir| fs::write(dir.join("copy/deep/foreign"), "foreign").unwrap())
            .break_it(|dir| fs::remove_dir_all(dir.join("copy/deep")).unwrap());
    assert_eq!(laws::check(file), UNDONE);
}

#[test]
fn exec_that_makes_a_file() {
    let exec = Subject::new(|dir| {
        let command = format!("echo one > '{0}' && sleep 0.02 && echo two >> '{0}'", at(dir, "made"));
        let made = at(dir, "made");
        let guard = format!("grep -q two {made}");
        Exec::new("make").cmd(command).shell("/bin/sh").nifcmd(guard).undo(format!("rm -f {made}"))
    })
    .break_it(|dir| fs::remove_file(dir.join("made")).unwrap());
    let kept = laws::check(exec.unwatched());
    assert_eq!(kept, [&WITHOUT_A_BREAK[..], &[Law::UndoRestores]].concat());
}

#[test]
fn exec_that_watches_files() {
    let exec = Subject::new(|dir| {
        let (made, source) = (at(dir, "made"), at(dir, "source"));
        let copy = Exec::new("copy").cmd(format!("cp {source} {made}")).watchfiles([source.as_str()]);
        copy.nifcmd(format!("cmp -s {source} {made}"))
    })
    .prepare(|dir| fs::write(dir.join("source"), "0").unwrap())
    .break_it(|dir| {
        let longer = fs::read_to_string(dir.join("source")).unwrap() + "1";
        fs::write(dir.join("source"), longer).unwrap();
    });
    // What is broken is what it copies, so each repair leads somewhere else.
    assert_eq!(laws::check(exec.new_each_time()), Law::ALL);
}

#[test]
fn password() {
    let made = Subject::new(|_| Password::new("admin").length(12_usize)).new_each_time();
    assert_eq!(laws::check(made), WITHOUT_A_BREAK);
}

#[test]
fn password_that_is_saved() {
    let saved = Subject::new(|_| Password::new("admin").length(12_usize).saved(true)).break_it(|dir| {
        let prefix = dir.parent().unwrap().join("prefix/pgraph/password");
        fs::remove_dir_all(prefix).unwrap();
    });
    assert_eq!(laws::check(saved.new_each_time()), Law::ALL);
}

#[test]
fn http_server() {
    assert_eq!(laws::check(Subject::new(|_| HttpServer::new("s").address("127.0.0.1:0"))), WITHOUT_A_BREAK);
}

#[test]
fn http_file() {
    assert_eq!(laws::check(Subject::new(|_| HttpFile::new("/motd").data("hello\n"))), WITHOUT_A_BREAK);
}

#[cfg(feature = "http-client")]
#[test]
fn http_client() {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    /// A server that gives every client the same body.
    fn server() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The head of the request fits into one buffer; a client that has gone is no matter.
                let (mut stream, mut head) = (stream, [0; 4096]);
                drop(stream.read(&mut head));
                drop(stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"1\"\r\nConnection: close\r\n\r\nhello",
                ));
            }
        });
        url
    }

    let url = server();
    let value = url.clone();
    assert_eq!(laws::check(Subject::new(move |_| HttpClient::new(&value))), WITHOUT_DRIFT);
    let file = Subject::new(move |dir| HttpClient::new(&url).file(at(dir, "fetched")))
        .break_it(|dir| fs::write(dir.join("fetched"), "good bye\n").unwrap())
        .break_it(|dir| fs::remove_file(dir.join("fetched")).unwrap());
    assert_eq!(laws::check(file), Law::ALL);
}

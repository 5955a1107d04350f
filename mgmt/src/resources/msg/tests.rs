//! Messages for real: to a log, and to sockets that stand for the daemons.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::resource::{Declare as _, Resource as _, Secret};
use crate::resources::msg::deliver::Sockets;
use crate::resources::msg::{Msg, Priority};
use crate::testing::Fake;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// What this thread logs goes here from now on.
    fn start() -> (Log, tracing::subscriber::DefaultGuard) {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_max_level(tracing::Level::TRACE)
            .without_time()
            .with_ansi(false)
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The lines since the last call.
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().filter(|line| line.contains("msg[")).map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn it_is_said_once_again_when_it_changes_and_at_each_refresh() {
    let (log, _guard) = Log::start();
    let mut host = Fake::new().unwrap();
    let msg = host.put(Msg::new("hello"));
    let outcome = msg.settle().await.unwrap();
    assert_eq!(outcome.changes[0].to, "say `hello`");
    assert_eq!(log.take(), [" INFO mgmt::msg: msg[hello]: hello"]);
    assert!(msg.settle().await.unwrap().in_sync());
    assert!(log.take().is_empty());
    let other = msg.becomes(Msg::new("hello").body("other {text}").priority(Priority::Warning).fields([("A", "b c")]));
    other.settle().await.unwrap();
    assert_eq!(log.take(), [" WARN mgmt::msg: msg[hello]: other {text} A=\"b c\""]);
    assert!(other.refresh().await.unwrap().changed);
    assert_eq!(log.take().len(), 1);
    host.restart();
    host.put(Msg::new("hello")).settle().await.unwrap();
    assert_eq!(log.take().len(), 1);
}

#[tokio::test]
async fn each_priority_has_its_level() {
    let (log, _guard) = Log::start();
    let host = Fake::new().unwrap();
    for (priority, level) in [
        (Priority::Emerg, "ERROR"),
        (Priority::Alert, "ERROR"),
        (Priority::Crit, "ERROR"),
        (Priority::Err, "ERROR"),
        (Priority::Warning, " WARN"),
        (Priority::Notice, " INFO"),
        (Priority::Info, " INFO"),
        (Priority::Debug, "DEBUG"),
    ] {
        host.put(Msg::new("m").priority(priority)).settle().await.unwrap();
        assert_eq!(log.take(), [format!("{level} mgmt::msg: msg[m]: m")]);
    }
}

#[tokio::test]
async fn under_noop_it_is_printed_once_and_marked_so() {
    let (log, _guard) = Log::start();
    let host = Fake::new().unwrap();
    let msg = host.put(Msg::new("m").journal(true)).noop();
    for _ in 0..2 {
        assert_eq!(msg.settle().await.unwrap().changes.len(), 2);
    }
    assert_eq!(log.take(), [" INFO mgmt::msg: msg[m] (noop): m"]);
}

/// Sockets that stand for the daemons.
fn daemons(host: &Fake) -> (Sockets, UnixDatagram, UnixDatagram) {
    let sockets = Sockets { journal: host.path("journal"), syslog: host.path("syslog") };
    let listen = |path| {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    };
    let (journal, syslog) = (listen(&sockets.journal), listen(&sockets.syslog));
    (sockets, journal, syslog)
}

fn receive(socket: &UnixDatagram) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 20];
    let length = socket.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

/// Reads a journal entry as journald does.
fn entry(mut bytes: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
        let key = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let (length, rest) = bytes[end + 1..].split_at(8);
        let (value, rest) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
        assert_eq!(rest[0], b'\n');
        fields.insert(key, String::from_utf8(value.to_vec()).unwrap());
        bytes = &rest[1..];
    }
    assert!(bytes.is_empty());
    fields
}

#[tokio::test]
async fn the_journal_gets_its_fields_and_syslog_its_line() {
    let host = Fake::new().unwrap();
    let (sockets, journal, syslog) = daemons(&host);
    let msg = Msg::new("m").body("two\nlines").priority(Priority::Crit).fields([("unit_Name", "x\ny")]);
    let msg = msg.journal(true).syslog(true).finish().0;
    let cx = host.put_resource(Arc::new(msg.clone())).apply_cx();
    msg.say(&cx, &sockets).await.unwrap();
    let fields = entry(&receive(&journal));
    let expected = [
        ("MESSAGE", "two\nlines"),
        ("MGMT_RESOURCE", "msg[m]"),
        ("PRIORITY", "2"),
        ("SYSLOG_IDENTIFIER", "mgmt"),
        ("UNIT_NAME", "x\ny"),
    ];
    assert_eq!(fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
    let line = String::from_utf8(receive(&syslog)).unwrap();
    assert_eq!(line, format!("<26>mgmt[{}]: two\nlines unit_Name=\"x\\ny\"", std::process::id()));
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_named_and_the_others_are_not_told_twice() {
    let (log, _guard) = Log::start();
    let host = Fake::new().unwrap();
    let (sockets, journal, syslog) = daemons(&host);
    std::fs::remove_file(&sockets.journal).unwrap();
    drop(journal);
    let msg = Msg::new("m").journal(true).syslog(true).finish().0;
    let cx = host.put_resource(Arc::new(msg.clone())).apply_cx();
    let said = msg.say(&cx, &sockets).await.unwrap_err().to_string();
    assert!(said.starts_with("`journal`: there is no socket /") && said.ends_with("is systemd-journald running here?"));
    receive(&syslog);
    let journal = UnixDatagram::bind(&sockets.journal).unwrap();
    msg.say(&cx, &sockets).await.unwrap();
    assert_eq!(entry(&receive(&journal))["MESSAGE"], "m");
    assert_eq!(log.take().len(), 1);
    syslog.set_nonblocking(true).unwrap();
    assert!(syslog.recv(&mut [0; 9]).is_err(), "syslog was told once");
}

#[tokio::test]
async fn a_message_that_is_too_long_for_a_daemon_is_refused() {
    let host = Fake::new().unwrap();
    let (sockets, _journal, _syslog) = daemons(&host);
    let msg = Msg::new("m").body("x".repeat(300_000)).journal(true).finish().0;
    let said = msg.say(&host.put_resource(Arc::new(msg.clone())).apply_cx(), &sockets).await.unwrap_err().to_string();
    assert!(said.contains("`journal`: the message has 300"), "{said}");
}

#[test]
fn a_key_that_the_journal_would_drop_is_refused() {
    let host = Fake::new().unwrap();
    let said = |fields: &[(&str, &str)]| {
        let fields: BTreeMap<String, String> = fields.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        host.put(Msg::new("m").fields(fields)).refusal()
    };
    for key in ["", "_A", "1A", "a-b", "ä", &"k".repeat(65)] {
        assert!(said(&[(key, "x")]).contains("is no key"), "{key}");
    }
    assert!(said(&[("message", "x")]).contains("set already"));
    assert!(said(&[("a", "x"), ("A", "x")]).contains("twice"));
    assert_eq!(said(&[("_A", "x"), ("message", "x")]).lines().count(), 2, "all at once");
    assert_eq!(said(&[("a_1", "x"), (&"k".repeat(64), "x")]), "");
}

#[test]
fn no_secret_can_be_sent_to_it() {
    let body = &Msg::spec().fields[0];
    assert_eq!(body.name, "body");
    assert!((body.takes)(TypeId::of::<String>()) && !(body.takes)(TypeId::of::<Secret<String>>()));
}

#[test]
fn an_unknown_priority_is_an_error_that_lists_them() {
    let read = |text: &str| serde_json::from_value::<Priority>(text.into());
    assert_eq!(read("Err").unwrap(), Priority::Err);
    assert_eq!(read("err").unwrap(), Priority::Err);
    let said = read("urgent").unwrap_err().to_string();
    assert!(said.contains("`urgent`") && said.contains("`warning`"), "{said}");
}

const INSIDE: &str = "MGMT_MSG_INSIDE";

/// The daemon itself, in a mount namespace where `/run` is its own.
#[tokio::test]
#[ignore = "needs root, unshare, systemd-journald and journalctl"]
async fn the_journal_of_systemd_takes_both_forms() {
    if std::env::var_os(INSIDE).is_none() {
        let this = std::env::current_exe().unwrap();
        let name = "resources::msg::tests::the_journal_of_systemd_takes_both_forms";
        let output = Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .arg(this)
            .args(["--exact", name, "--include-ignored", "--nocapture", "--test-threads=1"])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    assert!(Command::new("mount").args(["-t", "tmpfs", "none", "/run"]).status().unwrap().success());
    std::fs::create_dir_all("/run/systemd/journal").unwrap();
    std::fs::create_dir_all("/run/log/journal").unwrap();
    let mut daemon = Command::new("/lib/systemd/systemd-journald").spawn().unwrap();
    let sockets = Sockets { syslog: "/run/systemd/journal/dev-log".into(), ..Sockets::default() };
    let up = until(|| (sockets.journal.exists() && sockets.syslog.exists()).then_some(())).await;
    let host = Fake::new().unwrap();
    let msg = Msg::new("m").body("two\nlines").priority(Priority::Crit).fields([("unit_Name", "x")]);
    let msg = msg.journal(true).syslog(true).finish().0;
    let said = msg.say(&host.put_resource(Arc::new(msg.clone())).apply_cx(), &sockets).await;
    let read = |filter: &str| {
        let output =
            Command::new("journalctl").args(["-D", "/run/log/journal", "-o", "json", filter]).output().unwrap();
        serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(&output.stdout).ok()
    };
    let native = until(|| read("_TRANSPORT=journal")).await;
    let syslog = until(|| read("_TRANSPORT=syslog")).await;
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    up.unwrap();
    said.unwrap();
    let (native, syslog) = (native.expect("the entry"), syslog.expect("the line"));
    for (key, value) in [
        ("MESSAGE", "two\nlines"),
        ("PRIORITY", "2"),
        ("UNIT_NAME", "x"),
        ("SYSLOG_IDENTIFIER", "mgmt"),
        ("MGMT_RESOURCE", "msg[m]"),
    ] {
        assert_eq!(native[key], value, "{native:?}");
    }
    for (key, value) in [("PRIORITY", "2"), ("SYSLOG_FACILITY", "3"), ("SYSLOG_IDENTIFIER", "mgmt")] {
        assert_eq!(syslog[key], value, "{syslog:?}");
    }
    assert_eq!(syslog["SYSLOG_PID"], std::process::id().to_string());
}

/// What there is at last, within 20 s.
async fn until<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..400 {
        if let Some(found) = look() {
            return Some(found);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}

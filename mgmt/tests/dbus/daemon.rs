//! A private D-Bus daemon, and what a test asks it.

use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zbus::Connection;

/// Ends with its drop.
pub(crate) struct Daemon {
    dir: tempfile::TempDir,
    process: Option<Child>,
}

impl Daemon {
    pub(crate) fn start() -> Daemon {
        let mut daemon = Daemon { dir: tempfile::tempdir().unwrap(), process: None };
        daemon.restart();
        daemon
    }

    fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("bus")
    }

    pub(crate) fn address(&self) -> String {
        format!("unix:path={}", self.socket().display())
    }

    /// Starts it again at the same address, and waits until it takes connections.
    pub(crate) fn restart(&mut self) {
        let process = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--nopidfile", "--address", &self.address()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed");
        self.process = Some(process);
        let begun = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the daemon takes no connections");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// As `kill -9` does; its socket stays and takes no connections.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
            // Where it stays, a new daemon would refuse to listen there.
            let _ = std::fs::remove_file(self.socket());
        }
    }

    /// Sends it a signal such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let process = self.process.as_ref().expect("it runs");
        let status = Command::new("kill").args(["-s", name, &process.id().to_string()]).status();
        assert!(status.expect("kill is installed").success());
    }

    pub(crate) async fn connect(&self) -> Connection {
        zbus::connection::Builder::address(self.address().as_str()).build().await.unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) async fn emit(tester: &Connection, path: &str, member: &str) {
    tester.emit_signal(None::<&str>, path, "org.example.Test", member, &("something",)).await.unwrap();
}

/// How many connections the bus has.
pub(crate) async fn connections(tester: &Connection) -> usize {
    let bus = Some("org.freedesktop.DBus");
    let reply = tester.call_method(bus, "/org/freedesktop/DBus", bus, "ListNames", &()).await.unwrap();
    let names: Vec<String> = reply.body().deserialize().unwrap();
    names.iter().filter(|name| name.starts_with(':')).count()
}

pub(crate) fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

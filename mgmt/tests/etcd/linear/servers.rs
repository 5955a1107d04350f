//! Three members of etcd on this host, which a test kills and stops.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mgmt::resource::{Keys, World};
use mgmt::world::Etcd;

const COUNT: usize = 3;

/// The members, which are killed at the end.
pub(super) struct Servers {
    dir: tempfile::TempDir,
    /// For clients and for members.
    ports: [[u16; 2]; COUNT],
    processes: [Option<Child>; COUNT],
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

impl Servers {
    pub(super) async fn start() -> Servers {
        // All at once, so that they differ.
        let free = [(); COUNT].map(|()| [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap()));
        let ports = free.map(|pair| pair.map(|listener| listener.local_addr().unwrap().port()));
        let mut servers = Servers { dir: tempfile::tempdir().unwrap(), ports, processes: [const { None }; COUNT] };
        (0..COUNT).for_each(|n| servers.start_one(n));
        let (world, began) = (World::member(&servers.world(0), "test"), Instant::now());
        while world.get(vec![Keys::One("/mgmt".to_owned())]).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "etcd does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        servers
    }

    pub(super) fn start_one(&mut self, n: usize) {
        let program = std::env::var_os("MGMT_ETCD").unwrap_or_else(|| "etcd".into());
        let [clients, members] = self.ports[n].map(url);
        let all: Vec<String> = (0..COUNT).map(|n| format!("m{n}={}", url(self.ports[n][1]))).collect();
        let mut command = Command::new(program);
        command
            .args(["--name", &format!("m{n}"), "--heartbeat-interval", "50", "--election-timeout", "500"])
            .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
            .args(["--listen-peer-urls", &members, "--initial-advertise-peer-urls", &members])
            .args(["--initial-cluster", &all.join(","), "--log-level", "error", "--data-dir"])
            .arg(self.dir.path().join(format!("m{n}")));
        let started = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.processes[n] = Some(started.expect("etcd starts"));
    }

    pub(super) fn kill(&mut self, n: usize) {
        if let Some(mut process) = self.processes[n].take() {
            // It has ended, or will.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Sends a signal to a member that runs.
    pub(super) fn signal(&self, n: usize, signal: &str) {
        let process = self.processes[n].as_ref().expect("it runs");
        assert!(Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap().success());
    }

    /// A world with a connection of its own, to that member at first.
    pub(super) fn world(&self, first: usize) -> Etcd {
        Etcd::new((0..COUNT).map(|n| url(self.ports[(first + n) % COUNT][0])))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        (0..COUNT).for_each(|n| self.kill(n));
    }
}

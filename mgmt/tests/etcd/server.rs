//! An etcd for one test, with or without certificates.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mgmt::world::Etcd;

use crate::authority::Authority;

/// An etcd with one member, which is killed at the end.
pub(crate) struct Server {
    dir: tempfile::TempDir,
    ports: [u16; 2],
    /// It answers only those who have a certificate of this authority.
    authority: Option<Authority>,
    process: Option<Child>,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::with(None)
    }

    pub(crate) fn with(authority: Option<Authority>) -> Server {
        // Both at once, so that they differ.
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = free.map(|listener| listener.local_addr().unwrap().port());
        let mut server = Server { dir: tempfile::tempdir().unwrap(), ports, authority, process: None };
        server.again();
        server
    }

    /// On the data and at the ports that it had.
    pub(crate) fn again(&mut self) {
        let (client, peers) = (self.url(), format!("http://127.0.0.1:{}", self.ports[1]));
        let program = std::env::var_os("MGMT_ETCD").unwrap_or_else(|| "etcd".into());
        let mut command = Command::new(program);
        command
            .args(["--name", "one", "--heartbeat-interval", "50", "--election-timeout", "500", "--log-level", "error"])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &format!("one={peers}"), "--data-dir"])
            .arg(self.dir.path().join("data"));
        if let Some(authority) = &self.authority {
            let [ca, certificate, key] = authority.files(self.dir.path(), "server");
            command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(ca);
            command.arg("--cert-file").arg(certificate).arg("--key-file").arg(key);
        }
        self.process = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("etcd starts"));
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.ports[0])).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "etcd does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It has ended, or will.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.ports[0])
    }

    /// A world with a connection of its own, as on another machine.
    pub(crate) fn world(&self) -> Etcd {
        Etcd::new([self.url()])
    }

    /// The certificate of the authority, one for a host, and its key, in files.
    pub(crate) fn certificate(&self, host: &str) -> [PathBuf; 3] {
        self.authority.as_ref().expect("an authority").files(self.dir.path(), host)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

//! The program `mgmt`, as tests run it.

use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use crate::server::Server;

/// A program that is killed at the end.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, or will.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `mgmt` as this host, with the etcd of a test.
pub(crate) fn command(server: &Server, host: &str, arguments: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_mgmt"));
    program.args(arguments).args(["--hostname", host, "--seeds", &server.url()]).env_remove("MGMT_SEEDS");
    program
}

pub(crate) fn mgmt(server: &Server, host: &str, arguments: &[&str]) -> Output {
    command(server, host, arguments).output().unwrap()
}

/// Waits until this holds.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(40), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

//! An engine that runs beside a target.

use std::cell::OnceCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use mgmt::prelude::*;
use mgmt::runtime::control::{Ask, Reply, Request};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// No reply takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// An engine with a control socket.
pub struct Running {
    socket: PathBuf,
    _engine: mgmt::Engine,
    _runtime: Runtime,
    _dir: TempDir,
}

thread_local! {
    static RUNNING: OnceCell<Running> = const { OnceCell::new() };
}

impl Running {
    /// Calls a function with an engine of noops that have these names, the same in each call.
    pub fn with<T>(names: &[&str], call: impl FnOnce(&Running) -> T) -> T {
        RUNNING.with(|running| call(running.get_or_init(|| Running::start(names))))
    }

    fn start(names: &[&str]) -> Running {
        let dir = tempfile::tempdir().expect("a directory");
        let prefix = dir.path().join("prefix");
        let runtime = Runtime::new().expect("a runtime");
        let engine = runtime.block_on(async {
            let mut graph = Graph::new("fuzz");
            for name in names {
                graph.add(Noop::new(*name));
            }
            let graph = graph.finish().expect("a graph");
            let engine = mgmt::Engine::builder().graph(graph).prefix(&prefix).control(true).start().await;
            let engine = engine.expect("an engine");
            engine.converged().await.expect("a converged engine");
            engine
        });
        let socket = prefix.join("control.sock");
        while !socket.exists() {
            std::thread::yield_now();
        }
        Running { socket, _engine: engine, _runtime: runtime, _dir: dir }
    }

    /// Sends bytes on a connection of their own, and returns all replies.
    pub fn send(&self, bytes: &[u8]) -> Vec<Reply> {
        let mut stream = UnixStream::connect(&self.socket).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        // The engine may close the connection before it has read all of them.
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut replies = Vec::new();
        for line in BufReader::new(stream).lines() {
            let line = match line {
                Ok(line) => line,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("after {} replies: {error}", replies.len()),
            };
            replies.push(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}")));
        }
        replies
    }

    /// Sends one request, and returns all replies.
    pub fn ask(&self, ask: Ask) -> Vec<Reply> {
        let mut line = serde_json::to_vec(&Request::new(ask)).expect("a line");
        line.push(b'\n');
        self.send(&line)
    }
}

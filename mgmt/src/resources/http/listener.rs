//! A listening socket and its connections, bounded in number and in time.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tracing::Instrument as _;

use crate::resource::{Error, Result};
use crate::resources::http::site::Site;
use crate::sys::listen::{Bounds, serve};

/// The limits of a server. A proxy in front of it is one peer.
const BOUNDS: Bounds = Bounds { connections: 256, of_peer: 128, keep_alive: true };
/// How long an occupied address is tried: its last owner may be about to end, for example one of this engine.
const TAKEN_MAX: Duration = Duration::from_secs(2);

/// A socket that listens at this address.
pub(super) async fn bind(address: &str) -> Result<TcpListener> {
    let started = Instant::now();
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && started.elapsed() < TAKEN_MAX => {
                sleep(Duration::from_millis(20)).await;
            }
            outcome => return outcome.map_err(|error| explain(address, &error)),
        }
    }
}

fn explain(address: &str, error: &io::Error) -> Error {
    let port = address.rsplit_once(':').map_or("", |(_, port)| port);
    Error::new(match error.kind() {
        ErrorKind::AddrInUse => format!(
            "`address`: {address} is taken by another program: stop that (`ss -ltnp 'sport = :{port}'` names it), \
             or give another `address`"
        ),
        ErrorKind::PermissionDenied => {
            format!("`address`: {address} needs root, as all ports below 1024 do: run as root, or give another port")
        }
        ErrorKind::AddrNotAvailable => format!("`address`: {address}: this machine has no such address"),
        _ => format!("`address`: can't listen at {address}: {error}"),
    })
}

/// A running server. Its drop ends it and all its connections.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listener {
    /// Answers all connections. `ended` is notified when the server has ended.
    pub(super) fn start(socket: TcpListener, site: Arc<Site>, ended: Arc<Notify>) -> io::Result<Listener> {
        let address = socket.local_addr()?;
        let serving = async move {
            let _ended = Ended(ended);
            serve(socket, BOUNDS, site).await;
        };
        let task = tokio::spawn(serving.in_current_span());
        Ok(Listener { address, task })
    }

    pub(super) fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// Ends the server. When this returns, its address is free.
    pub(super) async fn stop(mut self) {
        self.task.abort();
        // The result is always that the task was aborted.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Notifies when the task ends, also by a panic.
struct Ended(Arc<Notify>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

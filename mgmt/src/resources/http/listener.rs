//! A listening socket and its connections, bounded in number and in time.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tracing::Instrument as _;

use crate::resource::{Error, Result};
use crate::resources::http::activity::Activity;
use crate::resources::http::site::Site;

/// How many connections a server has at the same time; more wait until one ends.
const CONNECTIONS_MAX: usize = 256;
/// How long the head of a request may be, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// How long an address is tried that is taken: its last owner may be about to go, also one of this engine.
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

/// A server under way; dropped, it and all its connections end.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listener {
    /// Answers whoever connects. `ended` is notified when that has come to an end.
    pub(super) fn start(socket: TcpListener, site: Arc<Site>, ended: Arc<Notify>) -> io::Result<Listener> {
        let address = socket.local_addr()?;
        let serving = async move {
            let _ended = Ended(ended);
            accept(socket, site).await;
        };
        let task = tokio::spawn(serving.in_current_span());
        Ok(Listener { address, task })
    }

    pub(super) fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// Ends it. When this returns its address is free.
    pub(super) async fn stop(mut self) {
        self.task.abort();
        // It was aborted: that is all that it can say.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Says so however the task ends, by a panic too.
struct Ended(Arc<Notify>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

async fn accept(socket: TcpListener, site: Arc<Site>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Dropped with this future, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match socket.accept().await {
            Ok((stream, _)) => {
                let site = Arc::clone(&site);
                let connection = async move {
                    serve(stream, site).await;
                    drop(place);
                };
                connections.spawn(connection.in_current_span());
            }
            Err(error) => {
                // The client has gone, or we have no descriptor left: either passes.
                tracing::warn!(target: "mgmt::http", %error, "a connection can't be accepted");
                sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, site: Arc<Site>) {
    let (limit, activity) = (site.live().timeout, Arc::new(Activity::new()));
    // Only an optimisation.
    let _ = stream.set_nodelay(true);
    let of_requests = Arc::clone(&activity);
    let service = service_fn(move |request| {
        let (site, activity) = (Arc::clone(&site), Arc::clone(&of_requests));
        activity.note();
        async move {
            let reply = site.answer(request, Arc::clone(&activity)).await;
            activity.note();
            Ok::<_, Infallible>(reply)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limit).max_buf_size(HEAD_BYTES_MAX);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = connection => {
            if let Err(error) = ended {
                tracing::debug!(target: "mgmt::http", %error, "a connection broke");
            }
        }
        () = activity.stalled(limit) => tracing::debug!(target: "mgmt::http", "a connection made no progress and was closed"),
    }
}

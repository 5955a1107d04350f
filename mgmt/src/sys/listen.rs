//! The one place for listeners of HTTP. Connections are limited in number, in total and for each peer, and in time, so
//! that slow or numerous clients neither keep others from being served nor take the engine's descriptors.

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error as StdError;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::HOST;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::Instrument as _;

use super::limits;

/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// A reply that has made no progress for this time is closed if another connection needs the place and none is idle.
const STALLED: Duration = Duration::from_secs(1);
/// How long nothing is accepted after an error: the system has no descriptor left, or the client has gone.
const PAUSE: Duration = Duration::from_millis(100);

/// The limits of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most connections at the same time; fewer if the system gives fewer descriptors.
    pub connections: usize,
    /// The most connections of one address.
    pub of_peer: usize,
    /// Whether a connection serves several requests.
    pub keep_alive: bool,
}

/// Code that answers requests.
pub trait Answers: Send + Sync + 'static {
    /// The body of a reply.
    type Body: Body<Data: Send, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + Unpin + 'static;

    /// The reply to a request. If that takes long, it notes its progress in `activity`.
    fn answer(
        &self,
        request: Request<Incoming>,
        activity: Arc<Activity>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// The reply to an invalid request.
    fn refuse(&self) -> Response<Self::Body>;

    /// The time without progress after which a connection is closed.
    fn patience(&self) -> Duration;
}

/// When a connection made progress last, and how many replies are being sent.
#[derive(Debug)]
pub struct Activity {
    last: Mutex<Instant>,
    replies: AtomicUsize,
}

impl Activity {
    fn new() -> Activity {
        Activity { last: Mutex::new(Instant::now()), replies: AtomicUsize::new(0) }
    }

    /// Notes progress.
    pub fn note(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no request is being answered.
    fn is_idle(&self) -> bool {
        self.replies.load(Ordering::Relaxed) == 0
    }

    /// Completes when there was no progress for this time.
    async fn stalled(&self, limit: Duration) {
        loop {
            let Some(due) = self.last().checked_add(limit) else { return std::future::pending().await };
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }
}

/// A reply that is being made or sent.
struct Reply(Arc<Activity>);

impl Reply {
    fn begin(activity: &Arc<Activity>) -> Reply {
        activity.replies.fetch_add(1, Ordering::Relaxed);
        activity.note();
        Reply(Arc::clone(activity))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.0.note();
        self.0.replies.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of a reply, which counts as being sent until all of it is.
struct Sent<B> {
    body: B,
    _reply: Reply,
}

impl<B: Body + Unpin> Body for Sent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection.
struct Member {
    peer: IpAddr,
    activity: Arc<Activity>,
    task: AbortHandle,
}

/// The connections of a listener.
struct Crowd {
    bounds: Bounds,
    members: HashMap<Id, Member>,
}

impl Crowd {
    /// Whether there is room for another connection of this peer. If the peer or the listener is at its limit, first
    /// closes the longest idle connection: of this peer, or of the peer with the most connections.
    fn make_room(&mut self, peer: IpAddr) -> bool {
        let of = |crowd: &Crowd, peer: IpAddr| crowd.members.values().filter(|member| member.peer == peer).count();
        let of_peer = of(self, peer);
        let room = limits::connections_max(self.bounds.connections);
        let from = if of_peer >= self.bounds.of_peer {
            peer
        } else if self.members.len() >= room {
            let peers = self.members.values().map(|member| member.peer);
            let Some(greediest) = peers.max_by_key(|peer| of(self, *peer)) else { return false };
            greediest
        } else {
            return true;
        };
        let may_go = |member: &&Member| {
            member.peer == from && (member.activity.is_idle() || member.activity.last().elapsed() > STALLED)
        };
        let candidates = self.members.values().filter(may_go);
        let first = candidates.min_by_key(|member| (!member.activity.is_idle(), member.activity.last()));
        let Some(id) = first.map(|member| member.task.id()) else { return false };
        if let Some(member) = self.members.remove(&id) {
            member.task.abort();
        }
        true
    }
}

/// Answers all clients that connect. When this is dropped, all connections are closed.
pub async fn serve<A: Answers>(socket: TcpListener, bounds: Bounds, answers: Arc<A>) {
    let mut crowd = Crowd { bounds, members: HashMap::new() };
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            Some(ended) = connections.join_next_with_id() => {
                let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                crowd.members.remove(&id);
                continue;
            }
            accepted = socket.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(target: "mgmt::http", %error, "a connection can't be accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let peer = address.ip().to_canonical();
        if !crowd.make_room(peer) {
            tracing::debug!(target: "mgmt::http", %peer, "too many connections: one is closed at once");
            continue;
        }
        let activity = Arc::new(Activity::new());
        let connection = connection(stream, bounds, Arc::clone(&answers), Arc::clone(&activity));
        let task = connections.spawn(connection.in_current_span());
        crowd.members.insert(task.id(), Member { peer, activity, task });
    }
}

async fn connection<A: Answers>(stream: TcpStream, bounds: Bounds, answers: Arc<A>, activity: Arc<Activity>) {
    // Only an optimisation.
    let _ = stream.set_nodelay(true);
    let patience = answers.patience();
    let of_requests = Arc::clone(&activity);
    let service = service_fn(move |request: Request<Incoming>| {
        let (answers, activity) = (Arc::clone(&answers), Arc::clone(&of_requests));
        async move {
            let under_way = Reply::begin(&activity);
            let hosts = request.headers().get_all(HOST).iter().count();
            let is_one = hosts == 1 || (hosts == 0 && request.version() < Version::HTTP_11);
            let reply = if is_one { answers.answer(request, activity).await } else { answers.refuse() };
            Ok::<_, Infallible>(reply.map(|body| Sent { body, _reply: under_way }))
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(HEAD_BYTES_MAX);
    http.keep_alive(bounds.keep_alive);
    tokio::select! {
        ended = http.serve_connection(TokioIo::new(stream), service) => {
            if let Err(error) = ended {
                tracing::debug!(target: "mgmt::http", %error, "a connection broke");
            }
        }
        () = activity.stalled(patience) => {
            tracing::debug!(target: "mgmt::http", "a connection made no progress and was closed");
        }
    }
}

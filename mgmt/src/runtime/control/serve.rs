//! Serves the control socket: accepts clients of the same user, as many as are allowed, and answers their requests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::line::{In, Out, PATIENCE, REQUEST_BYTES_MAX, Taken};
use super::protocol::{Reply, Request, SOCKET, VERSION};
use crate::runtime::drive;
use crate::runtime::error::EngineError;
use crate::runtime::follow::Reload;
use crate::sys::local::{Listener, stranger};
use crate::sys::users::{us, user_name};

/// At most this many clients are served at the same time; one that comes then is refused.
const CLIENTS_MAX: usize = 32;
/// How long nothing is accepted after an error: the system has no descriptor left, or the client has gone.
const PAUSE: Duration = Duration::from_millis(100);
/// How long clients that follow events may take to read the last ones when the engine ends.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The way to the engine. It does not keep the engine running.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub(crate) requests: mpsc::WeakUnboundedSender<drive::Request>,
    pub(crate) reloads: mpsc::WeakUnboundedSender<Reload>,
    pub(crate) prefix: PathBuf,
}

impl Reach {
    /// Asks the loop.
    pub(super) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> drive::Request,
    ) -> Result<T, EngineError> {
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.upgrade().ok_or(EngineError::Ended)?;
        requests.send(request(reply)).map_err(|_| EngineError::Ended)?;
        drop(requests);
        answer.await.map_err(|_| EngineError::Ended)
    }

    /// Asks the source of graphs for its graph again.
    pub(super) async fn reload(&self) -> Result<(), EngineError> {
        let (reply, answer) = oneshot::channel();
        let reloads = self.reloads.upgrade().ok_or(EngineError::Ended)?;
        reloads.send(reply).map_err(|_| EngineError::Ended)?;
        drop(reloads);
        answer.await.map_err(|_| EngineError::Ended)?
    }
}

/// Reports when the engine has ended.
pub(super) type Quits = watch::Receiver<Option<()>>;

/// The control socket of an engine.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) reach: Reach,
    /// Something in the prefix may have gone.
    pub(crate) stirred: Arc<Notify>,
    pub(crate) quits: Quits,
}

impl Control {
    /// Serves clients, after `delay`, until the engine has ended. The caller holds the lock of the prefix meanwhile.
    pub(crate) async fn run(mut self, delay: Duration) {
        if tokio::time::timeout(delay, has_quit(&mut self.quits)).await.is_ok() {
            return;
        }
        let mut listener = self.bind();
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                () = has_quit(&mut self.quits) => break,
                () = self.stirred.notified() => {
                    if listener.as_ref().is_none_or(|listener| !listener.is_in_place(&self.reach.prefix)) {
                        listener = self.bind();
                    }
                }
                Some(_) = clients.join_next() => {}
                stream = accept(listener.as_ref()) => {
                    let is_full = clients.len() >= CLIENTS_MAX;
                    clients.spawn(client(self.reach.clone(), stream, self.quits.clone(), is_full));
                }
            }
        }
        drop(listener);
        let all = async { while clients.join_next().await.is_some() {} };
        // Those that have not ended are cut off when the set is dropped.
        let _ = tokio::time::timeout(LAST_WORDS, all).await;
    }

    /// Makes the socket. Without it, the engine runs all the same.
    fn bind(&self) -> Option<Listener> {
        let made = Listener::bind(&self.reach.prefix, SOCKET);
        made.map_err(|error| {
            let path = self.reach.prefix.join(SOCKET);
            tracing::warn!(target: "mgmt", "{}: {error}: other programs can't ask this engine", path.display());
        })
        .ok()
    }
}

/// Completes when the engine has ended.
pub(super) async fn has_quit(quits: &mut Quits) {
    // An error means that the engine's tasks are gone.
    let _ = quits.wait_for(Option::is_some).await;
}

async fn accept(listener: Option<&Listener>) -> UnixStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok(stream) => return stream,
            Err(error) => {
                tracing::debug!(target: "mgmt", "a client can't be accepted: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn client(reach: Reach, stream: UnixStream, quits: Quits, is_full: bool) {
    let refusal = match stranger(&stream) {
        Ok(None) if is_full => Some(format!("{CLIENTS_MAX} clients are served already")),
        Ok(None) => None,
        Ok(Some(uid)) => {
            let (theirs, ours) = (user_name(uid), user_name(us()));
            Some(format!("this engine belongs to the user {ours}: {theirs} may not use its socket"))
        }
        Err(error) => Some(format!("the system does not report the client's user: {error}")),
    };
    let (from, to) = stream.into_split();
    converse(&reach, from, to, quits, refusal).await;
}

/// Serves one client until it closes, breaks a rule, or the engine ends. With a `refusal`, that is all it gets.
pub(super) async fn converse(
    reach: &Reach,
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    mut quits: Quits,
    refusal: Option<String>,
) {
    let (mut lines, mut out) = (In::new(from, REQUEST_BYTES_MAX), Out::new(to));
    if let Some(error) = refusal {
        let _ = out.line(&Reply::Refused { error }).await;
        let _ = out.flush().await;
        return;
    }
    loop {
        let taken = tokio::select! {
            taken = tokio::time::timeout(PATIENCE, lines.line()) => taken,
            () = has_quit(&mut quits) => return,
        };
        let (answered, goes_on) = match taken {
            Ok(Ok(Taken::Line(line))) => match request(&line) {
                Ok(request) => {
                    (super::answer::answer(reach, request.ask, &mut lines, &mut out, &mut quits).await, true)
                }
                Err(error) => (out.line(&Reply::Refused { error }).await, true),
            },
            Ok(Ok(Taken::NoText)) => (refuse(&mut out, "the request is not UTF-8".to_owned()).await, false),
            Ok(Ok(Taken::TooLong)) => {
                let error = format!("the request has more than {REQUEST_BYTES_MAX} bytes");
                (refuse(&mut out, error).await, false)
            }
            // The client has closed, or has asked nothing for too long.
            Ok(Ok(Taken::End) | Err(_)) | Err(_) => return,
        };
        if answered.is_err() || out.flush().await.is_err() || !goes_on {
            return;
        }
    }
}

async fn refuse<W: AsyncWrite + Unpin>(out: &mut Out<W>, error: String) -> std::io::Result<()> {
    out.line(&Reply::Refused { error }).await
}

fn request(line: &str) -> Result<Request, String> {
    let wrong = |error: serde_json::Error| format!("the request is not understood: {error}");
    let value: serde_json::Value = serde_json::from_str(line).map_err(wrong)?;
    match value.get("v").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => serde_json::from_value(value).map_err(wrong),
        Some(version) => Err(format!("this engine speaks version {VERSION} of the protocol, not {version}")),
        None => Err(format!("a request has the version of the protocol: \"v\":{VERSION}")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    use super::*;

    /// The way to an engine that has ended.
    fn nowhere() -> Reach {
        let (requests, reloads) = (mpsc::unbounded_channel().0.downgrade(), mpsc::unbounded_channel().0.downgrade());
        Reach { requests, reloads, prefix: PathBuf::new() }
    }

    /// What a client gets that sends this and then only reads, until the connection is closed, and how long that takes.
    async fn served(text: &[u8]) -> (String, Duration) {
        let began = Instant::now();
        let (mut client, served) = duplex(1 << 20);
        let (_quit, quits) = watch::channel(None);
        let (from, to) = tokio::io::split(served);
        let task = tokio::spawn(async move { converse(&nowhere(), from, to, quits, None).await });
        client.write_all(text).await.unwrap();
        let mut all = String::new();
        client.read_to_string(&mut all).await.unwrap();
        task.await.unwrap();
        (all, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_asks_nothing_or_sends_half_a_line_is_closed() {
        for text in [&b""[..], b"{\"v\":1", b"\n \n"] {
            let (got, took) = served(text).await;
            assert!(got.is_empty() && took >= PATIENCE && took < 2 * PATIENCE, "{got} {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_breaks_the_protocol_ends_the_connection_at_once() {
        let (got, took) = served(&[b'x'; REQUEST_BYTES_MAX + 1]).await;
        assert!(got.contains("more than 65536 bytes") && took < PATIENCE, "{got}");
        assert_eq!(got.lines().count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_has_ended_refuses() {
        let (got, _) = served(b"{\"v\":1,\"ask\":\"status\"}\n{\"v\":1,\"ask\":\"resume\",\"new\":1}\n").await;
        assert_eq!(got.matches("the engine has ended").count(), 2, "{got}");
    }
}

//! The near end's side of a world that the far end uses through it: it lets the host in, and leads streams to the
//! servers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;

use crate::remote::message::ToFar;
use crate::remote::streams::Outgoing;
use crate::remote::tunnel::{Frame, Streams};
use crate::sys::task::blocking;
use crate::world::{Connection, Relay};

/// The way of what is sent.
pub(super) type Sender = mpsc::UnboundedSender<Outgoing>;

/// The world that the far ends of a job use.
#[derive(Clone, Debug)]
pub(super) struct NearWorld(Relay);

/// What one far end uses of it.
#[derive(Debug)]
pub(super) struct NearStreams {
    world: NearWorld,
    /// The name of the host, whatever the host itself states.
    host: String,
    streams: Streams,
    /// Certificates are made one after the other.
    is_certifying: Arc<Semaphore>,
}

impl NearWorld {
    /// How often it is looked whether the servers are others.
    const LOOK: Duration = Duration::from_secs(2);

    pub(super) fn new(relay: Relay) -> NearWorld {
        NearWorld(relay)
    }

    /// What the host with this name is offered.
    pub(super) async fn offer(&self, host: &str) -> Result<Json, serde_json::Error> {
        serde_json::to_value(self.0.offer(host).await)
    }

    async fn certify(&self, host: &str, request: String) -> Result<Json, String> {
        self.0.certify(host, request).await
    }

    async fn connect(&self, address: &str) -> io::Result<Connection> {
        self.0.connect(address).await
    }

    /// Sends the addresses of the servers when these are others, as long as something receives them.
    async fn tell_servers(&self, sender: mpsc::WeakUnboundedSender<Outgoing>) {
        let look = || {
            let relay = self.0.clone();
            blocking(move || relay.servers())
        };
        let mut last = look().await;
        loop {
            sleep(NearWorld::LOOK).await;
            let now = look().await;
            let Some(sender) = sender.upgrade() else { return };
            if now != last && !now.is_empty() {
                last.clone_from(&now);
                // An error means that the conversation has ended.
                let _ = sender.send(Outgoing::Message(ToFar::Servers(now)));
            }
        }
    }
}

impl NearStreams {
    /// Those of the host with this name, if it uses a world; and what must be sent to it.
    pub(super) fn begin(
        world: Option<NearWorld>,
        host: Option<String>,
        sender: &Sender,
    ) -> (Option<NearStreams>, mpsc::Receiver<Frame>) {
        let (streams, frames) = Streams::new();
        let begun = world.zip(host).map(|(world, host)| {
            let (looks, weak) = (world.clone(), sender.downgrade());
            tokio::spawn(async move { looks.tell_servers(weak).await });
            let is_certifying = Arc::new(Semaphore::new(1));
            NearStreams { world, host, streams, is_certifying }
        });
        (begun, frames)
    }

    /// Takes what the far end tells about a stream.
    ///
    /// # Errors
    /// The far end breaks the rules.
    pub(super) fn take(&self, frame: Frame) -> Result<(), String> {
        let Some((number, address)) = self.streams.take(frame)? else { return Ok(()) };
        let (carried, world) = (self.streams.accept(number)?, self.world.clone());
        tokio::spawn(async move {
            match world.connect(&address).await {
                Ok(connection) => carried.carry(connection).await,
                Err(error) => {
                    let why = format!("it can't be reached from the host from which this run is started: {error}");
                    carried.end(why).await;
                }
            }
        });
        Ok(())
    }

    /// Lets the host in, and sends it its certificates.
    ///
    /// # Errors
    /// It asks again before it has the answer.
    pub(super) fn certify(&self, request: String, sender: Sender) -> Result<(), String> {
        let turn = Arc::clone(&self.is_certifying).try_acquire_owned();
        let Ok(turn) = turn else { return Err("certificates are asked for twice at once".to_owned()) };
        let (world, host) = (self.world.clone(), self.host.clone());
        tokio::spawn(async move {
            let answer = world.certify(&host, request).await;
            drop(turn);
            // An error means that the conversation has ended.
            let _ = sender.send(Outgoing::Message(ToFar::Certified(answer)));
        });
        Ok(())
    }
}

/// The connections of a far end that is gone end.
impl Drop for NearStreams {
    fn drop(&mut self) {
        self.streams.close("the run there has ended");
    }
}

//! The far end's side of the conversation: messages come in, with the life of the near end; lines go out.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout, timeout_at};

use crate::remote::far_world::FarStreams;
use crate::remote::lines::{Cutter, Found, LINE_BYTES_MAX};
use crate::remote::message::{ALIVE_EVERY, SILENCE_MAX, ToFar, ToNear, line};

/// How long a line may wait for room.
const ROOM_MAX: Duration = SILENCE_MAX;

/// What comes in.
#[derive(Debug)]
pub(super) enum Inbound {
    Message(ToFar),
    /// The near end is gone, for this reason.
    Lost(String),
}

/// The messages of the near end.
#[derive(Debug)]
pub(super) struct Inbox {
    parts: mpsc::Receiver<io::Result<Vec<u8>>>,
    cutter: Cutter,
    /// When something came last.
    heard: Instant,
    /// How long the near end may be silent; `None`: its end is known in another way.
    silence_max: Option<Duration>,
    is_lost: bool,
    /// Messages that came while something else was waited for.
    back: VecDeque<ToFar>,
    /// Where messages about the world go.
    world: Option<FarStreams>,
}

impl Inbox {
    pub(super) fn new(parts: mpsc::Receiver<io::Result<Vec<u8>>>) -> Inbox {
        Inbox {
            parts,
            cutter: Cutter::default(),
            heard: Instant::now(),
            silence_max: Some(SILENCE_MAX),
            is_lost: false,
            back: VecDeque::new(),
            world: None,
        }
    }

    /// However long nothing comes, the near end is not gone.
    pub(super) fn patient(self) -> Inbox {
        Inbox { silence_max: None, ..self }
    }

    /// Whether the near end is gone.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// From now on, messages about the world go there.
    #[cfg(feature = "etcd")]
    pub(super) fn lead(&mut self, world: FarStreams) {
        self.world = Some(world);
    }

    /// These messages, which came while something else was waited for, are the next ones.
    #[cfg(feature = "etcd")]
    pub(super) fn put_back(&mut self, messages: Vec<ToFar>) {
        self.back.extend(messages);
    }

    /// The next message. Cancel safe.
    pub(super) async fn next(&mut self) -> Inbound {
        if let Some(message) = self.back.pop_front() {
            return Inbound::Message(message);
        }
        let next = self.any().await;
        if let Inbound::Lost(why) = &next {
            self.is_lost = true;
            self.world.iter().for_each(|world| world.lost(why));
        }
        next
    }

    async fn any(&mut self) -> Inbound {
        loop {
            while let Some(found) = self.cutter.next() {
                let Found::Line(line) = found else {
                    return Inbound::Lost("a message came that is too long".to_owned());
                };
                match serde_json::from_slice(&line) {
                    Ok(ToFar::Alive) => {}
                    Ok(message) => {
                        let taken = match &self.world {
                            Some(world) => world.take(message),
                            None => Ok(Some(message)),
                        };
                        match taken {
                            Ok(None) => {}
                            Ok(Some(message)) => return Inbound::Message(message),
                            Err(why) => return Inbound::Lost(why),
                        }
                    }
                    Err(error) => return Inbound::Lost(format!("what came is no message: {error}")),
                }
            }
            let next = match self.silence_max {
                Some(most) => timeout_at(self.heard + most, self.parts.recv()).await,
                None => Ok(self.parts.recv().await),
            };
            match next {
                Ok(Some(Ok(part))) => {
                    self.heard = Instant::now();
                    self.cutter.push(&part);
                }
                Ok(Some(Err(error))) => return Inbound::Lost(error.to_string()),
                Ok(None) => return Inbound::Lost("the connection was closed".to_owned()),
                Err(_) => return Inbound::Lost(format!("nothing came for {} s", SILENCE_MAX.as_secs())),
            }
        }
    }
}

/// Nothing can be sent any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// The way to the near end. Clones are the same way.
#[derive(Clone, Debug)]
pub(super) struct Outbox(mpsc::Sender<Vec<u8>>);

impl Outbox {
    /// Signs of life are sent from now on, as long as the runtime lives.
    pub(super) fn new(output: mpsc::Sender<Vec<u8>>) -> Outbox {
        let beat = output.downgrade();
        tokio::spawn(async move {
            // Nothing may come before the greeting.
            let mut alive = interval_at(Instant::now() + ALIVE_EVERY, ALIVE_EVERY);
            alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                alive.tick().await;
                let Some(output) = beat.upgrade() else { return };
                // What waits there is a sign of life, too.
                let _ = line(&ToNear::Alive).map(|line| output.try_send(line));
            }
        });
        Outbox(output)
    }

    /// Sends a line as it is.
    pub(super) async fn send_line(&self, line: Vec<u8>) -> Result<(), Closed> {
        match timeout(ROOM_MAX, self.0.send(line)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Closed),
        }
    }

    /// Sends a message. One that is too long for a line, or has no form as data, is dropped.
    pub(super) async fn send(&self, message: &impl Serialize) -> Result<(), Closed> {
        match line(message) {
            Ok(line) if line.len() <= LINE_BYTES_MAX => self.send_line(line).await,
            _ => Ok(()),
        }
    }

    /// Room for a line. Cancel safe.
    pub(super) async fn room(&self) -> Result<mpsc::Permit<'_, Vec<u8>>, Closed> {
        self.0.reserve().await.map_err(|_| Closed)
    }

    /// Returns when everything is written, or nothing can be.
    pub(super) async fn flush(&self) {
        // The place of the last line is free when it is being written; the one of an empty line after it, when that
        // has been written.
        let _ = self.send_line(Vec::new()).await;
        let _ = self.send_line(Vec::new()).await;
    }
}

//! The far end's side of a world that it uses through the near end: what the near end tells about it, and the streams
//! to its servers.

use serde_json::Value as Json;
use tokio::sync::mpsc;

pub(super) use crate::remote::far_guest::enter;
use crate::remote::far_link::Outbox;
use crate::remote::message::{ToFar, ToNear, line};
use crate::remote::tunnel::{Frame, Streams};

/// What the near end tells about the world.
#[derive(Debug)]
pub(super) enum FarOrder {
    Certified(Result<Json, String>),
    Servers(Vec<String>),
}

/// Where messages about the world go.
#[derive(Debug)]
pub(super) struct FarStreams {
    streams: Streams,
    orders: mpsc::UnboundedSender<FarOrder>,
}

impl FarStreams {
    /// From now on, frames of streams are sent.
    pub(super) fn new(out: Outbox) -> (FarStreams, Streams, mpsc::UnboundedReceiver<FarOrder>) {
        let (streams, mut frames) = Streams::new();
        let (orders, ordered) = mpsc::unbounded_channel();
        let sent = streams.clone();
        tokio::spawn(async move {
            while let Some(frame) = frames.recv().await {
                // However slow the near end is, a frame must not get lost.
                match (out.room().await, line(&ToNear::Stream(frame))) {
                    (Ok(room), Ok(line)) => room.send(line),
                    _ => return sent.close("the connection to the host from which this run was started is lost"),
                }
            }
        });
        (FarStreams { streams: streams.clone(), orders }, streams, ordered)
    }

    /// Takes a message that is about the world. Returns any other one.
    ///
    /// # Errors
    /// The near end breaks the rules.
    pub(super) fn take(&self, message: ToFar) -> Result<Option<ToFar>, String> {
        match message {
            ToFar::Stream(frame) => self.frame(frame).map(|()| None),
            ToFar::Certified(answer) => {
                // An error means that the run is ending; the same below.
                let _ = self.orders.send(FarOrder::Certified(answer));
                Ok(None)
            }
            ToFar::Servers(servers) => {
                let _ = self.orders.send(FarOrder::Servers(servers));
                Ok(None)
            }
            other => Ok(Some(other)),
        }
    }

    fn frame(&self, frame: Frame) -> Result<(), String> {
        match self.streams.take(frame)? {
            None => Ok(()),
            Some(_) => Err("the near end begins a stream, which only the far end does".to_owned()),
        }
    }

    /// The near end is gone: so are the servers.
    pub(super) fn lost(&self, why: &str) {
        self.streams.close(why);
    }
}

//! A program without etcd shares no world with far ends.

use serde_json::Value as Json;
use tokio::sync::mpsc;

use crate::remote::streams::Outgoing;
use crate::remote::tunnel::Frame;

/// There is none.
#[derive(Clone, Debug)]
pub(super) enum NearWorld {}

/// There are none.
#[derive(Debug)]
pub(super) enum NearStreams {}

impl NearWorld {
    pub(super) async fn offer(&self, _: &str) -> Result<Json, serde_json::Error> {
        match *self {}
    }
}

impl NearStreams {
    pub(super) fn begin(
        world: Option<NearWorld>,
        _: Option<String>,
        _: &mpsc::UnboundedSender<Outgoing>,
    ) -> (Option<NearStreams>, mpsc::Receiver<Frame>) {
        match world {
            None => (None, mpsc::channel(1).1),
            Some(world) => match world {},
        }
    }

    pub(super) fn take(&self, _: Frame) -> Result<(), String> {
        match *self {}
    }

    pub(super) fn certify(&self, _: String, _: mpsc::UnboundedSender<Outgoing>) -> Result<(), String> {
        match *self {}
    }
}

//! A program without etcd uses no world through its near end.

use std::path::PathBuf;

use serde_json::Value as Json;

use crate::gapi::Gapi;
use crate::remote::far::Failed;
use crate::remote::far_link::{Inbox, Outbox};
use crate::remote::message::ToFar;
use crate::runtime::Builder;

/// There are none.
#[derive(Debug)]
pub(super) enum FarStreams {}

impl FarStreams {
    pub(super) fn take(&self, _: ToFar) -> Result<Option<ToFar>, String> {
        match *self {}
    }

    pub(super) fn lost(&self, _: &str) {
        match *self {}
    }
}

/// There is none.
#[derive(Debug)]
pub(super) enum FarWorld {}

impl FarWorld {
    pub(super) fn give<G: Gapi>(&self, _: Builder<G>) -> Builder<G> {
        match *self {}
    }
}

pub(super) async fn enter(
    _: Json,
    _: (Option<PathBuf>, Option<String>),
    _: (bool, bool),
    _: &mut Inbox,
    _: &Outbox,
) -> Result<Option<FarWorld>, Failed> {
    let why = "the program there was built without the Cargo feature `etcd`, which the world of this run needs: build it with it";
    Err(Failed::Other(why.to_owned()))
}

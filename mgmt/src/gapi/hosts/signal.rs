//! Values of the world as signals, and how entries become values.

use std::any::type_name;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::gapi::hosts::topics::{Decode, Entries};
use crate::gapi::hosts::view::WorldView;
use crate::gapi::signal::Readable;
use crate::id::in_one_line;
use crate::resource::{Keys, host_of_value, of_text};

/// Something in the world that a closure can read with [`Cx::read`](crate::gapi::Cx::read), made by a [`WorldView`].
pub struct WorldSignal<T> {
    view: WorldView,
    words: &'static str,
    keys: Keys,
    decode: Decode<T>,
}

impl<T> WorldSignal<T> {
    pub(super) fn new(view: WorldView, words: &'static str, keys: Keys, decode: Decode<T>) -> WorldSignal<T> {
        WorldSignal { view, words, keys, decode }
    }
}

impl<T> fmt::Debug for WorldSignal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorldSignal").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> Readable<T> for WorldSignal<T> {
    fn receiver(&self) -> watch::Receiver<T> {
        self.view.receiver(self.words, &self.keys, &self.decode)
    }
}

/// A value; `None`, with a warning: it is not of this type.
pub(super) fn decoded<T: DeserializeOwned>(bytes: &[u8], key: &str, host: Option<&str>) -> Option<T> {
    let value = match std::str::from_utf8(bytes) {
        Ok(text) => of_text(text).map_err(|error| error.to_string()),
        Err(error) => Err(format!("it is no text: {error}")),
    };
    value
        .inspect_err(|why| {
            let of_host = host.map(|host| format!(" of the host {}", in_one_line(host))).unwrap_or_default();
            let (key, wanted) = (in_one_line(key), type_name::<T>());
            tracing::warn!(
                target: "mgmt",
                "the value of `{key}`{of_host} in the world is no {wanted} and counts as absent: {why}",
            );
        })
        .ok()
}

/// The values of hosts. Each bad one spoils only itself.
pub(super) fn decoded_by_host<T: DeserializeOwned>(entries: &Entries, key: &str) -> BTreeMap<String, T> {
    let mut values = BTreeMap::new();
    for (at, bytes) in entries {
        let Some(host) = host_of_value(at) else {
            tracing::warn!(target: "mgmt", "the key {} in the world names no host and is left out", in_one_line(at));
            continue;
        };
        if let Some(value) = decoded(bytes, key, Some(&host)) {
            values.insert(host, value);
        }
    }
    values
}

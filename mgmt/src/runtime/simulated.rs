//! Notices about the files of a simulated host.

use std::path::Path;
use std::task::{Context, Poll};

use crate::id::Node;
use crate::runtime::files::{ATTENDED, Files, Quietness};
use crate::runtime::watches::{Notice, Problem};
use crate::sys::fs::hub::{Extent, Listening, Watched};
use crate::sys::simulated::Seat;

impl Files for Seat {
    fn subscribe(&mut self, node: Node, path: &Path, kind: Watched) -> Result<Listening, Problem> {
        Seat::subscribe(self, u64::from(node.0), path, kind);
        Ok(Listening::Now)
    }

    fn has_just(&self, node: Node, paths: &[(&Path, Watched)]) -> bool {
        Seat::has_just(self, u64::from(node.0), paths)
    }

    fn listens_to(&self, node: Node, path: &Path) -> bool {
        Seat::listens_to(self, u64::from(node.0), path)
    }

    fn unsubscribe(&mut self, node: Node) {
        Seat::unsubscribe(self, u64::from(node.0));
        self.neglect(node);
    }

    fn attend(&mut self, node: Node, path: &Path) -> Result<Listening, Problem> {
        Seat::subscribe(self, u64::from(node.0) | ATTENDED, path, Watched::Path);
        Ok(Listening::Now)
    }

    fn neglect(&mut self, node: Node) {
        Seat::unsubscribe(self, u64::from(node.0) | ATTENDED);
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Notice>> {
        Seat::poll_next(self, cx.waker()).map(notices)
    }

    fn take(&mut self) -> Vec<Notice> {
        notices(Seat::take(self))
    }

    fn quiet(&self) -> Quietness {
        Seat::quiet(self)
    }
}

/// Each node at most once, like the events of a hub.
fn notices(events: Vec<(u64, Extent)>) -> Vec<Notice> {
    let node = |key: u64| Node((key & !ATTENDED) as u32);
    events.into_iter().map(|(key, extent)| Notice::Changed(node(key), extent)).collect()
}

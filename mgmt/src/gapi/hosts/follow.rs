//! The task that reads what a source of graphs wants to know of the world, with one watch for all.

use std::sync::{Arc, Weak};

use tokio::sync::watch;

use crate::gapi::hosts::view::Shared;
use crate::resource::{Attempts, Followed, Following, Keys, Member};

/// Runs until the view is dropped.
pub(super) async fn follow(view: Weak<Shared>, member: Arc<dyn Member>, mut wanted: watch::Receiver<Vec<Keys>>) {
    let attempts = Attempts::new("reading what the graph is made of");
    let mut following = Following::new(member, Vec::new(), attempts);
    loop {
        let keys = wanted.borrow_and_update().clone();
        if keys != following.keys() {
            following.set_keys(keys);
        }
        let step = async {
            let is_read = following.is_listening() && view.upgrade().is_none_or(|view| view.is_once());
            if following.keys().is_empty() || is_read {
                return std::future::pending().await;
            }
            match following.next().await {
                Followed::Changed => {
                    if let Some(view) = view.upgrade() {
                        view.learn(following.keys(), &following.state().entries);
                    }
                }
                Followed::Failed(pause) => tokio::time::sleep(pause).await,
            }
        };
        tokio::select! {
            () = step => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

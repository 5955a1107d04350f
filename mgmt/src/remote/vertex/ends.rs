//! The end of an engine with runs on other hosts: it waits a moment for theirs.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{mpsc, watch};

use crate::remote::error::RemoteError;
use crate::remote::message::ToFar;
use crate::remote::run::{Ended, Run};
use crate::remote::session::Order;
use crate::remote::streams::Outgoing;
use crate::resource::{Door, Result};

/// The runs of an engine. Each ends when its resource is gone; this only waits for that at the end, as long as
/// connections have to close.
#[derive(Debug, Default)]
pub(super) struct Ends(Mutex<Vec<Running>>);

#[derive(Debug)]
struct Running {
    /// Does not keep the run alive.
    orders: mpsc::WeakUnboundedSender<Order>,
    ended: watch::Receiver<Option<Result<Ended, RemoteError>>>,
}

impl Ends {
    pub(super) fn add(&self, run: &Run) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|running| running.ended.borrow().is_none());
        all.push(Running { orders: run.orders.downgrade(), ended: run.ended.clone() });
    }
}

impl Door for Ends {
    type Key = ();

    async fn open((): &()) -> Result<Ends> {
        Ok(Ends::default())
    }

    async fn close(&self) {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for Running { orders, .. } in &all {
            if let Some(orders) = orders.upgrade() {
                // An error means that the run has ended.
                let _ = orders.send(Order::Send(Outgoing::Message(ToFar::Stop(1))));
            }
        }
        for Running { mut ended, .. } in all {
            let _ = ended.wait_for(Option::is_some).await;
        }
    }
}

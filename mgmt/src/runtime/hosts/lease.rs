//! A lease that entries of a host have in common, so that it is renewed once for all of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::resource::{LeaseId, Member, WorldError, part_of};

/// How much longer than the world has taken to answer a host may wait before its first writes, so that hosts that start
/// together do not all write together; and the longest time.
const SPREAD: u32 = 8;
const SPREAD_MAX: Duration = Duration::from_secs(2);

/// A lease of this host. Clones are the same.
#[derive(Clone)]
pub(crate) struct Lease(Arc<Shared>);

struct Shared {
    member: Arc<dyn Member>,
    ttl: Duration,
    kept: Mutex<Kept>,
}

enum Kept {
    /// There is none yet, or it has ended while this host was cut off.
    None,
    Granted(Granted),
    /// This host needs none any more.
    Over,
}

/// A lease that the world has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted {
    pub(super) id: LeaseId,
    /// When this host asked for it, or for its last renewal: it lasts for its time from then on at least.
    pub(super) asked: Instant,
    /// When it must be renewed.
    pub(super) due: Instant,
}

impl Lease {
    pub(crate) fn new(member: Arc<dyn Member>, ttl: Duration) -> Lease {
        Lease(Arc::new(Shared { member, ttl, kept: Mutex::new(Kept::None) }))
    }

    pub(super) fn ttl(&self) -> Duration {
        self.0.ttl
    }

    /// The lease, renewed if that is due.
    pub(super) async fn granted(&self) -> Result<Granted, WorldError> {
        let Shared { member, kept, .. } = &*self.0;
        let mut kept = kept.lock().await;
        let asked = Instant::now();
        let before = match &*kept {
            Kept::Granted(granted) => Some(*granted),
            Kept::None => None,
            Kept::Over => return Err(WorldError::Unreachable("this host ends".to_owned())),
        };
        if let Some(granted) = before {
            if asked < granted.due {
                return Ok(granted);
            }
            match member.renew(granted.id).await {
                Ok(()) => return Ok(self.keep(&mut kept, granted.id, asked)),
                Err(WorldError::NoLease(_)) => *kept = Kept::None,
                Err(error) => return Err(error),
            }
        }
        let id = member.lease(self.0.ttl).await?;
        let granted = self.keep(&mut kept, id, asked);
        sleep(part_of((asked.elapsed() * SPREAD).min(SPREAD_MAX).min(self.0.ttl / 3))).await;
        Ok(granted)
    }

    /// Two renewals can fail. Those of hosts that have started together come apart.
    fn keep(&self, kept: &mut Kept, id: LeaseId, asked: Instant) -> Granted {
        let pause = self.0.ttl / 3;
        let granted = Granted { id, asked, due: asked + pause - part_of(pause / 5) };
        *kept = Kept::Granted(granted);
        granted
    }

    /// The world does not have this one any more.
    pub(super) async fn lost(&self, id: LeaseId) {
        let mut kept = self.0.kept.lock().await;
        if matches!(&*kept, Kept::Granted(granted) if granted.id == id) {
            *kept = Kept::None;
        }
    }

    /// Ends the lease with all its entries. There is no other one after that.
    pub(super) async fn end(&self) {
        let kept = std::mem::replace(&mut *self.0.kept.lock().await, Kept::Over);
        if let Kept::Granted(granted) = kept {
            // What is not removed now leaves with its time.
            let _ = self.0.member.revoke(granted.id).await;
        }
    }
}

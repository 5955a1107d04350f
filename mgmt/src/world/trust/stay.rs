//! Renews the certificates of this host in time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::sys::rng;
use crate::world::etcd::{Etcd, Way};
use crate::world::trust::authority::Authority;
use crate::world::trust::error::TrustError;
use crate::world::trust::identity::Identity;
use crate::world::trust::join::renew;

/// The clock of the host may be set at any time: it is looked at again after this.
const LOOK: Duration = Duration::from_secs(60);
/// The shortest and the longest pause after a renewal that failed; between both, a part of the life.
const AGAIN_MIN: Duration = Duration::from_millis(500);
const AGAIN_MAX: Duration = Duration::from_secs(300);
const AGAIN_PART: u32 = 40;

/// A host that stays in its cluster.
#[derive(Debug)]
pub(in crate::world) struct Stay {
    pub(in crate::world) prefix: PathBuf,
    pub(in crate::world) identity: Identity,
    /// The names of its server.
    pub(in crate::world) names: Vec<String>,
    /// Whether this host has the authority.
    pub(in crate::world) has_authority: bool,
    /// Worlds with the certificate of this host, and with that of all rights.
    pub(in crate::world) clients: Vec<Etcd>,
    pub(in crate::world) roots: Vec<Etcd>,
    /// How the join service is reached.
    pub(in crate::world) way: Arc<dyn Way>,
}

impl Stay {
    /// Renews the certificates now if it is time, or if its server has other names.
    pub(in crate::world) async fn renew_if_due(mut self) -> (Stay, Result<(), TrustError>) {
        if !self.identity.renewal_in().is_zero() && self.names == self.identity.names() {
            return (self, Ok(()));
        }
        let done = self.renew().await;
        (self, done)
    }

    async fn renew(&mut self) -> Result<(), TrustError> {
        self.identity = match Authority::open(&self.prefix)?.filter(|_| self.has_authority) {
            Some(authority) => Identity::own(&self.prefix, &authority, self.identity.host(), &self.names)?,
            None => {
                let certificates = renew(&self.identity, &self.names, &*self.way).await?;
                self.identity.renewed(&certificates, &self.names)?
            }
        };
        for etcd in &self.clients {
            etcd.renew(self.identity.client()?).await;
        }
        for etcd in &self.roots {
            etcd.renew(self.identity.root()?).await;
        }
        Ok(())
    }

    /// Renews them in time. Never ends.
    pub(in crate::world) async fn keep(mut self) {
        let mut trouble: Option<String> = None;
        loop {
            let due = self.identity.renewal_in();
            if !due.is_zero() {
                sleep(due.min(LOOK)).await;
                continue;
            }
            match self.renew().await {
                Ok(()) => match trouble.take() {
                    Some(_) => tracing::info!(target: "mgmt", "the certificates of this host are renewed after all"),
                    None => tracing::debug!(target: "mgmt", "the certificates of this host are renewed"),
                },
                Err(error) => {
                    let why = error.to_string();
                    if trouble.as_ref() != Some(&why) {
                        tracing::warn!(target: "mgmt", "the certificates of this host can't be renewed: {why}");
                    }
                    trouble = Some(why);
                    sleep(again(self.identity.life())).await;
                }
            }
        }
    }
}

/// The pause of this host; those of different hosts differ.
fn again(life: Duration) -> Duration {
    let pause = (life / AGAIN_PART).clamp(AGAIN_MIN, AGAIN_MAX);
    let part = rng::number().unwrap_or_default() % 1000;
    pause / 2 + pause.mul_f64(part as f64 / 1000.0)
}

//! Tells other hosts that this one is alive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::gapi::Gapi;
use crate::resource::{AliveHost, Member, alive_key};
use crate::runtime::builder::Builder;
use crate::runtime::hosts::hold::Hold;
use crate::runtime::hosts::lease::Lease;
use crate::sys::clock::{rfc3339, wall};

/// The default of `Builder::alive_ttl`.
const ALIVE_TTL: Duration = Duration::from_secs(15);
/// The shortest time of a lease.
const TTL_MIN: Duration = Duration::from_secs(1);

/// What others see of this host, and for how long after its end.
#[derive(Clone, Debug)]
pub(crate) struct Living {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) ttl: Duration,
    /// The number of this run.
    pub(crate) run: u64,
}

impl Default for Living {
    fn default() -> Living {
        Living { labels: BTreeMap::new(), ttl: ALIVE_TTL, run: 0 }
    }
}

impl Living {
    /// This host, as an engine that starts now shows it.
    pub(crate) fn host(&self, name: &str) -> AliveHost {
        let mut host = AliveHost::default();
        name.clone_into(&mut host.name);
        env!("CARGO_PKG_VERSION").clone_into(&mut host.version);
        host.labels.clone_from(&self.labels);
        host.started = rfc3339(wall());
        host.run = self.run;
        host
    }
}

impl<G: Gapi> Builder<G> {
    /// Adds a label to this host, or replaces the one of that name: other hosts see it as long as this engine runs
    /// ([`WorldView::hosts`](crate::gapi::WorldView::hosts)). Default: no labels.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.preparing.site.living.labels.insert(name.into(), value.into());
        self
    }

    /// How long other hosts still see this host as alive after it has died or was cut off. After a clean end they see
    /// it at once. At least a second; the engine writes to the world three times in this time. Default: 15 seconds.
    pub fn alive_ttl(mut self, ttl: Duration) -> Self {
        self.options.preparing.site.living.ttl = ttl.max(TTL_MIN);
        self
    }

    /// Whether this engine has converged only when all other living hosts of its [`world`](Builder::world) have, too:
    /// each of them has reported that its graph has converged, and nothing else, for the
    /// [`converged_timeout`](Builder::converged_timeout) of this engine, and at least for a second. While the world is
    /// away, the engine has not converged. Default: false. Without a world, such an engine does not start.
    pub fn converged_cluster(mut self, cluster: bool) -> Self {
        self.options.preparing.site.counts_all = cluster;
        self
    }
}

/// Keeps this host among the living ones, until the engine `quits`.
pub(crate) async fn keep_alive(
    member: Arc<dyn Member>,
    living: Living,
    lease: Lease,
    mut quits: watch::Receiver<Option<()>>,
) {
    let host = living.host(member.host());
    // Texts have a form as JSON.
    let value = watch::Sender::new(Arc::from(serde_json::to_vec(&host).unwrap_or_default()));
    let key = alive_key(member.host());
    let hold = Hold::new(member, key, lease, "keeping this host among the living ones");
    let ends = async {
        // An error means that the engine has ended.
        let _ = quits.wait_for(Option::is_some).await;
        true
    };
    hold.run(value.subscribe(), ends).await;
}

//! The connection to the kernel, which all resources of an engine share.

use std::sync::Arc;

use crate::resource::{CheckCx, Connections, Door, Error, Obstacle, ObstacleKind, Result, Watch, WatchCx, WatchEvent};
use crate::resources::net::forwarding;
use crate::sys::netlink::{Family, LINKS, Netlink, Subscription, Wanted};

/// The connection.
#[derive(Debug)]
struct NetDoor(Arc<Netlink>);

impl Door for NetDoor {
    type Key = ();

    async fn open((): &()) -> Result<NetDoor> {
        Ok(NetDoor(Arc::new(Netlink::open()?)))
    }

    fn is_lost(&self) -> bool {
        self.0.is_lost()
    }
}

/// The connection of the engine, or that of the simulated host.
pub(super) async fn netlink(cx: &CheckCx) -> Result<Arc<Netlink>> {
    match Netlink::simulated() {
        Some(simulated) => Ok(Arc::new(simulated)),
        None => Ok(Arc::clone(&cx.door::<NetDoor>(&()).await?.0)),
    }
}

/// The kernel's reports about an interface; `with_defaults`: also about default routes over others.
pub(super) fn reports(cx: &WatchCx, name: &str, with_defaults: bool) -> Watch {
    if let Some(file) = Netlink::state_file(name) {
        let watch = if with_defaults { cx.fs().levels(LINKS, 1) } else { cx.fs().path(file) };
        let settings = Family::ALL.map(|family| cx.fs().path(forwarding::file(name, family)));
        return settings.into_iter().fold(watch, Watch::and);
    }
    let (connections, name) = (cx.connections(), name.to_owned());
    let wanted = if with_defaults { Wanted::WithDefaults } else { Wanted::Interface };
    Watch::unfold(None, move |subscription| step(connections.clone(), name.clone(), wanted, subscription))
}

async fn step(
    connections: Connections,
    name: String,
    wanted: Wanted,
    subscription: Option<Subscription>,
) -> Result<(WatchEvent, Option<Subscription>)> {
    let Some(mut subscription) = subscription else {
        let door = connections.door::<NetDoor>(&()).await?;
        return Ok((WatchEvent::Ready, Some(door.0.subscribe(&name, wanted)?)));
    };
    let lost = |error| Error::from(error).waiting_for(Obstacle::new(ObstacleKind::NoComponent));
    subscription.changed().await.map_err(lost)?;
    Ok((WatchEvent::Changed, Some(subscription)))
}

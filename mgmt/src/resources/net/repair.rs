//! A repair: link, addresses, routes, forwarding, in this order, and again until nothing is left to do: one change may
//! undo another.

use std::sync::Arc;
use std::time::Duration;

use crate::resource::{ApplyCx, Error, Obstacle, ObstacleKind, Recorders, Result, Stopping};
use crate::resources::net::judge::Step;
use crate::resources::net::kind::Net;
use crate::resources::net::look::look;
use crate::resources::net::wanted::Wanted;
use crate::resources::net::{forwarding, reverse};
use crate::sys::fs::WriteFs;
use crate::sys::netlink::{Interface, InterfaceAddress, Netlink, NetlinkError, Wanted as Reports};

/// How often the interface is looked at again.
const ROUNDS_MAX: usize = 6;
/// How long an address of IPv6 is waited for that another machine might have.
const DETECTION_MAX: Duration = Duration::from_secs(5);

/// Repairs the interface. Returns whether something was changed.
pub(super) async fn repair(cx: &ApplyCx, netlink: Arc<Netlink>, wanted: Wanted) -> Result<bool> {
    let has_ipv6 = wanted.is_up() && wanted.addresses.iter().any(|cidr| cidr.ip.is_ipv6());
    let mut reports = match Netlink::simulated() {
        None if has_ipv6 => Some(netlink.subscribe(&wanted.name, Reports::Interface)?),
        _ => None,
    };
    let recorders = cx.recorders::<Net>();
    let (repairing, known) = (Arc::clone(&netlink), wanted.clone());
    let is_changed = cx.change(move |fs, stop| run(&repairing, &known, fs, stop, &recorders)).await?;
    if let Some(reports) = &mut reports {
        let usable = async {
            while is_tentative(cx, &netlink, &wanted).await? {
                reports.changed().await?;
            }
            Ok(())
        };
        // One that is still not usable then has no partner that answers, or a slow link.
        if let Ok(Err(error)) = tokio::time::timeout(DETECTION_MAX, usable).await {
            return Err(error);
        }
    }
    Ok(is_changed)
}

/// Whether a declared address can't be used yet. Fails for one that another machine has.
async fn is_tentative(cx: &ApplyCx, netlink: &Arc<Netlink>, wanted: &Wanted) -> Result<bool> {
    let (netlink, wanted) = (Arc::clone(netlink), wanted.clone());
    let looked = cx.look(move |fs, _| {
        let (interface, judged) = look(&wanted, &netlink, fs)?;
        let mut declared = interface.addresses.iter().filter(|found| wanted.addresses.contains(&found.cidr));
        let is_tentative = interface.has_carrier && declared.any(|found| found.is_tentative && !found.is_duplicate);
        match judged.problem {
            Some(problem) => Err(problem),
            None => Ok(is_tentative),
        }
    });
    looked.await
}

fn run(netlink: &Netlink, wanted: &Wanted, fs: &WriteFs, stop: &Stopping, recorders: &Recorders<Net>) -> Result<bool> {
    let (mut is_changed, mut last) = (false, None);
    for _ in 0..ROUNDS_MAX {
        let (interface, judged) = look(wanted, netlink, fs)?;
        if judged.steps.is_empty() {
            return judged.problem.map_or(Ok(is_changed), Err);
        }
        let before = match recorders.is_empty() {
            true => Default::default(),
            false => netlink.network(&wanted.name, true)?,
        };
        let mut is_round_changed = false;
        for step in &judged.steps {
            stop.check()?;
            for recorder in recorders {
                reverse::record(recorder, &interface, &before.defaults, step)?;
            }
            match act(netlink, wanted, &interface, step, fs) {
                Ok(()) => (is_changed, is_round_changed) = (true, true),
                Err(Failure::Overtaken(error)) => last = Some(error),
                // A declared address may have gone with another one that was removed: it is added in the next round.
                Err(Failure::Unreachable(error)) if is_round_changed => last = Some(error),
                Err(Failure::Unreachable(error) | Failure::Final(error)) => return Err(error),
            }
        }
    }
    let why = format!("`{}` is changed by another program as often as it is repaired", wanted.name);
    Err(last.map_or_else(|| Error::new(&why).outdated(), |error| error.context(&why).outdated()))
}

/// Why a step was not done.
enum Failure {
    /// Another program has done it, or has changed what it depends on: the next look shows what is left.
    Overtaken(Error),
    /// The gateway is in no network of the interface.
    Unreachable(Error),
    Final(Error),
}

impl From<NetlinkError> for Failure {
    fn from(error: NetlinkError) -> Failure {
        match error.is_there() || error.is_gone() {
            true => Failure::Overtaken(error.into()),
            false => Failure::Final(error.into()),
        }
    }
}

fn act(
    netlink: &Netlink,
    wanted: &Wanted,
    interface: &Interface,
    step: &Step,
    fs: &WriteFs,
) -> std::result::Result<(), Failure> {
    match step {
        Step::SetUp(is_up) => netlink.set_up(interface, *is_up)?,
        Step::Add(cidr) => netlink.add_address(interface, *cidr).map_err(|error| {
            let is_off = cidr.ip.is_ipv6() && error.is_family_off();
            if is_off { Failure::Final(without_ipv6(error, interface)) } else { error.into() }
        })?,
        Step::Remove(address) => remove(netlink, wanted, interface, address)?,
        Step::AddRoute(new, rival) => {
            netlink.add_default(interface, *new, *rival).map_err(|error| match error.is_unreachable() {
                true => Failure::Unreachable(unreachable(error, wanted)),
                false => error.into(),
            })?;
        }
        Step::RemoveRoute(route) => netlink.remove_default(route)?,
        Step::Forward(family, is_on) => {
            forwarding::set(fs, &interface.name, *family, *is_on).map_err(Failure::Final)?;
        }
    }
    Ok(())
}

/// Removes an address. Those of its network that the kernel removes with it are added again, if they should stay.
fn remove(
    netlink: &Netlink,
    wanted: &Wanted,
    interface: &Interface,
    address: &InterfaceAddress,
) -> std::result::Result<(), NetlinkError> {
    netlink.remove_address(interface, address)?;
    if address.is_secondary || wanted.purge || address.cidr.ip.is_ipv6() {
        // What is declared is added in the next round.
        return Ok(());
    }
    let now = netlink.network(&wanted.name, false)?.interface.unwrap_or_default();
    let is_lost = |other: &&InterfaceAddress| {
        other.is_secondary
            && address.cidr.contains(&other.cidr.ip)
            && !wanted.addresses.iter().any(|cidr| cidr.ip == other.cidr.ip)
            && !now.addresses.iter().any(|found| found.cidr == other.cidr)
    };
    for other in interface.addresses.iter().filter(is_lost) {
        match netlink.restore_address(interface, other.cidr, &other.details) {
            Err(error) if !error.is_there() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn without_ipv6(error: NetlinkError, interface: &Interface) -> Error {
    let name = interface.name.replace('.', "/");
    let why = format!("{error}; IPv6 is off there: set the parameter `net.ipv6.conf.{name}.disable_ipv6` to 0");
    Error::new(why).waiting_for(Obstacle::new(ObstacleKind::NoPermission))
}

fn unreachable(error: NetlinkError, wanted: &Wanted) -> Error {
    let why = format!("{error}; give `{}` an address in `addrs` whose network contains the gateway", wanted.name);
    Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Missing))
}

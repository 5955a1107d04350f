//! A look at an interface.

use crate::resource::Result;
use crate::resources::net::forwarding;
use crate::resources::net::judge::{Judged, judge, missing};
use crate::resources::net::wanted::Wanted;
use crate::sys::fs::ReadFs;
use crate::sys::netlink::{Interface, Netlink};

/// Compares the interface with what is declared.
pub(super) fn look(wanted: &Wanted, netlink: &Netlink, fs: &ReadFs) -> Result<(Interface, Judged)> {
    let network = netlink.network(&wanted.name, !wanted.gateways.is_empty())?;
    let Some(interface) = &network.interface else { return Err(missing(&wanted.name, &network)) };
    let forward = match wanted.forward {
        Some(_) => forwarding::read(fs, &wanted.name)?,
        None => Vec::new(),
    };
    let judged = judge(wanted, interface, &network, &forward);
    Ok((interface.clone(), judged))
}

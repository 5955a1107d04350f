//! What must be done with an interface: it follows from what is declared and what the kernel shows, and nothing else.

use crate::resource::{Change, Error, Obstacle, ObstacleKind};
use crate::resources::net::gateways;
use crate::resources::net::wanted::Wanted;
use crate::sys::netlink::{
    Cidr, DefaultRoute, Family, Interface, InterfaceAddress, LINKS, Made, Network, NewDefault, Rival,
};

/// A change, in the order in which they must be made: a route needs an address, and both a link that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    SetUp(bool),
    Add(Cidr),
    Remove(InterfaceAddress),
    AddRoute(NewDefault, Rival),
    RemoveRoute(DefaultRoute),
    Forward(Family, bool),
}

/// What is otherwise than declared.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) changes: Vec<Change>,
    pub(super) steps: Vec<Step>,
    /// What these changes can't remove.
    pub(super) problem: Option<Error>,
}

impl Judged {
    pub(super) fn push(&mut self, change: Change, steps: impl IntoIterator<Item = Step>) {
        self.changes.push(change);
        self.steps.extend(steps);
    }
}

/// The error for an interface that does not exist: the kernel reports when one comes.
pub(super) fn missing(name: &str, network: &Network) -> Error {
    let why = match &network.other_name_of {
        Some(real) => format!("`{name}` is another name of the interface `{real}`: give that one"),
        None => format!(
            "there is no network interface `{name}`: its name is wrong (`ip link` lists all), or its device or the \
             program that makes it is not there yet"
        ),
    };
    Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Missing).at(format!("{LINKS}/{name}")))
}

/// Compares an interface with what is declared.
pub(super) fn judge(wanted: &Wanted, interface: &Interface, network: &Network, forward: &[(Family, bool)]) -> Judged {
    let mut judged = Judged::default();
    if interface.is_up != wanted.is_up() {
        let word = |is_up: bool| if is_up { "up" } else { "down" };
        let change = Change::new("state", word(interface.is_up), word(wanted.is_up()));
        judged.push(change, [Step::SetUp(wanted.is_up())]);
    }
    addresses(wanted, interface, &mut judged);
    for gateway in &wanted.gateways {
        gateways::judge(wanted, interface, network, *gateway, &mut judged);
    }
    if let Some(is_wanted) = wanted.forward {
        forwarding(is_wanted, forward, &mut judged);
    }
    judged
}

fn addresses(wanted: &Wanted, interface: &Interface, judged: &mut Judged) {
    let is_declared = |found: &InterfaceAddress| wanted.addresses.contains(&found.cidr);
    let is_missing = |cidr: &&Cidr| !interface.addresses.iter().any(|found| found.cidr == **cidr);
    let missing: Vec<Cidr> = wanted.addresses.iter().filter(is_missing).copied().collect();
    let goes = |found: &&InterfaceAddress| {
        let is_other_prefix = wanted.addresses.iter().any(|cidr| cidr.ip == found.cidr.ip);
        found.made == Made::ByProgram && !is_declared(found) && (wanted.purge || is_other_prefix)
    };
    let gone: Vec<InterfaceAddress> = interface.addresses.iter().filter(goes).cloned().collect();
    let duplicate = interface.addresses.iter().find(|found| found.is_duplicate && is_declared(found));
    if let Some(found) = duplicate {
        judged.problem.get_or_insert_with(|| duplicated(found, interface));
    }
    if missing.is_empty() && gone.is_empty() {
        return;
    }
    let join = |all: &[Cidr]| match all {
        [] => "none".to_owned(),
        all => all.iter().map(Cidr::to_string).collect::<Vec<_>>().join(", "),
    };
    let before = interface.addresses.iter().filter(|found| found.made == Made::ByProgram).map(|found| found.cidr);
    let before: Vec<Cidr> = before.collect();
    let stays = before.iter().filter(|cidr| !gone.iter().any(|found| found.cidr == **cidr));
    let after: Vec<Cidr> = stays.chain(&missing).copied().collect();
    let removed = gone.iter().map(|found| format!("-{}\n", found.cidr));
    let diff: String = removed.chain(missing.iter().map(|cidr| format!("+{cidr}\n"))).collect();
    let change = Change::new("addrs", join(&before), join(&after)).with_diff(diff);
    // An interface has an address of IPv6 only once, with whatever prefix: the wrong one goes first.
    let (first, last): (Vec<_>, Vec<_>) = gone
        .into_iter()
        .partition(|found| found.cidr.ip.is_ipv6() && missing.iter().any(|cidr| cidr.ip == found.cidr.ip));
    let steps = first.into_iter().map(Step::Remove).chain(missing.into_iter().map(Step::Add));
    judged.push(change, steps.chain(last.into_iter().map(Step::Remove)));
}

fn duplicated(found: &InterfaceAddress, interface: &Interface) -> Error {
    let (ip, name) = (found.cidr.ip, &interface.name);
    let why = format!(
        "another machine on the link of `{name}` has the address {ip} (duplicate address detection): give one of them \
         another address, then remove {} from `{name}`, and it is added again",
        found.cidr
    );
    Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay))
}

fn forwarding(is_wanted: bool, found: &[(Family, bool)], judged: &mut Judged) {
    let wrong: Vec<Family> = found.iter().filter(|(_, is_on)| *is_on != is_wanted).map(|(family, _)| *family).collect();
    if wrong.is_empty() {
        return;
    }
    let from = match wrong.as_slice() {
        [one] if found.len() > 1 => format!("{} for {one}", !is_wanted),
        _ => (!is_wanted).to_string(),
    };
    let steps = wrong.into_iter().map(|family| Step::Forward(family, is_wanted));
    judged.push(Change::new("ip_forward", from, is_wanted), steps);
}

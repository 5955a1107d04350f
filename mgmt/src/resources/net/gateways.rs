//! What must be done about the default routes over an interface.

use std::net::IpAddr;

use crate::resource::{Change, Error, Obstacle, ObstacleKind};
use crate::resources::net::judge::{Judged, Step};
use crate::resources::net::wanted::Wanted;
use crate::sys::netlink::{DECLARED, DefaultRoute, Family, Interface, Made, Network, NewDefault, Rival};

/// Judges the route of one gateway.
pub(super) fn judge(wanted: &Wanted, interface: &Interface, network: &Network, gateway: IpAddr, judged: &mut Judged) {
    let family = Family::of(&gateway);
    let metric = wanted.metric_of(family);
    let routes = || network.defaults.iter().filter(|route| route.family == family);
    let is_here = |route: &&DefaultRoute| route.hops.iter().all(|hop| hop.index == interface.index);
    let is_right = |route: &&DefaultRoute| {
        let is_metric = wanted.metric.is_none() || route.metric == metric;
        is_metric && matches!(route.hops.as_slice(), [hop] if hop.gateway == Some(gateway))
    };
    let has_right = routes().filter(is_here).any(|route| is_right(&route));
    // What a router announces is not touched.
    let ours = || routes().filter(is_here).filter(|route| route.made == Made::ByProgram);
    let wrong: Vec<&DefaultRoute> = ours().filter(|route| !is_right(route)).collect();
    if has_right && wrong.is_empty() {
        return;
    }
    let mut steps = Vec::new();
    if !has_right {
        if let Some(other) = routes().find(|route| route.metric == metric && !is_here(route)) {
            judged.problem.get_or_insert_with(|| in_the_way(network, other, gateway, wanted));
            return;
        }
        let rival = match (routes().any(|route| route.metric == metric), family) {
            (false, _) => Rival::None,
            (true, Family::V4) => Rival::Goes,
            (true, Family::V6) => Rival::Stays,
        };
        let (index, on_link) = (interface.index, wanted.is_on_link(&gateway));
        let new = NewDefault { gateway, index, metric: wanted.metric, on_link, protocol: DECLARED };
        steps.push(Step::AddRoute(new, rival));
    }
    steps.extend(wrong.into_iter().cloned().map(Step::RemoveRoute));
    let shown = |gateway: Option<IpAddr>, metric: u32| {
        let gateway = gateway.map_or("no gateway".to_owned(), |gateway| gateway.to_string());
        if wanted.metric.is_some() { format!("{gateway} metric {metric}") } else { gateway }
    };
    let from: Vec<_> =
        ours().map(|route| shown(route.hops.first().and_then(|hop| hop.gateway), route.metric)).collect();
    let from = if from.is_empty() { "none".to_owned() } else { from.join(", ") };
    judged.push(Change::new("gateway", from, shown(Some(gateway), metric)), steps);
}

fn in_the_way(network: &Network, other: &DefaultRoute, gateway: IpAddr, wanted: &Wanted) -> Error {
    let names: Vec<_> = other.hops.iter().map(|hop| format!("`{}`", network.name_of(hop.index))).collect();
    let why = format!(
        "the default route through {gateway} can't be made: there is one of {} over {} with the same metric, {}; remove \
         that one, or give another `metric` than {}",
        other.family,
        names.join(" and "),
        other.metric,
        wanted.metric_of(other.family),
    );
    Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay))
}

//! The kind `schedule`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::resource::{
    ApplyCx, Candidate, Change, CheckCx, Chosen, Converge, FieldProblem, Known, PickOrder, Result, SCHEDULE_TTL,
    SCHEDULE_TTL_MIN, Schedule as Shared, Seat, Seconds, Terms, Uid, UidKey, Watch, WatchCx, WatchEvent, candidate_key,
    every, schedule_keys,
};
use mgmt_macros::Resource;

/// How long an apply waits until it is known whether the host is chosen. If that takes longer, the resource is checked
/// again as soon as it is known.
const KNOWN_MAX: Duration = Duration::from_secs(5);
/// The longest text that a host gives others to know, in bytes.
const DATA_BYTES_MAX: usize = 64 << 10;

/// Takes part in a schedule, which chooses at most `max` of the hosts that do, and sends whether this host is chosen.
/// The hosts agree on it through the world of their engines. Without a world, the host is the only one.
///
/// A host that is chosen stays chosen as long as it takes part: until the resource leaves its graph, it has `withdraw`,
/// its engine ends, or `ttl` after it has died or was cut off. Then another host takes its place. A host that is cut
/// off sends that it is not chosen before others can take its place, so never more than `max` hosts are chosen at once;
/// after a change of the terms or with `withdraw`, what follows from it may overlap for the moment that a host needs to
/// see the change.
///
/// All hosts should declare the same terms. If they differ, the smallest `max` counts, and otherwise the terms of the
/// first host by name.
///
/// ```
/// use mgmt::prelude::*;
///
/// // One of all hosts makes the backup.
/// let mut g = Graph::new("backup");
/// let backup = g.add(Schedule::new("backup"));
/// let state = backup.chosen().map(|chosen| if chosen { "now" } else { "another host" }.to_owned());
/// g.add(File::new("/etc/backup/who").content(state));
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "schedule")]
pub struct Schedule {
    /// The name of the resource.
    #[resource(name)]
    name: String,
    /// The name of the schedule, the same on all hosts: 1 to 4096 bytes. Default: the name.
    namespace: Option<String>,
    /// The order in which hosts are chosen: `spread` (it differs from schedule to schedule, so that several schedules
    /// spread evenly over all hosts) or `alphabetical`. Default: `spread`.
    #[resource(default)]
    strategy: PickOrder,
    /// At most this many hosts are chosen. Default: 1.
    #[resource(default = 1)]
    max: u32,
    /// Only hosts with all of these labels are chosen. Default: any host.
    #[resource(default)]
    only: BTreeMap<String, String>,
    /// Hosts with all of these labels are chosen before others. They do not take the place of a host that is chosen
    /// already. Default: none are preferred.
    #[resource(default)]
    prefer: BTreeMap<String, String>,
    /// Whether this host keeps its place when its engine ends, for the time of `ttl`: so a restart moves nothing.
    /// Default: false, so another host takes its place at once.
    #[resource(default)]
    persist: bool,
    /// How long this host keeps its place after it has died or was cut off, in seconds: at least 1. Default: 30.
    #[resource(default = Seconds(SCHEDULE_TTL))]
    ttl: Seconds,
    /// Whether this host takes no part and gives up its place, to be serviced for example. It still sends which hosts
    /// are chosen. Default: false.
    #[resource(default)]
    withdraw: bool,
    /// A text that other hosts get if this host is chosen, such as its address: at most 64 KiB. It is no secret.
    /// Default: an empty text.
    #[resource(default)]
    data: String,

    /// Whether this host is chosen.
    #[resource(send)]
    chosen: bool,
    /// The chosen hosts, in the order of their names.
    #[resource(send)]
    hosts: Vec<String>,
    /// The `data` of the chosen hosts, in the same order.
    #[resource(send)]
    hosts_data: Vec<String>,
}

/// The name of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Namespace(String);

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl UidKey for Namespace {
    const WORD: &'static str = "schedule";
}

/// The place of the host in the schedule, as long as the resource is in the graph.
#[derive(Debug, Default)]
struct Place(Mutex<Option<(String, Terms, Seat)>>);

impl Place {
    fn lock(&self) -> MutexGuard<'_, Option<(String, Terms, Seat)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Converge for Schedule {
    type Drift = Change;

    const STANDS_ALONE: bool = true;
    const LASTS: bool = false;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let bytes = self.namespace().len();
        let name = known.require("namespace", bytes > 0, "is empty", "give at least one character");
        let long =
            known.require("namespace", bytes <= 4096, format_args!("has {bytes} bytes"), "at most 4096 are allowed");
        let bytes = self.data.len();
        let data = known.require(
            "data",
            bytes <= DATA_BYTES_MAX,
            format_args!("has {bytes} bytes"),
            format_args!("at most {DATA_BYTES_MAX} are allowed"),
        );
        let ttl = known.require("ttl", self.ttl.0 >= SCHEDULE_TTL_MIN, "is too short", "give a second or more");
        every([name, long, data, ttl])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let Some(world) = cx.world() else {
            let has_all = self.only.iter().all(|(label, value)| cx.labels().get(label) == Some(value));
            let is_chosen = self.max > 0 && has_all && !self.withdraw;
            let (hosts, data) = if is_chosen { (cx.hostname(), self.data.as_str()) } else { ("", "") };
            let list = |text: &str| if is_chosen { vec![text.to_owned()] } else { Vec::new() };
            self.send(cx, Chosen { is_chosen, hosts: list(hosts), data: list(data) });
            return Ok(None);
        };
        let (schedule, host) = (self.namespace(), world.host());
        let takes_part = cx.scheduling().filter(|scheduling| scheduling.takes_part());
        if let Some(scheduling) = takes_part.filter(|_| !self.withdraw) {
            let is_here = cx
                .local::<Place>()
                .lock()
                .as_ref()
                .is_some_and(|(name, terms, _)| name == schedule && *terms == self.terms());
            if !is_here {
                return Ok(Some(Change::new("takes part", "no, or on other terms", "yes")));
            }
            // As soon as it is known, the resource is checked again.
            self.send(cx, scheduling.known(schedule).unwrap_or_default());
            return Ok(None);
        }
        let entries = world.get(vec![schedule_keys(schedule)]).await?.entries;
        let shared = Shared::of(schedule, &entries);
        let is_chosen = shared.is_chosen(host) && !self.withdraw;
        self.send(cx, Chosen { is_chosen, data: shared.data(), hosts: shared.chosen });
        // The entry of an engine that runs with the same graph, or of none.
        let takes_part = match takes_part_of(cx) {
            true => cx.local::<Place>().lock().is_some(),
            false => entries.contains_key(&candidate_key(schedule, host)),
        };
        let word = |takes_part: bool| if takes_part { "yes" } else { "no" };
        Ok((takes_part == self.withdraw).then(|| Change::new("takes part", word(takes_part), word(!self.withdraw))))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        let Some(scheduling) = cx.scheduling() else { return Ok(()) };
        let (schedule, terms) = (self.namespace().to_owned(), self.terms());
        let place = cx.local::<Place>();
        if self.withdraw {
            drop(place.lock().take());
            return Ok(());
        }
        let seat = scheduling.join(&schedule, &terms);
        drop(place.lock().replace((schedule.clone(), terms, seat)));
        let known = async {
            let mut count = 0;
            loop {
                if let Some(chosen) = scheduling.known(&schedule) {
                    return chosen;
                }
                count = scheduling.changed(count).await;
            }
        };
        self.send(cx, tokio::time::timeout(KNOWN_MAX, known).await.unwrap_or_default());
        Ok(())
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let Some(world) = cx.world() else { return Watch::none() };
        let keys = world.watch(vec![schedule_keys(self.namespace())]);
        let Some(scheduling) = cx.scheduling() else { return keys };
        keys.and(Watch::unfold(0, move |seen| {
            let scheduling = scheduling.clone();
            async move {
                let count = scheduling.changed(seen).await;
                let event = if seen == 0 { WatchEvent::Ready } else { WatchEvent::Changed };
                Ok((event, count))
            }
        }))
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        if known.is_known("namespace") { vec![Uid::of(Namespace(self.namespace().to_owned()))] } else { Vec::new() }
    }
}

fn takes_part_of(cx: &CheckCx) -> bool {
    cx.scheduling().is_some_and(|scheduling| scheduling.takes_part())
}

impl Schedule {
    fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(&self.name)
    }

    fn terms(&self) -> Terms {
        let candidate = Candidate {
            max: self.max,
            strategy: self.strategy,
            only: self.only.clone(),
            prefer: self.prefer.clone(),
            labels: BTreeMap::new(),
            data: self.data.clone(),
        };
        Terms { candidate, ttl: self.ttl.0, persist: self.persist }
    }

    fn send(&self, cx: &CheckCx, Chosen { is_chosen, hosts, data }: Chosen) {
        cx.send(Schedule::CHOSEN, is_chosen);
        cx.send(Schedule::HOSTS, hosts);
        cx.send(Schedule::HOSTS_DATA, data);
    }
}

//! Schedules for closures: the host takes part as long as a graph reads the schedule.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::gapi::hosts::view::WorldView;
use crate::gapi::signal::Readable;
use crate::resource::{Chosen, PickOrder, SCHEDULE_TTL_MIN, Terms};

/// A schedule, which chooses some of the hosts that take part in it, made by [`WorldView::schedule`]. This host takes
/// part as long as its graph reads the schedule, and leaves it with the engine. See
/// [`Schedule`](crate::resources::Schedule), the kind that does the same, for what is promised.
#[derive(Clone, Debug)]
#[must_use = "the host takes part when this is read"]
pub struct WorldSchedule {
    view: WorldView,
    name: String,
    terms: Terms,
}

impl WorldSchedule {
    pub(super) fn new(view: WorldView, name: String) -> WorldSchedule {
        WorldSchedule { view, name, terms: Terms::default() }
    }

    /// At most this many hosts are chosen. Default: 1.
    pub fn pick(mut self, hosts: u32) -> Self {
        self.terms.candidate.max = hosts;
        self
    }

    /// The order in which hosts are chosen. Default: [`PickOrder::Spread`].
    pub fn strategy(mut self, strategy: PickOrder) -> Self {
        self.terms.candidate.strategy = strategy;
        self
    }

    /// Only hosts with this label are chosen. If there are several, with all of them. Default: any host.
    pub fn only(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.terms.candidate.only.insert(label.into(), value.into());
        self
    }

    /// Hosts with this label are chosen before others, but do not take the place of one that is chosen already. If
    /// there are several, hosts with all of them. Default: none are preferred.
    pub fn prefer(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.terms.candidate.prefer.insert(label.into(), value.into());
        self
    }

    /// How long this host keeps its place after it has died or was cut off: at least a second. Default: 30 seconds.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.terms.ttl = ttl.max(SCHEDULE_TTL_MIN);
        self
    }

    /// Whether this host keeps its place for that time when its engine ends, too, so that a restart moves nothing.
    /// Default: no.
    pub fn persist(mut self, persist: bool) -> Self {
        self.terms.persist = persist;
        self
    }

    /// What other hosts get to know of this one if it is chosen, such as its address. It is no secret. Default: an
    /// empty text.
    pub fn data(mut self, data: impl Into<String>) -> Self {
        self.terms.candidate.data = data.into();
        self
    }
}

impl Readable<Chosen> for WorldSchedule {
    fn receiver(&self) -> watch::Receiver<Chosen> {
        let WorldSchedule { view, name, terms } = self;
        let Some(scheduling) = view.scheduling() else {
            return watch::channel(alone(view, terms)).1;
        };
        let seat = scheduling.join(name, terms);
        let known = scheduling.known(name);
        let is_known = Arc::new(AtomicBool::new(known.is_some()));
        let (sender, receiver) = watch::channel(known.unwrap_or_default());
        view.wait_for(Arc::clone(&is_known));
        let (view, name) = (view.clone(), name.clone());
        tokio::spawn(async move {
            let _seat = seat;
            let mut count = 0;
            loop {
                tokio::select! {
                    next = scheduling.changed(count) => count = next,
                    () = sender.closed() => return,
                }
                let Some(known) = scheduling.known(&name) else { continue };
                sender.send_if_modified(|now| {
                    let differs = *now != known;
                    *now = known;
                    differs
                });
                is_known.store(true, Ordering::Relaxed);
                view.made_progress();
            }
        });
        receiver
    }
}

/// Without a world there is no other host.
fn alone(view: &WorldView, terms: &Terms) -> Chosen {
    let mut chosen = Chosen::default();
    let host = view.this_host();
    let has_all = terms.candidate.only.iter().all(|(label, value)| host.labels.get(label) == Some(value));
    if terms.candidate.max > 0 && has_all {
        chosen.is_chosen = true;
        chosen.hosts.push(host.name.clone());
        chosen.data.push(terms.candidate.data.clone());
    }
    chosen
}

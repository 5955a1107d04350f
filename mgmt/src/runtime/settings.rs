//! The settings of each resource, as the scheduler has them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::Vertex;
use crate::resource::Meta;
use crate::runtime::numbers::Numbers;
use crate::runtime::tries::{backoff, timeout};
use crate::scheduler::NodeConfig;

/// The facts about a resource, independent of its settings, that the scheduler needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Facts {
    watched: bool,
    ticks: bool,
    leaves: bool,
    reverses: bool,
    /// The kind, if several of its resources can share one call.
    together: Option<&'static str>,
}

impl Facts {
    fn of(vertex: &Vertex) -> Facts {
        let spec = vertex.resource.spec();
        // What it did before it was hidden ends and is undone with its departure all the same.
        let is_run = !vertex.is_hidden();
        Facts {
            watched: spec.watched && is_run,
            ticks: spec.ticks && is_run,
            leaves: spec.abilities.leave.is_some(),
            reverses: spec.abilities.reverse.is_some(),
            together: spec.abilities.many.filter(|_| is_run).map(|_| spec.kind),
        }
    }
}

/// The distinct settings of a graph.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) configs: Vec<NodeConfig>,
    /// By metaparameters as text and facts of the kind.
    known: HashMap<(String, Facts), u32>,
    plain: HashMap<Facts, u32>,
    last_plain: Option<(Facts, u32)>,
    last: Option<(*const Meta, Facts, u32)>,
    /// Numbers of semaphores.
    pub(super) semas: Numbers,
    /// Numbers of kinds that handle several resources in one call.
    pub(super) together: Numbers,
}

impl Settings {
    /// With the numbers of the graph before.
    pub(super) fn new(semas: Numbers, together: Numbers) -> Settings {
        Settings { semas, together, ..Settings::default() }
    }

    /// The number of the settings of a resource.
    pub(super) fn of(&mut self, vertex: &Vertex) -> u32 {
        let facts = Facts::of(vertex);
        let Some(meta) = &vertex.meta else {
            if let Some((_, config)) = self.last_plain.filter(|(last, _)| *last == facts) {
                return config;
            }
            let config = match self.plain.get(&facts) {
                Some(known) => *known,
                None => self.make(&Meta::default(), facts),
            };
            self.plain.insert(facts, config);
            self.last_plain = Some((facts, config));
            return config;
        };
        if let Some((last, was, config)) = self.last
            && std::ptr::eq(last, Arc::as_ptr(meta))
            && was == facts
        {
            return config;
        }
        let key = (format!("{meta:?}"), facts);
        let config = match self.known.get(&key) {
            Some(known) => *known,
            None => {
                let made = self.make(meta, facts);
                self.known.insert(key, made);
                made
            }
        };
        self.last = Some((Arc::as_ptr(meta), facts, config));
        config
    }

    fn make(&mut self, meta: &Meta, facts: Facts) -> u32 {
        // Of the settings of a resource that is not run, none of those that would make it run or wait counts.
        let hidden = Meta { hidden: true, reverse: meta.reverse, ..Meta::default() };
        let meta = if meta.hidden { &hidden } else { meta };
        let mut sema = Vec::new();
        for one in &meta.sema {
            sema.push((self.semas.number(one.name()), one.size()));
        }
        sema.sort_unstable();
        sema.dedup();
        let together = facts.together.map(|kind| self.together.number(kind));
        self.configs.push(NodeConfig {
            noop: meta.is_only_checked(),
            retry: u32::try_from(meta.retry).ok(),
            delay: meta.delay,
            backoff: backoff(meta),
            poll: meta.poll,
            limit: meta.limit,
            burst: meta.burst,
            timeout: timeout(meta),
            sema,
            watched: facts.watched && meta.watch,
            ticks: facts.ticks,
            rewatch: meta.rewatch,
            reset: meta.reset,
            converged_timeout: meta.converged_timeout.filter(|timeout| !timeout.is_zero()),
            leaves: facts.leaves,
            undoes: facts.reverses && meta.reverse,
            together,
        });
        u32::try_from(self.configs.len() - 1).unwrap_or(u32::MAX)
    }
}

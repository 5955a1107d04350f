//! Metaparameters: settings that every resource has, whatever its kind.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::any::AnyResource;
use crate::resource::known::Known;
use crate::resource::seconds::{self, Seconds};
use crate::resource::sema::Sema;
use crate::resource::spec::{KindSpec, hint};

/// How the delay between tries grows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Backoff {
    /// The delay stays the same.
    Constant,
    /// The delay is doubled with each failure in a row, up to the given maximum; the actual delay is random, in its
    /// upper half.
    Exponential {
        /// The longest delay.
        #[serde(with = "seconds")]
        #[schemars(with = "Seconds")]
        max: Duration,
    },
}

/// Settings that every resource has. Builders have a setter for each; [`Meta::with`] sets several at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Meta {
    /// The resource is only checked, never applied. Default: false.
    pub noop: bool,
    /// As `noop`, and drift is an alert: it is logged as a warning, counted by the metric `mgmt_alerts`, pending in a
    /// plan, and the reason for exit code 2 of a run with a converged timeout. Default: false.
    pub alert: bool,
    /// The resource is in the graph and is not run: it is not watched, checked or applied, and its kind does not
    /// examine the system. It keeps its place in the order, and what it owns, so what comes after it still waits for
    /// what comes before it; a refresh that it is owed stays owed. Nothing may receive from it. No edge is added to it
    /// automatically, and it is in no group. What it did before it was hidden stays as it is until it leaves the graph.
    /// Default: false.
    pub hidden: bool,
    /// How many more tries follow the first failure; -1: no limit. Check/apply and watch count separately. A success
    /// restores all tries; the success of a watch is to have listened for ten seconds, and at least as long as the
    /// pause before it. A failure with an obstacle ([`Error::obstacle`](crate::resource::Error::obstacle)) uses up no
    /// try: the resource waits until the obstacle has disappeared. Default: 0.
    pub retry: i32,
    /// The pause before each further try. Default: none.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub delay: Duration,
    /// How that pause grows. Default: it stays the same.
    pub backoff: Backoff,
    /// The engine listens to what the kind watches. Default: true.
    pub watch: bool,
    /// The interval of checks in addition to the watch. Default: never.
    #[serde(with = "seconds::option")]
    #[schemars(with = "Option<Seconds>")]
    pub poll: Option<Duration>,
    /// The highest rate of checks that the watch causes, per second. Default: no limit.
    pub limit: Option<f64>,
    /// The most such checks that may follow each other immediately before `limit` applies. Default: 1.
    pub burst: u32,
    /// The longest time for a check or an apply: a longer one is cancelled and has failed. Default: no limit.
    #[serde(with = "seconds::option")]
    #[schemars(with = "Option<Seconds>")]
    pub timeout: Option<Duration>,
    /// Semaphores to hold while this resource is checked or applied: `name`, or `name:size`; the default size is 1.
    /// Default: none.
    pub sema: Vec<Sema>,
    /// Fields of the kind that are neither compared nor repaired: as if they were not declared. Each must have a
    /// default, and must not receive its value from another resource. A plan names them. Default: none.
    pub ignore: Vec<String>,
    /// Passes may add edges to and from the resource. Default: true.
    pub autoedge: bool,
    /// The resource may be grouped with others of its kind. Default: true.
    pub autogroup: bool,
    /// When the resource has left the graph, what it changed is undone: see [`Reverse`](crate::resource::Reverse). Only
    /// for kinds that can do this. Default: false.
    pub reverse: bool,
    /// Any new graph gives the resource its tries back after it has failed for good. Default: false, so only a graph
    /// that changes the resource does.
    pub rewatch: bool,
    /// Every new graph gives the resource all its tries back, and ends the pause before the next one, also if the graph
    /// leaves the resource as it is. Default: false, so such a resource keeps its tries.
    pub reset: bool,
    /// The graph counts as converged only after the resource has been in sync and quiet for this long, in addition to
    /// the timeout of the run. A repair, a failure or the end of a pause starts the time again; a check that finds
    /// nothing to do does not. Default: no time of its own.
    #[serde(with = "seconds::option")]
    #[schemars(with = "Option<Seconds>")]
    pub converged_timeout: Option<Duration>,
}

impl Default for Meta {
    fn default() -> Self {
        Meta {
            noop: false,
            alert: false,
            hidden: false,
            retry: 0,
            delay: Duration::ZERO,
            backoff: Backoff::Constant,
            watch: true,
            poll: None,
            limit: None,
            burst: 1,
            timeout: None,
            sema: Vec::new(),
            ignore: Vec::new(),
            autoedge: true,
            autogroup: true,
            reverse: false,
            rewatch: false,
            reset: false,
            converged_timeout: None,
        }
    }
}

impl Meta {
    /// The defaults with these changes.
    ///
    /// ```
    /// use mgmt::{prelude::*, resource::Meta};
    ///
    /// let patient = Meta::with(|meta| {
    ///     meta.retry = 3;
    ///     meta.delay = Duration::from_secs(10);
    /// });
    /// let seed = Exec::new("seed").cmd("/usr/local/bin/seed").meta(patient);
    /// # drop(seed);
    /// ```
    pub fn with(change: impl FnOnce(&mut Meta)) -> Meta {
        let mut meta = Meta::default();
        change(&mut meta);
        meta
    }

    /// Whether the resource is never applied.
    pub(crate) fn is_only_checked(&self) -> bool {
        self.noop || self.alert || self.hidden
    }

    /// The resource without the fields that these settings ignore.
    pub(crate) fn reduced(&self, resource: Arc<dyn AnyResource>) -> Arc<dyn AnyResource> {
        if self.ignore.is_empty() {
            return resource;
        }
        let fields: Vec<u8> = self.ignore.iter().filter_map(|name| resource.spec().field(name)).collect();
        resource.without(&fields).unwrap_or(resource)
    }

    /// The mistakes in the fields to ignore.
    pub(crate) fn wrong_ignored(&self, spec: &'static KindSpec, known: &Known<'_>) -> Vec<String> {
        let wrong = |name: &String| {
            let Some(number) = spec.field(name) else {
                let hint = hint(name, spec.fields.iter().map(|field| field.name), "its fields are");
                return Some(format!("`ignore` names `{name}`, which is no field of {}: {hint}", spec.kind));
            };
            if spec.fields[usize::from(number)].required {
                return Some(format!("`ignore` names `{name}`, which must have a value: leave it out there"));
            }
            let receives = !known.is_known(name);
            receives.then(|| format!("`ignore` names `{name}`, which receives its value: leave out one of them"))
        };
        self.ignore.iter().filter_map(wrong).collect()
    }

    /// What is wrong with `reverse` for this kind.
    pub(crate) fn wrong_reverse(&self, spec: &'static KindSpec) -> Option<String> {
        let problem =
            || format!("`reverse` has no meaning for the kind `{}`, which can't be undone: leave it out", spec.kind);
        (self.reverse && spec.abilities.reverse.is_none()).then(problem)
    }

    /// What has no effect in these settings.
    pub fn warnings(&self) -> Vec<String> {
        let idle = self.burst > 1 && self.limit.is_none();
        let burst =
            format!("`burst` is {}, which has no effect without `limit`: give a limit, or leave it out", self.burst);
        idle.then_some(burst).into_iter().collect()
    }

    /// The mistakes in these settings.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.retry < -1 {
            problems.push(format!("`retry` is {}: give the number of further tries, or -1 for no limit", self.retry));
        }
        if self.limit.is_some_and(|limit| !(limit.is_finite() && limit > 0.0)) {
            problems.push("`limit` must be more than 0 checks per second".to_owned());
        }
        if self.burst == 0 && self.limit.is_some() {
            problems.push("`burst` is 0, so with `limit` no check could ever start: give at least 1".to_owned());
        }
        if self.poll.is_some_and(|poll| poll < Duration::from_millis(1)) {
            problems.push("`poll` must be at least a millisecond".to_owned());
        }
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            problems.push("`timeout` is 0: leave it out for none".to_owned());
        }
        problems.extend(self.sema.iter().filter_map(Sema::problem));
        problems
    }
}

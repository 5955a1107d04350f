//! Metaparameters: settings that every resource has, whatever its kind.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::seconds::{self, Seconds};
use crate::resource::sema::Sema;

/// How the delay between tries grows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Backoff {
    /// Always the same.
    Constant,
    /// Doubled with each failure in a row, up to the given longest delay, and spread over its upper half.
    Exponential {
        /// No delay is longer.
        #[serde(with = "seconds")]
        #[schemars(with = "Seconds")]
        max: Duration,
    },
}

/// Settings that every resource has. Builders have a setter for each; several at once are made with [`Meta::with`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Meta {
    /// Check only, never apply. Default: false.
    pub noop: bool,
    /// How many more tries after the first failure, -1: for ever. Check/apply and watch count separately. A success refills: of a watch, that it
    /// listened for ten seconds, and for no less than the pause before it. What fails for a cause that the outside can
    /// take away ([`Error::obstacle`](crate::resource::Error::obstacle)) uses up none: it waits for that. Default: 0.
    pub retry: i32,
    /// Pause before each further try. Default: none.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub delay: Duration,
    /// How that pause grows. Default: constant.
    pub backoff: Backoff,
    /// Listen to what the kind watches. Default: true.
    pub watch: bool,
    /// Check every so often, whatever the watch says. Default: never.
    #[serde(with = "seconds::option")]
    #[schemars(with = "Option<Seconds>")]
    pub poll: Option<Duration>,
    /// Highest rate of checks caused by the watch, per second. Default: no limit.
    pub limit: Option<f64>,
    /// How many such checks may come at once before `limit` bites. Default: 1.
    pub burst: u32,
    /// A check or an apply that takes longer is cancelled and counts as failed. Default: none.
    #[serde(with = "seconds::option")]
    #[schemars(with = "Option<Seconds>")]
    pub timeout: Option<Duration>,
    /// Semaphores held while this resource is checked or applied: `name`, or `name:size`; size 1 unless given. Default:
    /// none.
    pub sema: Vec<Sema>,
    /// May edges be found by the engine. Default: true.
    pub autoedge: bool,
    /// May it be merged with others of its kind. Default: true.
    pub autogroup: bool,
    /// A new graph revives it if it has failed for good. Default: false.
    pub rewatch: bool,
}

impl Default for Meta {
    fn default() -> Self {
        Meta {
            noop: false,
            retry: 0,
            delay: Duration::ZERO,
            backoff: Backoff::Constant,
            watch: true,
            poll: None,
            limit: None,
            burst: 1,
            timeout: None,
            sema: Vec::new(),
            autoedge: true,
            autogroup: true,
            rewatch: false,
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

    /// What is wrong with these settings, if anything.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.retry < -1 {
            problems.push(format!("`retry` is {}: give the number of further tries, or -1 for no end", self.retry));
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

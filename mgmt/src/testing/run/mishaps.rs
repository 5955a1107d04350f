//! Failures that a test arranges for resources of its graph.

use std::time::Duration;

use crate::id::ResourceId;
use crate::runtime::{Act, Mishap, Stage};
use crate::sys::simulated::Host;

/// Arranged failures. Each happens once, to the next operation of its sort, in the engine that runs on the host or in
/// the next one.
impl Host {
    /// The next repair of the resource fails with this error, and does nothing.
    ///
    /// # Panics
    /// This is no name of a resource (`file[/etc/motd]`).
    #[track_caller]
    pub fn fail_next(&self, resource: &str, error: &str) {
        self.arrange(resource, Act::Apply, Mishap::Fail(error.to_owned()));
    }

    /// The next check of the resource fails with this error.
    ///
    /// # Panics
    /// As [`Host::fail_next`].
    #[track_caller]
    pub fn fail_next_check(&self, resource: &str, error: &str) {
        self.arrange(resource, Act::Check, Mishap::Fail(error.to_owned()));
    }

    /// The next refresh of the resource fails with this error, and does nothing.
    ///
    /// # Panics
    /// As [`Host::fail_next`].
    #[track_caller]
    pub fn fail_next_refresh(&self, resource: &str, error: &str) {
        self.arrange(resource, Act::Refresh, Mishap::Fail(error.to_owned()));
    }

    /// The next repair of the resource begins so much later.
    ///
    /// # Panics
    /// As [`Host::fail_next`].
    #[track_caller]
    pub fn slow(&self, resource: &str, by: Duration) {
        self.arrange(resource, Act::Apply, Mishap::Slow(by));
    }

    /// The next repair of the resource never ends, and does nothing, unless its `timeout` ends it.
    ///
    /// # Panics
    /// As [`Host::fail_next`].
    #[track_caller]
    pub fn hang_next(&self, resource: &str) {
        self.arrange(resource, Act::Apply, Mishap::Hang);
    }

    /// The process is killed before the next repair of the resource has done anything.
    ///
    /// # Panics
    /// As [`Host::fail_next`].
    #[track_caller]
    pub fn crash_before(&self, resource: &str) {
        self.arrange(resource, Act::Apply, Mishap::CrashBefore);
    }

    /// The process is killed when the next repair of the resource has done its work, before the engine knows that.
    ///
    /// # Panics
    /// As [`Host::fail_next`].
    #[track_caller]
    pub fn crash_after(&self, resource: &str) {
        self.arrange(resource, Act::Apply, Mishap::CrashAfter);
    }

    /// The process is killed right before the n-th change of a file from now on, counted from 1: each step of a write
    /// is one.
    pub fn crash_at_change(&self, n: u64) {
        self.life().end_at_change(n.max(1));
    }

    /// How many changes of files the process that runs on the host has made.
    pub fn changes_of_files(&self) -> u64 {
        self.life().changes()
    }

    #[track_caller]
    fn arrange(&self, resource: &str, act: Act, mishap: Mishap) {
        self.part::<Stage>().arrange(id_of(resource), act, mishap);
    }
}

/// The identity that a text is.
#[track_caller]
pub(in crate::testing) fn id_of(resource: &str) -> ResourceId {
    match resource.parse() {
        Ok(id) => id,
        Err(_) => panic!("`{resource}` is no name of a resource, such as `file[/etc/motd]`"),
    }
}

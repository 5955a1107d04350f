//! The journal of a simulated host: it outlives the engines that run there one after the other.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::entry::{Entry, Owed};
use super::journal::Journal;
use super::mirror::Mirror;
use crate::id::ResourceId;
use crate::sys::rng;
use crate::sys::simulated::{Host, Life, Part};

/// After this time, what was noted is on the disk, as with a real journal.
const LAZY: Duration = Duration::from_millis(100);

/// What is on the disk.
#[derive(Debug, Default)]
struct Kept(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    salt: Option<[u8; 32]>,
    durable: Mirror,
    /// With what was noted since.
    present: Mirror,
    /// When the first of that was noted.
    noted: Option<Duration>,
}

impl Part for Kept {
    fn fork(&self) -> Kept {
        let state = self.state();
        let (durable, present) = (state.durable.clone(), state.present.clone());
        Kept(Mutex::new(State { salt: state.salt, durable, present, noted: state.noted }))
    }

    fn state(&self, _: &Host) -> Vec<String> {
        // What an engine remembers depends on its past: it is not the same after another way to the same state.
        Vec::new()
    }
}

impl Kept {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self) {
        (self.durable, self.noted) = (self.present.clone(), None);
    }
}

/// The disk of a simulated host, for the journal of one process.
#[derive(Debug)]
pub(super) struct Disk {
    host: Host,
    life: Life,
}

impl Disk {
    /// Keeps a batch. `lazily`: it is lost if the process is killed soon. Returns `false` if the process is over.
    pub(super) fn keep(&self, batch: &[Entry], lazily: bool) -> bool {
        if self.life.is_over() {
            return false;
        }
        let (kept, now) = (self.host.part::<Kept>(), self.host.elapsed());
        let mut state = kept.state();
        if state.noted.is_some_and(|noted| noted + LAZY <= now) {
            state.write();
        }
        batch.iter().for_each(|entry| state.present.apply(entry.clone(), &mut Default::default()));
        match lazily {
            true => _ = state.noted.get_or_insert(now),
            false => state.write(),
        }
        true
    }

    /// Keeps what was noted: the process ends in order.
    pub(super) fn close(&self) {
        if !self.life.is_over() {
            self.host.part::<Kept>().state().write();
        }
    }
}

impl Journal {
    /// The journal of a simulated host, for the process that runs there.
    ///
    /// # Errors
    /// There is no randomness, which can't be on a simulated host.
    pub(crate) fn of_host(host: &Host) -> std::io::Result<Journal> {
        let (kept, now) = (host.part::<Kept>(), host.elapsed());
        let mut state = kept.state();
        let salt = match state.salt {
            Some(salt) => salt,
            None => {
                let mut salt = [0; 32];
                rng::fill(&mut salt)?;
                *state.salt.insert(salt)
            }
        };
        match state.noted {
            // The process before was killed.
            Some(noted) if noted + LAZY > now => (state.present, state.noted) = (state.durable.clone(), None),
            _ => state.write(),
        }
        let disk = Disk { host: host.clone(), life: host.life() };
        Ok(Journal::on(disk, state.durable.clone(), salt))
    }

    /// What the journal of a simulated host contains now, for reading only.
    ///
    /// # Errors
    /// As [`Journal::of_host`].
    pub(crate) fn glance_at_host(host: &Host) -> std::io::Result<Journal> {
        let kept = host.part::<Kept>();
        let state = kept.state();
        Ok(Journal::in_memory(state.present.clone(), state.salt.unwrap_or_default()))
    }

    /// What the journal of a simulated host contains, one line for each thing, sorted.
    pub(crate) fn lines_on(host: &Host) -> Vec<String> {
        host.part::<Kept>().state().present.lines()
    }

    /// All refreshes that are owed on a simulated host.
    pub(crate) fn owed_on(host: &Host) -> Vec<(ResourceId, ResourceId, Owed)> {
        host.part::<Kept>().state().present.all_owed()
    }
}

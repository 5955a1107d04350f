//! Faults on demand, for tests: fail at, die at, or interleave with the n-th system call of one `WriteFs`.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::calls::Call;

/// The system calls that a fault applies to. Numbers begin with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The n-th call that changes something ([`Call::is_change`]).
    Change(usize),
    /// The n-th call of this sort.
    Nth(Call, usize),
    /// Each call of this sort.
    Every(Call),
}

type Hook = Arc<Mutex<dyn FnMut() + Send>>;

#[derive(Clone)]
enum Act {
    Fail(i32),
    KillBefore,
    KillAfter,
    Hook(Hook),
}

#[derive(Default)]
struct State {
    rules: Vec<(At, Act)>,
    changes: Vec<(Call, PathBuf)>,
    counts: HashMap<Call, usize>,
}

/// Faults of one `WriteFs` and its clones; no other is affected. Faults can be added at any time.
#[derive(Default)]
pub struct Faults {
    state: Mutex<State>,
}

impl Faults {
    /// No faults yet; counting begins now.
    pub fn new() -> Arc<Faults> {
        Arc::new(Faults::default())
    }

    /// Makes the call fail with this errno (28 is `ENOSPC`), without making it.
    pub fn fail(&self, at: At, errno: i32) {
        self.state().rules.push((at, Act::Fail(errno)));
    }

    /// The process kills itself (`SIGKILL`) instead of making the call.
    pub fn kill_before(&self, at: At) {
        self.state().rules.push((at, Act::KillBefore));
    }

    /// The process kills itself (`SIGKILL`) when the call is done.
    pub fn kill_after(&self, at: At) {
        self.state().rules.push((at, Act::KillAfter));
    }

    /// Runs `hook` right before the call, on the thread that makes it.
    pub fn hook(&self, at: At, hook: impl FnMut() + Send + 'static) {
        self.state().rules.push((at, Act::Hook(Arc::new(Mutex::new(hook)))));
    }

    /// The calls that changed something (or would have), in order.
    pub fn changes(&self) -> Vec<(Call, PathBuf)> {
        self.state().changes.clone()
    }

    /// The number of calls of this sort so far.
    pub fn count(&self, call: Call) -> usize {
        self.state().counts.get(&call).copied().unwrap_or(0)
    }

    /// Drops all rules and counts.
    pub fn reset(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn around<T>(
        &self,
        call: Call,
        path: &Path,
        f: &mut impl FnMut() -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        let acts = self.count_and_match(call, path);
        // The state is not locked from here on: hooks may use the same door.
        for act in &acts {
            match act {
                Act::Hook(hook) => (hook.lock().unwrap_or_else(PoisonError::into_inner))(),
                Act::KillBefore => die(),
                Act::Fail(_) | Act::KillAfter => {}
            }
        }
        for act in &acts {
            if let Act::Fail(errno) = act {
                return Err(Errno::from_raw_os_error(*errno));
            }
        }
        let outcome = f();
        if acts.iter().any(|act| matches!(act, Act::KillAfter)) {
            die();
        }
        outcome
    }

    fn count_and_match(&self, call: Call, path: &Path) -> Vec<Act> {
        let mut state = self.state();
        let nth = state.counts.entry(call).or_default();
        *nth += 1;
        let nth = *nth;
        if call.is_change() {
            state.changes.push((call, path.to_path_buf()));
        }
        let change = call.is_change().then_some(state.changes.len());
        let applies = |at: &At| match *at {
            At::Change(n) => change == Some(n),
            At::Nth(of, n) => of == call && n == nth,
            At::Every(of) => of == call,
        };
        state.rules.iter().filter(|(at, _)| applies(at)).map(|(_, act)| act.clone()).collect()
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("rules", &self.state().rules.len()).finish_non_exhaustive()
    }
}

/// Kills the process at once: the purpose of these faults is that no clean-up of any sort runs.
fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}

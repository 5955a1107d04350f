//! What an invariant is: it watches every input and every command, beside the books and reality.

use mgmt::id::Time;
use mgmt::scheduler::{Command, Config, Input, Scheduler};

use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::world::World;

/// What an invariant may look at.
pub struct Cx<'a> {
    pub now: Time,
    pub config: &'a Config,
    pub scheduler: &'a Scheduler,
    pub ledger: &'a Ledger,
    pub world: &'a World,
    pub journal: &'a Journal,
}

pub type Verdict = Result<(), String>;

pub trait Invariant {
    /// Its name: the file's.
    fn name(&self) -> &'static str;

    /// An input is about to be handed over; the books do not have it yet.
    fn input(&mut self, _cx: &Cx, _input: &Input) -> Verdict {
        Ok(())
    }

    /// A command came out; the books have the input, but not this command yet.
    fn command(&mut self, _cx: &Cx, _command: &Command) -> Verdict {
        Ok(())
    }

    /// All commands that follow an input came out.
    fn after(&mut self, _cx: &Cx) -> Verdict {
        Ok(())
    }

    /// The engine has died and starts again.
    fn restart(&mut self) {}

    /// The faults ended long ago, and all should be well.
    fn end(&mut self, _cx: &Cx) -> Verdict {
        Ok(())
    }
}

/// Fails with a text unless the condition holds.
#[macro_export]
macro_rules! must {
    ($holds:expr, $($text:tt)*) => {
        let holds: bool = $holds;
        if !holds {
            return Err(format!($($text)*));
        }
    };
}

/// The node of an operation that a command begins.
pub fn begun(command: &Command) -> Option<u32> {
    match command {
        Command::Check { op, .. } | Command::Apply { op, .. } | Command::Refresh { op, .. } => Some(op.node.0),
        _ => None,
    }
}

pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(crate::order::Order),
        Box::new(crate::blocked::Blocked::default()),
        Box::new(crate::one_at_a_time::OneAtATime::default()),
        Box::new(crate::dirty_by_cause::DirtyByCause),
        Box::new(crate::causes::TrueCauses::default()),
        Box::new(crate::watch_ready::WatchReady::default()),
        Box::new(crate::values::Values),
        Box::new(crate::noop::Noop),
        Box::new(crate::refresh_owed::RefreshOwed),
        Box::new(crate::intents::Intents),
        Box::new(crate::retry::Retry),
        Box::new(crate::waiting::Waiting::default()),
        Box::new(crate::gates::Gates::default()),
        Box::new(crate::groups::Groups::default()),
        Box::new(crate::old_drift::OldDrift),
        Box::new(crate::share::Shares),
        Box::new(crate::generations::Generations),
        Box::new(crate::swap::Swaps::default()),
        Box::new(crate::leaving::Leaving::default()),
        Box::new(crate::handover::Handovers::default()),
        Box::new(crate::convergence::Convergence::default()),
        Box::new(crate::hopeless::Hopeless::default()),
        Box::new(crate::stop::Stop::default()),
        Box::new(crate::healed::Healed),
    ]
}

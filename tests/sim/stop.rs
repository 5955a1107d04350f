//! After a stop nothing begins; checks are cancelled, applies end (or are cancelled too, by the second stage); only
//! then it has stopped (section 5.9).

use mgmt::scheduler::{Command, StopStage};

use crate::invariant::{Cx, Invariant, Verdict, begun};
use crate::must;
use crate::world::Act;

#[derive(Default)]
pub struct Stop {
    stopped: bool,
}

impl Invariant for Stop {
    fn name(&self) -> &'static str {
        "stop"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        must!(begun(command).is_none() || cx.ledger.stop.is_none(), "{command:?} after a stop");
        if *command == Command::Stopped {
            must!(!self.stopped, "stopped twice");
            must!(cx.ledger.stop.is_some(), "stopped unasked");
            must!(cx.world.running.is_empty(), "stopped while {:?} is under way", cx.world.running);
            self.stopped = true;
        }
        Ok(())
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        let Some(stage) = cx.ledger.stop else { return Ok(()) };
        for busy in cx.ledger.busy.values() {
            let wanted = busy.act == Act::Check || stage == StopStage::Cancel;
            must!(!wanted || busy.cancelled, "a stop, and {:?} was not cancelled", busy.op);
        }
        must!(self.stopped || !cx.world.running.is_empty(), "a stop, nothing is under way, and it has not stopped");
        Ok(())
    }

    fn restart(&mut self) {
        self.stopped = false;
    }
}

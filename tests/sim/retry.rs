//! Tries: separate for operations and the watch, delayed, refilled by a success (of a watch: that it listened long
//! enough), never used up by a cancellation (section 5.6; R9, S07).

use mgmt::id::Node;
use mgmt::scheduler::{Command, Event, Failing, State};

use crate::invariant::{Cx, Invariant, Verdict, begun};
use crate::must;

pub struct Retry;

impl Invariant for Retry {
    fn name(&self) -> &'static str {
        "retry"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        if let Some(node) = begun(command) {
            let entry = &cx.ledger.nodes[&node];
            must!(!entry.dead, "{command:?} of a node that failed for good");
            must!(entry.retry_at.is_none_or(|at| at <= cx.now), "{command:?} before the delay is over");
        }
        if let Command::Event(Event::Failed { node, what, retry_in, .. }) = command {
            let entry = &cx.ledger.nodes[&node.0];
            let failing = if *what == Failing::Watch { entry.failing_watch } else { entry.failing_op };
            must!(failing, "{command:?}, but nothing of it has failed");
            must!(
                retry_in.is_none() == entry.dead,
                "{command:?} after {} tries, {} of the watch, of {:?}",
                entry.failures,
                entry.watch_failures,
                entry.config.retry
            );
        }
        Ok(())
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        for (node, entry) in &cx.ledger.nodes {
            let state = cx.scheduler.state(Node(*node));
            let (dead, busy) = (state == State::Failed, state == State::Running);
            must!(busy || dead == entry.dead, "{node}: failed for good: {dead}, after {} tries", entry.failures);
        }
        Ok(())
    }
}

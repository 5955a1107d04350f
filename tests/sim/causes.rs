//! The causes that a run names are those that there were, no more and no fewer; and they stay the same from its check
//! to its end.

use std::collections::BTreeMap;

use mgmt::scheduler::{Cause, Causes, Command, Event, Failing};

use crate::invariant::{Cx, Invariant, Verdict};
use crate::ledger;
use crate::must;

#[derive(Default)]
pub struct TrueCauses {
    /// Of the run under way, or of the last one.
    runs: BTreeMap<u32, Causes>,
}

/// What the books must know for a cause to be true.
fn is_true(cx: &Cx, node: u32, cause: Cause) -> bool {
    let entry = &cx.ledger.nodes[&node];
    let knows = |cause| entry.causes.contains(&cause);
    match cause {
        Cause::Start => knows(ledger::Cause::New),
        Cause::Watch => knows(ledger::Cause::Watch),
        Cause::Listening => knows(ledger::Cause::Ready),
        Cause::Poll => entry.config.poll.is_some() || entry.polled,
        Cause::Parent => knows(ledger::Cause::Parent),
        Cause::Tick => knows(ledger::Cause::Tick),
        Cause::Value => knows(ledger::Cause::Value),
        Cause::Config => knows(ledger::Cause::Config) || knows(ledger::Cause::Meta),
        Cause::Refresh => cx.ledger.is_owed(node) && !entry.config.noop || knows(ledger::Cause::Debt),
        Cause::Remake => entry.asked,
        // When its pause is over, no input tells.
        Cause::Retry => knows(ledger::Cause::Retry) || entry.waits.is_some(),
        Cause::Again => knows(ledger::Cause::Again),
        _ => false,
    }
}

/// These are marked by one input each, so that none of them may be missing. (Of the others the books know more than
/// they need.)
const EXACT: [Cause; 7] =
    [Cause::Start, Cause::Watch, Cause::Listening, Cause::Parent, Cause::Tick, Cause::Value, Cause::Config];

impl Invariant for TrueCauses {
    fn name(&self) -> &'static str {
        "causes"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        match command {
            Command::Check { op, causes, .. } => {
                let node = op.node.0;
                must!(!causes.is_empty(), "{command:?} without a cause");
                for cause in causes.iter() {
                    must!(is_true(cx, node, cause), "{command:?}, but `{cause}` is not true");
                }
                for cause in EXACT {
                    let named = causes.contains(cause);
                    must!(named || !is_true(cx, node, cause), "{command:?} does not name `{cause}`");
                }
                self.runs.insert(node, *causes);
            }
            Command::Apply { op, causes, .. } | Command::Refresh { op, causes } => {
                let began = self.runs.insert(op.node.0, *causes).unwrap_or_default();
                let more: Causes = causes.iter().filter(|cause| !began.contains(*cause)).collect();
                let lost = began.iter().find(|cause| !causes.contains(*cause));
                must!(lost.is_none(), "{command:?}, but its check began because of {began}");
                let absorbed = more.iter().all(|cause| matches!(cause, Cause::Refresh | Cause::Remake));
                must!(absorbed, "{command:?}, but its check began because of {began}");
            }
            Command::Event(
                Event::InSync { node, causes, .. }
                | Event::Drifted { node, causes, .. }
                | Event::Applied { node, causes, .. }
                | Event::Refreshed { node, causes, .. },
            ) => {
                must!(self.runs.get(&node.0) == Some(causes), "{command:?}, but it is {:?}", self.runs.get(&node.0));
            }
            Command::Event(Event::Failed { node, causes, what, .. }) => {
                let known = causes.is_empty() || *what != Failing::Watch && self.runs.get(&node.0) == Some(causes);
                must!(known, "{command:?}, but it is {:?}", self.runs.get(&node.0));
            }
            _ => {}
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.runs.clear();
    }
}

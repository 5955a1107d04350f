//! Before an apply or a refresh of a node with notify edges begins, its intents are on disk (section 5.5).

use mgmt::scheduler::Command;

use crate::invariant::{Cx, Invariant, Verdict};
use crate::must;

pub struct Intents;

impl Invariant for Intents {
    fn name(&self) -> &'static str {
        "intents"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        if let Command::Apply { op, .. } | Command::Refresh { op, .. } = command {
            let from = op.node.0;
            for (to, _) in cx.world.graph.children(from).filter(|(_, link)| link.notify) {
                must!(cx.journal.owes((from, to)), "{command:?} before its intent to notify {to} is on disk");
            }
        }
        Ok(())
    }
}

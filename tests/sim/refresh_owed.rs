//! A refresh is owed until paid (section 5.5; S01, R3): a refresh that a change of a notifier makes necessary in
//! reality is in the journal, wherever a crash cuts it, until it has really happened.

use crate::invariant::{Cx, Invariant, Verdict};
use crate::must;

pub struct RefreshOwed;

impl Invariant for RefreshOwed {
    fn name(&self) -> &'static str {
        "refresh_owed"
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        for (edge, durable) in &cx.world.needs {
            must!(
                !durable || cx.journal.owes_at_every_cut(*edge),
                "{} changed, {} was not refreshed, and a crash now would lose it",
                edge.0,
                edge.1
            );
        }
        Ok(())
    }
}

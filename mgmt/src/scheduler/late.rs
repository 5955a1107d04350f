//! Late watches: a run that ends as soon as it has converged need not listen to what it finds in sync, and to begin and
//! end listening takes longer than to look. If it is wanted (`Config::watch_late`), nodes are checked without a watch
//! at first. All watches begin before the first repair or refresh, with the first failure, pause or further graph, and
//! at once if a node has a timeout of its own for convergence, since it must be seen to be quiet. If the run has not
//! ended after all, they begin soon after the graph has converged or become hopeless. What was checked before its watch
//! listened is checked again then: no repair rests on what could have changed unnoticed.

use std::time::Duration;

use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use crate::id::Time;

/// How long after convergence a run that has not ended begins to watch.
pub const LATE: Duration = Duration::from_millis(100);

/// Whether and until when the start of the watches is put off.
#[derive(Debug)]
pub(super) struct Late {
    is_late: bool,
    /// When the watches begin.
    due: Option<Time>,
}

impl Late {
    pub(super) fn new(is_late: bool) -> Late {
        Late { is_late, due: None }
    }
}

impl Scheduler {
    /// The watches have not begun.
    pub(super) fn is_late(&self) -> bool {
        self.late.is_late
    }

    /// The graph has converged or become hopeless: if the run does not end with that, the watches begin soon.
    pub(super) fn end_late_soon(&mut self) {
        if self.late.is_late && !self.mutant(Mutant::LateForEver) {
            self.late.due.get_or_insert(self.now.after(LATE));
        }
    }

    /// When the watches begin, if nothing happens before.
    pub(super) fn late_due(&self) -> Option<Time> {
        self.late.due.filter(|_| self.late.is_late && self.stop.is_none())
    }

    /// Begins all watches, if they have not begun.
    pub(super) fn end_late(&mut self) {
        if self.stop.is_some() || !std::mem::replace(&mut self.late.is_late, false) {
            return;
        }
        for i in self.nodes.numbers() {
            let node = &self.nodes[i];
            if node.any(PRESENT) && self.settings(i).watched && !node.any(FAILED) {
                // A check under way ends; then the node is checked again.
                self.nodes[i].clear(WATCH_READY);
                self.watch(i);
                self.update(i);
            }
        }
    }
}

//! The end: no new work; running applies end, or are cancelled too.

use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use super::{Command, StopStage};

impl Scheduler {
    pub(super) fn begin_stop(&mut self, stage: StopStage) {
        self.stop = self.stop.max(Some(stage));
        self.drop_leaving();
        for i in self.nodes.numbers() {
            match self.nodes[i].phase() {
                Phase::Checking if stage == StopStage::Cancel && self.nodes[i].any(STAYS) => self.cancel_stay(i),
                Phase::Checking => self.cancel(i),
                // Nothing has begun: the intents are void.
                phase if phase.is_before_repair() => {
                    self.drop_intents(i);
                    self.run_again(i);
                }
                Phase::Applying | Phase::Refreshing | Phase::Leaving if stage == StopStage::Cancel => self.cancel(i),
                _ => {}
            }
        }
    }

    /// Reports when everything has ended. Refreshes that are owed stay in the journal.
    pub(super) fn end_stop(&mut self) {
        let runs = if self.mutant(Mutant::YieldedIsOver) { self.places.len() } else { self.runs() };
        if self.stop.is_some() && runs == 0 && !self.stopped {
            self.stopped = true;
            self.commands.push_back(Command::Stopped);
        }
    }
}

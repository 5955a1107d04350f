//! What the runtime would do with each command: watches start, operations begin, are cancelled and go on, with chance.

use std::time::Duration;

use mgmt::id::{Node, Time};
use mgmt::scheduler::{Causes, Command, GoOn, Input, Op};

use crate::drive::{Drive, Happening, Step};
use crate::journal::Batch;
use crate::world::{Act, Fate, later};

impl Drive {
    pub fn obey(&mut self, command: Command) {
        match command {
            Command::Watch(Node(node)) => {
                self.sequence += 1;
                let epoch = self.sequence;
                self.epochs.insert(node, epoch);
                let fails = self.chaos && self.rng.percent(self.wild.fault_percent);
                let failed_before = self.ledger.nodes.get(&node).is_some_and(|entry| entry.watch_failures > 0);
                if failed_before && self.rng.percent(30) {
                    let tired = self.now.after(Duration::from_secs(9 + self.rng.below(4)));
                    self.plan_at(tired, Happening::WatchTires { node, epoch });
                }
                self.plan(
                    50,
                    if fails { Happening::WatchFailed { node, epoch } } else { Happening::WatchReady { node, epoch } },
                );
            }
            Command::Unwatch(Node(node)) => {
                self.epochs.remove(&node);
                self.listening.remove(&node);
            }
            Command::Check { op, causes, go_on } => {
                self.begin_op(op, Act::Check);
                if go_on != GoOn::No {
                    self.permit(op, causes, go_on);
                }
            }
            Command::Withdraw { op, cancel } => {
                let is_check = self.world.running(op).is_some_and(|running| running.act == Act::Check);
                if let Some(running) = self.world.running_mut(op) {
                    running.may_go_on = (GoOn::No, 0);
                }
                if cancel && is_check {
                    self.cancel_op(op);
                }
            }
            Command::Apply { op, refresh, .. } => self.begin_op(op, Act::Apply { refresh }),
            Command::Refresh { op, .. } => self.begin_op(op, Act::Refresh),
            Command::Leave(op) | Command::Undo(op) => self.begin_op(op, Act::Leave),
            Command::Cancel(op) => self.cancel_op(op),
            Command::Journal { ticket, ops } => {
                self.journal.append(Batch { ticket, ops });
                if !std::mem::replace(&mut self.commit_due, true) {
                    self.plan(20, Happening::Commit);
                }
            }
            Command::Look(look) => {
                self.world.looks += 1;
                self.plan_at(self.now, Happening::Looked(look));
            }
            Command::Stopped => self.stopped = true,
            Command::Removed(Node(node)) => {
                self.world.ghosts.remove(&node);
            }
            Command::Event(_) => {}
        }
    }

    fn fate(&mut self) -> Fate {
        match self.chaos && self.rng.percent(self.wild.fault_percent) {
            true => self.rng.pick(&[Fate::FailsBefore, Fate::FailsAfter, Fate::Mute]),
            false => Fate::Well,
        }
    }

    fn begin_op(&mut self, op: Op, act: Act) {
        let fate = self.fate();
        self.world.begin(op, act, fate);
        let slow = self.chaos && self.rng.percent(if act == Act::Refresh { 40 } else { 10 });
        let answer = later(self.now, &mut self.rng, if slow { 3000 } else { 60 });
        if !matches!(act, Act::Check | Act::Leave) {
            let effect = self.now.0 + self.rng.below(answer.0 - self.now.0 + 1);
            self.plan_at(Time(effect), Happening::Effect(op));
        } else if act == Act::Check && op.number.is_multiple_of(4) {
            // It waits in line for a thread.
            self.plan_at(self.now, Happening::Again(Input::Yielded(op)));
        }
        self.plan_at(answer, Happening::Answer(op));
    }

    /// When the operation answers.
    fn answers_at(&self, op: Op) -> Option<Time> {
        let answers = |happening: &Happening| matches!(happening, Happening::Answer(of) if *of == op);
        self.agenda.iter().find(|(_, happening)| answers(happening)).map(|((at, _), _)| *at)
    }

    /// An instant between now and then.
    fn before(&mut self, then: Time) -> Time {
        Time(self.now.0 + self.rng.below(then.0.saturating_sub(self.now.0) + 1))
    }

    /// A check may go on to a repair: that begins at some instant before its answer.
    fn permit(&mut self, op: Op, causes: Causes, go_on: GoOn) {
        let handed_over = self.world.handed_over;
        if let Some(running) = self.world.running_mut(op) {
            running.may_go_on = (go_on, handed_over);
        }
        if let Some(answer) = self.answers_at(op) {
            let at = self.before(answer);
            self.plan_at(at, Happening::GoOn(op, causes));
        }
    }

    /// What must hold when a repair begins holds here too.
    pub fn go_on(&mut self, op: Op, causes: Causes) -> Step {
        let fate = self.fate();
        let Some(answer) = self.answers_at(op) else { return Ok(()) };
        if !self.world.go_on(op, fate) {
            return Ok(());
        }
        self.note(|| format!("the check of {} goes on to a repair", op.node.0));
        let command = Command::Apply { op, causes, refresh: false, announced: false };
        // Time alone breaks no permission.
        let now = std::mem::replace(&mut self.now, self.fed);
        let asked = self.ask(|invariant, cx| invariant.command(cx, &command));
        self.now = now;
        asked?;
        self.ledger.goes_on(op);
        let effect = self.before(answer);
        self.plan_at(effect, Happening::Effect(op));
        Ok(())
    }

    fn cancel_op(&mut self, op: Op) {
        let how = self.rng.below(100);
        if let Some(running) = self.world.running_mut(op) {
            running.cancelled = match how {
                0..60 => Some(false),
                60..75 => Some(true),
                _ => None,
            };
        }
        if how < 75 {
            self.plan(20, Happening::Answer(op));
        }
    }
}

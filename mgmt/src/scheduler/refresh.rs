//! Owed refreshes: intents, debts, and when they are paid.
//!
//! An edge's entry in the journal goes: nothing → *intent* (before the parent is applied) → *debt* (it changed) or
//! nothing (it did not) → nothing (the child was refreshed). At a start, an intent counts as a debt.
//!
//! An apply that failed or was cancelled may have changed something. Its intents stay in the journal as they are, and
//! the edge is marked *maybe*; the next good end of the parent, even a check in sync, turns the mark into a debt. So a
//! refresh may be made once too often, but is never lost: at least once, never zero.
//!
//! A refresh that begins takes the debts so far; a debt that arises meanwhile is a new one, and outlives it.

use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use super::{Command, Event, JournalOp};
use crate::id::{Node, Ticket};
use crate::scheduler::edges::*;

impl Scheduler {
    fn ends(&self, e: Edge) -> (Node, Node) {
        (self.edges.from(e), self.edges.to(e))
    }

    /// Writes the intents of the notify edges (*the node is about to change*); the node waits for the ticket.
    pub(super) fn write_intents(&mut self, i: Node) -> Ticket {
        self.flush_journal();
        let mut ops = Vec::new();
        for e in self.edges.out(i) {
            if self.edges.any(e, NOTIFY) {
                self.edges.set(e, EDGE_INTENT);
                let (from, to) = self.ends(e);
                ops.push(JournalOp::Intent { from, to });
            }
        }
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.commands.push_back(Command::Journal { ticket: Some(ticket), ops });
        ticket
    }

    /// The node is being applied already: its notify edges may come to be owed by that. Nothing waits for the journal.
    pub(super) fn intend(&mut self, i: Node) {
        if !self.nodes[i].any(NOTIFIES) {
            return;
        }
        for e in self.edges.out(i) {
            if self.edges.any(e, NOTIFY) && !self.edges.any(e, EDGE_INTENT) {
                self.edges.set(e, EDGE_INTENT);
                let (from, to) = self.ends(e);
                self.entries.push(JournalOp::Intent { from, to });
            }
        }
    }

    /// The node has changed: a refresh is owed along each of its notify edges, and all children are dirty.
    pub(super) fn owe(&mut self, i: Node) {
        self.nodes[i].clear(MAYBE);
        if self.nodes[i].any(NOTIFIES) {
            for e in self.edges.out(i) {
                if self.edges.any(e, NOTIFY) {
                    self.owe_along(e);
                }
            }
        }
        if !self.mutant(Mutant::ChangedParentIsQuiet) {
            self.dirty_children(i);
        }
    }

    /// All children must be checked again.
    pub(super) fn dirty_children(&mut self, i: Node) {
        let ticks = self.ticks(i);
        let news = !ticks && !self.flaps(i);
        for e in self.edges.out(i) {
            let to = self.edges.to(e);
            if news {
                self.nodes[to].set(PARENT_NEWS);
            }
            self.dirty(to, if ticks { DIRTY_TICK } else { DIRTY_PARENT });
        }
    }

    fn owe_along(&mut self, e: Edge) {
        let (from, to) = self.ends(e);
        let is_news = !self.edges.any(e, EDGE_OWED);
        self.edges.clear(e, EDGE_INTENT | EDGE_MAYBE);
        self.edges.set(e, EDGE_OWED);
        self.nodes[to].set(OWED);
        self.entries.push(JournalOp::Debt { from, to });
        if is_news {
            self.tell(Event::Owed { from, to });
        }
    }

    /// The node has changed nothing: its intents are void, except those of an earlier try: see `resolve_maybe`.
    pub(super) fn drop_intents(&mut self, i: Node) {
        if !self.nodes[i].any(NOTIFIES) {
            return;
        }
        for e in self.edges.out(i) {
            if self.edges.any(e, EDGE_INTENT) {
                self.edges.clear(e, EDGE_INTENT);
                if !self.edges.any(e, EDGE_MAYBE) {
                    let (from, to) = self.ends(e);
                    self.entries.push(JournalOp::Drop { from, to });
                }
            }
        }
    }

    /// The node failed or was cancelled: it may have changed something.
    pub(super) fn keep_intents(&mut self, i: Node) {
        if !self.nodes[i].any(NOTIFIES) {
            return;
        }
        if self.mutant(Mutant::ForgetMaybe) {
            return self.drop_intents(i);
        }
        for e in self.edges.out(i) {
            if self.edges.any(e, EDGE_INTENT) {
                self.edges.clear(e, EDGE_INTENT);
                self.edges.set(e, EDGE_MAYBE);
                self.nodes[i].set(MAYBE);
            }
        }
    }

    /// The node is well again: what an earlier try may have changed becomes a debt.
    pub(super) fn resolve_maybe(&mut self, i: Node) {
        if !self.nodes[i].any(MAYBE) {
            return;
        }
        self.nodes[i].clear(MAYBE);
        for e in self.edges.out(i) {
            if self.edges.any(e, EDGE_MAYBE) {
                self.owe_along(e);
                self.nodes[self.edges.to(e)].set(PARENT_NEWS);
                self.dirty(self.edges.to(e), DIRTY_PARENT);
            }
        }
    }

    /// An apply or a refresh begins: it absorbs the refreshes that are owed by now. Returns whether there are any.
    pub(super) fn take_refreshes(&mut self, i: Node) -> bool {
        if !self.nodes[i].any(OWED) {
            return false;
        }
        for at in self.edges.positions_in(i) {
            let e = self.edges.incoming(at);
            if self.edges.any(e, EDGE_OWED) {
                self.edges.clear(e, EDGE_OWED);
                self.edges.set(e, EDGE_TAKEN);
            }
        }
        let node = &mut self.nodes[i];
        node.clear(OWED);
        node.set(TAKEN);
        true
    }

    /// The apply or refresh has ended: the refreshes that it absorbed are paid, or owed again.
    pub(super) fn end_refreshes(&mut self, i: Node, paid: bool) {
        if !self.nodes[i].any(TAKEN) {
            return;
        }
        let paid = paid || self.mutant(Mutant::LoseTakenRefresh);
        let mut owed = false;
        for at in self.edges.positions_in(i) {
            let e = self.edges.incoming(at);
            if self.edges.any(e, EDGE_TAKEN) {
                self.edges.clear(e, EDGE_TAKEN);
                if !paid {
                    self.edges.set(e, EDGE_OWED);
                } else if !self.edges.any(e, EDGE_OWED) || self.mutant(Mutant::PayNewDebt) {
                    self.pay_along(e);
                }
            }
            owed |= self.edges.any(e, EDGE_OWED);
        }
        let node = &mut self.nodes[i];
        node.clear(TAKEN);
        node.put(OWED, owed);
    }

    fn pay_along(&mut self, e: Edge) {
        let (from, to) = self.ends(e);
        self.edges.clear(e, EDGE_OWED);
        self.entries.push(JournalOp::Paid { from, to });
        // The parent is being applied again by now: its intent must stand, whatever `Paid` strikes out. Both are in one
        // batch, so that at least one is always there.
        if self.edges.any(e, EDGE_INTENT | EDGE_MAYBE) && !self.mutant(Mutant::PaidStrikesIntent) {
            self.entries.push(JournalOp::Intent { from, to });
        }
    }

    /// Hands over the entries for which no node waits, as one batch.
    pub(super) fn flush_journal(&mut self) {
        self.flush_journal_at(self.commands.len());
    }

    /// Hands over the entries before a command that is queued already: after `Removed` a number no longer means its
    /// node.
    pub(super) fn flush_journal_at(&mut self, place: usize) {
        if !self.entries.is_empty() {
            let ops = std::mem::take(&mut self.entries);
            self.commands.insert(place, Command::Journal { ticket: None, ops });
        }
    }
}

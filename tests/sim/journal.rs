//! A model of the journal: batches in a queue, of which a crash keeps some first ones.

use std::collections::{BTreeMap, VecDeque};

use mgmt::id::Ticket;
use mgmt::scheduler::JournalOp;

/// An edge: notifier, notified.
pub type Edge = (u32, u32);

/// The entry of one edge on disk.
#[derive(Clone, Copy, Default)]
struct Entry {
    debt: bool,
    intent: bool,
}

impl Entry {
    fn owes(&self) -> bool {
        self.debt || self.intent
    }

    /// `Paid` strikes out everything, an intent too: the strictest reading.
    fn write(&mut self, op: &JournalOp) {
        match op {
            JournalOp::Intent { .. } => self.intent = true,
            JournalOp::Drop { .. } => self.intent = false,
            JournalOp::Debt { .. } => *self = Entry { debt: true, intent: false },
            JournalOp::Paid { .. } => *self = Entry::default(),
        }
    }
}

fn edge_of(op: &JournalOp) -> Edge {
    let (JournalOp::Intent { from, to }
    | JournalOp::Drop { from, to }
    | JournalOp::Debt { from, to }
    | JournalOp::Paid { from, to }) = op;
    (from.0, to.0)
}

/// One command's entries: written together or not at all.
#[derive(Clone)]
pub struct Batch {
    pub ticket: Option<Ticket>,
    pub ops: Vec<JournalOp>,
}

#[derive(Clone, Default)]
pub struct Journal {
    disk: BTreeMap<Edge, Entry>,
    queue: VecDeque<Batch>,
}

impl Journal {
    pub fn append(&mut self, batch: Batch) {
        self.queue.push_back(batch);
    }

    pub fn is_flushed(&self) -> bool {
        self.queue.is_empty()
    }

    /// The oldest batch that is not on disk.
    pub fn take(&mut self) -> Option<Batch> {
        self.queue.pop_front()
    }

    /// Puts a batch on disk.
    pub fn write(&mut self, batch: &Batch) {
        for op in &batch.ops {
            self.disk.entry(edge_of(op)).or_default().write(op);
        }
    }

    /// On disk, as a debt or as an intent: a restart would refresh.
    pub fn owes(&self, edge: Edge) -> bool {
        self.disk.get(&edge).is_some_and(Entry::owes)
    }

    /// Would still be owed wherever the queue is cut.
    pub fn owes_at_every_cut(&self, edge: Edge) -> bool {
        let mut entry = self.disk.get(&edge).copied().unwrap_or_default();
        let mut owes = entry.owes();
        for batch in &self.queue {
            batch.ops.iter().filter(|op| edge_of(op) == edge).for_each(|op| entry.write(op));
            owes &= entry.owes();
        }
        owes
    }

    /// A crash: this many batches of the queue reached the disk after all.
    pub fn crash(&mut self, survivors: usize) {
        for _ in 0..survivors {
            if let Some(batch) = self.take() {
                self.write(&batch);
            }
        }
        self.queue.clear();
    }

    pub fn queued(&self) -> usize {
        self.queue.len()
    }
}

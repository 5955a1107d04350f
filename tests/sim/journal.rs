//! A model of the journal: batches in a queue, of which a crash keeps some first ones.

use std::collections::{BTreeMap, VecDeque};

use mgmt::id::Ticket;
use mgmt::scheduler::JournalOp;

/// An edge: notifier, notified.
pub type Edge = (u32, u32);

/// What the disk says of one edge.
#[derive(Clone, Copy, Default)]
struct Entry {
    debt: bool,
    intent: bool,
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

    /// Puts a batch on disk. `Paid` strikes out everything, an intent too: the strictest reading.
    pub fn write(&mut self, batch: &Batch) {
        for op in &batch.ops {
            let (JournalOp::Intent { from, to }
            | JournalOp::Drop { from, to }
            | JournalOp::Debt { from, to }
            | JournalOp::Paid { from, to }) = op;
            let entry = self.disk.entry((from.0, to.0)).or_default();
            match op {
                JournalOp::Intent { .. } => entry.intent = true,
                JournalOp::Drop { .. } => entry.intent = false,
                JournalOp::Debt { .. } => *entry = Entry { debt: true, intent: false },
                JournalOp::Paid { .. } => *entry = Entry::default(),
            }
        }
    }

    /// On disk, as a debt or as an intent: a restart would refresh.
    pub fn owes(&self, edge: Edge) -> bool {
        self.disk.get(&edge).is_some_and(|entry| entry.debt || entry.intent)
    }

    /// Would still be owed wherever the queue is cut.
    pub fn owes_at_every_cut(&self, edge: Edge) -> bool {
        let mut cut = self.clone();
        if !cut.owes(edge) {
            return false;
        }
        while let Some(batch) = cut.take() {
            cut.write(&batch);
            if !cut.owes(edge) {
                return false;
            }
        }
        true
    }

    /// A crash: so many batches of the queue reached the disk after all.
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

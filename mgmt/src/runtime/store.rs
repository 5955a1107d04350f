//! What the engine remembers on this host: the journal, in the terms of the engine.

use std::sync::mpsc::sync_channel;

use tokio::sync::mpsc;

use crate::id::{Node, ResourceId, Ticket};
use crate::journal::{Entry, Journal};
use crate::resource::{Digest, Memory, Salt, Salted};
use crate::scheduler::JournalOp;

/// No kind has more outputs.
const PORTS_MAX: u8 = 32;

/// What the engine remembers.
#[derive(Debug)]
pub(crate) struct Store {
    journal: Journal,
}

impl Store {
    pub(crate) fn new(journal: Journal) -> Store {
        Store { journal }
    }

    /// The digest of what an output sent last.
    pub(crate) fn sent(&self, id: &ResourceId, port: u8) -> Option<Digest> {
        self.journal.sent(id, &port.to_string())
    }

    pub(crate) fn set_sent(&self, id: &ResourceId, port: u8, digest: Digest) {
        if self.sent(id, port) != Some(digest) {
            let entry = Entry::Sent { of: id.clone(), port: port.to_string(), digest: Some(digest) };
            self.journal.note(vec![entry]);
        }
    }

    /// What digests are salted with.
    pub(crate) fn salt(&self) -> Salt {
        Salt(self.journal.salt())
    }

    /// The digest of what a field received last, if it was made of these inputs.
    pub(crate) fn received(&self, id: &ResourceId, field: u8, inputs: Digest) -> Option<Salted> {
        let value = self.journal.value(id, &received_key(field))?;
        let (of, digest) = value.split_at_checked(32)?;
        let digest = (of == inputs).then(|| digest.try_into().ok()).flatten()?;
        Some(Salted::known(self.salt(), digest))
    }

    pub(crate) fn set_received(&self, id: &ResourceId, field: u8, inputs: Digest, digest: Digest) {
        let value = [inputs, Salted::new(self.salt(), digest).digest()].concat();
        let key = received_key(field);
        if self.journal.value(id, &key).as_ref() != Some(&value) {
            self.journal.note(vec![Entry::Value { of: id.clone(), key, value: Some(value) }]);
        }
    }

    pub(crate) fn is_owed(&self, from: &ResourceId, to: &ResourceId) -> bool {
        self.journal.is_owed(from, to).is_some()
    }

    /// Writes what the scheduler says; `committed` hears of the ticket when it is on disk.
    pub(crate) fn journal(
        &self,
        ops: &[JournalOp],
        id: &dyn Fn(Node) -> ResourceId,
        ticket: Option<Ticket>,
        committed: &mpsc::UnboundedSender<(Ticket, Result<(), String>)>,
    ) {
        let entries = ops.iter().map(|op| match *op {
            JournalOp::Intent { from, to } => Entry::Intent { from: id(from), to: id(to) },
            JournalOp::Drop { from, to } => Entry::Drop { from: id(from), to: id(to) },
            JournalOp::Debt { from, to } => Entry::Debt { from: id(from), to: id(to) },
            JournalOp::Paid { from, to } => Entry::Paid { from: id(from), to: id(to) },
        });
        let entries = entries.collect();
        match ticket {
            None => self.journal.note(entries),
            Some(ticket) => {
                let committed = committed.clone();
                // The loop is gone only when the whole engine is.
                self.journal.submit(entries, move |result| {
                    drop(committed.send((ticket, result.map_err(|error| error.to_string()))))
                });
            }
        }
    }

    /// Where a journal that could not be read was moved.
    pub(crate) fn moved_aside(&self) -> Option<&std::path::Path> {
        self.journal.moved_aside()
    }

    /// Waits until all is on disk.
    pub(crate) fn flush(&self) -> Result<(), String> {
        self.journal.flush().map_err(|error| error.to_string())
    }
}

fn received_key(field: u8) -> String {
    format!("received:{field}")
}

impl Memory for Store {
    fn mark(&self, id: &ResourceId) -> Option<Vec<u8>> {
        self.journal.mark(id)
    }

    fn set_mark(&self, id: &ResourceId, mark: Option<Vec<u8>>) -> Result<(), String> {
        let (sender, receiver) = sync_channel(1);
        let known = (0..PORTS_MAX).filter(|port| self.sent(id, *port).is_some());
        let forgotten = known.map(|port| Entry::Sent { of: id.clone(), port: port.to_string(), digest: None });
        // One batch: a mark of a new value beside the digest of the old one would say, after a crash, that the old is the new.
        let batch = forgotten.chain([Entry::Mark { of: id.clone(), mark }]).collect();
        self.journal.submit(batch, move |result| drop(sender.send(result)));
        receiver.recv().map_err(|_| "it has ended".to_owned())?.map_err(|error| error.to_string())
    }
}

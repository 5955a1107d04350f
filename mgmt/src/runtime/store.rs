//! What the engine remembers on this host: access to the journal by resources and fields.

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use tokio::sync::mpsc;

use crate::id::{JournalOp, Node, ResourceId, Ticket};
use crate::journal::{Aside, CommitError, Entry, Journal, JournalError, LOCK_NAME};
use crate::resource::{Digest, Error, Memory, PrivateDirs, Result, Salt, Salted};
use crate::runtime::error::EngineError;
use crate::sys::if_simulated;
use crate::sys::ours::Trust;

/// The journal of a prefix, which locks the prefix; without a prefix, a journal that forgets.
pub(crate) fn journal_of(prefix: Option<&Path>) -> Result<Journal, EngineError> {
    if_simulated!(host => Ok(Journal::of_host(&host)?));
    Ok(match prefix {
        Some(prefix) => {
            let journal = Journal::open(prefix)?;
            examine_dirs(prefix, Trust::Us)?;
            journal
        }
        None => Journal::volatile()?,
    })
}

/// What a prefix remembers now, for reading only.
pub(crate) fn glance(prefix: &Path) -> std::result::Result<Journal, JournalError> {
    if_simulated!(host => {
        let fail = |source| JournalError::Io { what: "look at", path: prefix.to_owned(), source };
        Journal::glance_at_host(&host).map_err(fail)
    });
    let journal = Journal::glance(prefix)?;
    examine_dirs(prefix, Trust::UsAndRoot)?;
    Ok(journal)
}

fn examine_dirs(prefix: &Path, trust: Trust) -> std::result::Result<(), JournalError> {
    PrivateDirs::examine(prefix, trust).map_err(|source| JournalError::NotOurs { prefix: prefix.to_owned(), source })
}

/// What the engine remembers.
#[derive(Debug)]
pub(crate) struct Store {
    journal: Journal,
}

impl Store {
    pub(crate) fn new(journal: Journal) -> Store {
        Store { journal }
    }

    /// The digest of what the output of this name sent last.
    pub(crate) fn sent(&self, id: &ResourceId, output: &str) -> Option<Digest> {
        self.journal.sent(id, output)
    }

    /// The output of this name has sent this. For an output that is not received, it is only remembered if one was
    /// before: the journal must never hold another digest than that of the last value.
    pub(crate) fn set_sent(&self, id: &ResourceId, output: &str, digest: Digest, is_received: bool) {
        let known = self.sent(id, output);
        if known != Some(digest) && (is_received || known.is_some()) {
            let entry = Entry::Sent { of: id.clone(), port: output.to_owned(), digest: Some(digest) };
            self.journal.note(vec![entry]);
        }
    }

    /// The salt of digests.
    pub(crate) fn salt(&self) -> Salt {
        Salt(self.journal.salt())
    }

    /// The digest of what the field of this name received last, if it was made from these inputs.
    pub(crate) fn received(&self, id: &ResourceId, field: &str, inputs: Digest) -> Option<Salted> {
        let value = self.journal.value(id, &received_key(field))?;
        let (of, digest) = value.split_at_checked(32)?;
        let digest = (of == inputs).then(|| digest.try_into().ok()).flatten()?;
        Some(Salted::known(self.salt(), digest))
    }

    pub(crate) fn set_received(&self, id: &ResourceId, field: &str, inputs: Digest, digest: Digest) {
        let value = [inputs, Salted::new(self.salt(), digest).digest()].concat();
        let key = received_key(field);
        if self.journal.value(id, &key).as_ref() != Some(&value) {
            self.journal.note(vec![Entry::Value { of: id.clone(), key, value: Some(value) }]);
        }
    }

    pub(crate) fn is_owed(&self, from: &ResourceId, to: &ResourceId) -> bool {
        self.journal.is_owed(from, to).is_some()
    }

    /// Writes the scheduler's entries; `committed` gets the ticket when they are on disk.
    pub(crate) fn journal(
        &self,
        ops: &[JournalOp],
        id: &dyn Fn(Node) -> ResourceId,
        ticket: Option<Ticket>,
        committed: &mpsc::UnboundedSender<(Ticket, Result<(), CommitError>)>,
    ) {
        let entries = ops.iter().map(|op| Entry::Edge(op.map(id))).collect();
        match ticket {
            None => self.journal.note(entries),
            Some(ticket) => {
                let committed = committed.clone();
                // The loop ends only with the whole engine.
                self.journal.submit(entries, move |result| drop(committed.send((ticket, result))));
            }
        }
    }

    /// Ends the absence of resources that are in the graph again.
    pub(crate) fn welcome(&self, is_present: impl Fn(&ResourceId) -> bool) {
        self.journal.welcome(is_present);
    }

    /// See [`Journal::retain`].
    pub(crate) fn retain(
        &self,
        today: u64,
        is_present: impl Fn(&ResourceId) -> bool,
        more: impl IntoIterator<Item = ResourceId>,
    ) -> Vec<ResourceId> {
        self.journal.retain(today, is_present, more)
    }

    /// Something is remembered of this resource.
    pub(crate) fn is_known(&self, id: &ResourceId) -> bool {
        self.journal.is_known(id)
    }

    /// Forgets all that is remembered of these resources.
    pub(crate) fn forget(&self, gone: &[ResourceId]) {
        self.journal.forget(gone);
    }

    /// Where a journal that could not be read was moved.
    pub(crate) fn moved_aside(&self) -> Option<&Aside> {
        self.journal.moved_aside()
    }

    /// The file that is locked while the prefix is in use.
    pub(crate) fn lock_path(&self, prefix: &Path) -> PathBuf {
        prefix.join(LOCK_NAME)
    }

    /// The prefix still contains the lock file that is held, whatever has become of the journal.
    pub(crate) fn has_its_lock(&self) -> bool {
        self.journal.has_its_lock()
    }

    /// The prefix still contains the journal, whatever has become of the lock file.
    pub(crate) fn has_its_journal(&self) -> bool {
        self.journal.has_its_file()
    }

    /// The prefix still contains the lock file that is held, and the journal.
    pub(crate) fn is_in_place(&self) -> bool {
        self.journal.is_in_place()
    }

    /// Makes the prefix, or the journal in it, again. Blocks.
    pub(crate) fn restore(&self, prefix: &Path) -> std::result::Result<(), JournalError> {
        self.journal.restore(prefix)
    }

    /// Waits until everything is on disk, and releases the prefix, even if a kind still holds its `cx`: later writes
    /// through that are refused.
    pub(crate) fn close(&self) -> Result<(), CommitError> {
        self.journal.close()
    }
}

fn received_key(field: &str) -> String {
    format!("received:{field}")
}

impl Memory for Store {
    fn mark(&self, id: &ResourceId) -> Option<Vec<u8>> {
        self.journal.mark(id)
    }

    fn set_mark(&self, id: &ResourceId, mark: Option<Vec<u8>>) -> Result<()> {
        let (sender, receiver) = sync_channel(1);
        let batch = vec![Entry::Mark { of: id.clone(), mark }];
        self.journal.submit(batch, move |result| drop(sender.send(result)));
        Ok(receiver.recv().map_err(|_| Error::new("it has ended"))??)
    }
}

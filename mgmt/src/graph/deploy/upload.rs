//! What must be written so that a world has some contents: transactions that may end anywhere, after each of which a
//! content is either complete or marked as incomplete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::graph::deploy::content::ContentId;
use crate::graph::deploy::keys::{PART_BYTES, data_key, index_key};
use crate::graph::deploy::state::Indexed;
use crate::resource::{Condition, Limits, Transaction, Write};

/// The number of parts of a content of this size.
pub(crate) fn part_count(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(PART_BYTES as u64)).unwrap_or(usize::MAX)
}

/// Writes in their order, in as few transactions as possible. Each transaction has conditions too.
#[derive(Debug)]
pub(crate) struct Batches {
    limits: Limits,
    /// The size of the conditions.
    conditions: Limits,
    done: Vec<BTreeMap<String, Write>>,
    now: BTreeMap<String, Write>,
    bytes: usize,
}

fn size(key: &str, write: &Write) -> usize {
    match write {
        Write::Put(value, _) => key.len() + value.len(),
        Write::Remove => key.len(),
    }
}

impl Batches {
    pub(crate) fn new(limits: Limits, conditions: &[Condition]) -> Batches {
        let conditions = Transaction { conditions: conditions.to_vec(), writes: BTreeMap::new() }.size();
        Batches { limits, conditions, done: Vec::new(), now: BTreeMap::new(), bytes: conditions.bytes }
    }

    /// Whether these writes fit into one transaction.
    pub(crate) fn fit(&self, writes: &[(String, Write)]) -> bool {
        let bytes: usize = writes.iter().map(|(key, write)| size(key, write)).sum();
        writes.len().saturating_add(self.conditions.operations) <= self.limits.operations
            && bytes.saturating_add(self.conditions.bytes) <= self.limits.bytes
    }

    /// Adds writes that are carried out together.
    pub(crate) fn together(&mut self, writes: Vec<(String, Write)>) {
        let bytes: usize = writes.iter().map(|(key, write)| size(key, write)).sum();
        let is_full = self.now.len() + writes.len() + self.conditions.operations > self.limits.operations
            || self.bytes.saturating_add(bytes) > self.limits.bytes
            || writes.iter().any(|(key, _)| self.now.contains_key(key));
        if is_full {
            self.flush();
        }
        self.bytes += bytes;
        self.now.extend(writes);
    }

    fn flush(&mut self) {
        self.bytes = self.conditions.bytes;
        if !self.now.is_empty() {
            self.done.push(std::mem::take(&mut self.now));
        }
    }

    pub(crate) fn transactions(mut self) -> Vec<BTreeMap<String, Write>> {
        self.flush();
        self.done
    }
}

/// Contents of which a world lacks some.
#[derive(Debug)]
pub(crate) struct Upload<'a> {
    pub(crate) contents: &'a BTreeMap<ContentId, Arc<[u8]>>,
    /// Those that are complete there.
    pub(crate) complete: &'a BTreeSet<ContentId>,
}

/// The transactions that complete the contents, each under these conditions.
pub(crate) fn uploads(upload: &Upload<'_>, limits: Limits, conditions: &[Condition]) -> Vec<BTreeMap<String, Write>> {
    let mut batches = Batches::new(limits, conditions);
    for (content, bytes) in upload.contents.iter().filter(|(content, _)| !upload.complete.contains(content)) {
        let index = |complete: bool| {
            let indexed = Indexed { bytes: bytes.len() as u64, complete };
            (index_key(content), Write::Put(indexed.bytes().into(), None))
        };
        let part = |(n, part): (usize, &[u8])| (data_key(content, n), Write::Put(part.into(), None));
        let mut parts: Vec<_> = bytes.chunks(PART_BYTES).enumerate().map(part).collect();
        parts.push(index(true));
        if batches.fit(&parts) {
            batches.together(parts);
            continue;
        }
        batches.together(vec![index(false)]);
        parts.into_iter().for_each(|write| batches.together(vec![write]));
    }
    batches.transactions()
}

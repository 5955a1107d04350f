//! Compares a graph with the one that was prepared before: what has not changed need not be checked again.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use crate::graph::coming::Coming;
use crate::graph::config::{Edge, GraphConfig, Vertex};
use crate::graph::index::Index;
use crate::graph::validate::{Hands, PIECE};
use crate::resource::Meta;

/// The graph that was prepared before, as long as something else uses it: these references keep nothing in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Former {
    source: Weak<GraphConfig>,
    index: Weak<Index>,
}

/// The resources that are the same as those at their indices in another graph.
#[derive(Clone, Debug)]
pub(crate) struct Same {
    of: Weak<GraphConfig>,
    /// Whether each resource is the same, by index.
    resources: Arc<[bool]>,
}

impl Same {
    /// The same resources, if `other` is the graph that was compared with.
    pub(crate) fn as_in(&self, other: &Arc<GraphConfig>) -> Option<&[bool]> {
        std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(other)).then_some(&*self.resources)
    }
}

/// A graph that has the resources of the former one at the same indices.
pub(super) struct Likeness {
    pub(super) same: Same,
    /// The indices at which the resource or its metaparameters differ.
    pub(super) changed: Vec<u32>,
    /// The edges are those of the former graph.
    pub(super) has_same_edges: bool,
    /// The index of the resources, and of what they own.
    pub(super) index: Arc<Index>,
}

impl Former {
    pub(super) fn new(source: &Arc<GraphConfig>, index: &Arc<Index>) -> Former {
        Former { source: Arc::downgrade(source), index: Arc::downgrade(index) }
    }

    /// What a graph has in common with the former one; `None` if it has other resources, or at other indices, or if
    /// what they own or receive differs.
    pub(super) fn likeness(&self, source: &GraphConfig, hands: Hands) -> Option<Likeness> {
        let (former, index) = (self.source.upgrade()?, self.index.upgrade()?);
        let (old, new) = (&former.vertices, &source.vertices);
        if old.len() != new.len() || former.links.len() != source.links.len() {
            return None;
        }
        // Also whether what they receive is a secret.
        let coming = Coming::of(source, None);
        if Coming::of(&former, None) != coming {
            return None;
        }
        let compared = compare(old, new, hands)?;
        let owns_the_same = |place: &u32| {
            let owned = |vertex: &Vertex| {
                let (resource, known) = (&vertex.resource, coming.known(*place, vertex));
                let uids = resource.uids(&known);
                let is_whole = uids.is_empty() || resource.is_whole(&known);
                (uids, is_whole, resource.parts(&known))
            };
            owned(&old[*place as usize]) == owned(&new[*place as usize])
        };
        if !compared.changed.iter().all(owns_the_same) {
            return None;
        }
        Some(Likeness {
            same: Same { of: Weak::clone(&self.source), resources: compared.same.into() },
            changed: compared.changed,
            has_same_edges: are_same(&former.edges, &source.edges),
            index,
        })
    }
}

#[derive(Default)]
struct Compared {
    same: Vec<bool>,
    changed: Vec<u32>,
}

/// Compares the resources at the same indices; `None` if their identities differ.
fn compare(old: &[Vertex], new: &[Vertex], hands: Hands) -> Option<Compared> {
    let starts: Vec<usize> = (0..new.len()).step_by(PIECE).collect();
    let pieces: Vec<OnceLock<Compared>> = starts.iter().map(|_| OnceLock::new()).collect();
    let differ = AtomicBool::new(false);
    hands(starts.len(), &|piece| {
        if !differ.load(Ordering::Relaxed) {
            match compare_piece(old, new, starts[piece]..new.len().min(starts[piece] + PIECE)) {
                Some(compared) => drop(pieces[piece].set(compared)),
                None => differ.store(true, Ordering::Relaxed),
            }
        }
    });
    let mut all = Compared { same: Vec::with_capacity(new.len()), changed: Vec::new() };
    for piece in pieces {
        let mut piece = piece.into_inner()?;
        all.same.append(&mut piece.same);
        all.changed.append(&mut piece.changed);
    }
    Some(all)
}

fn compare_piece(old: &[Vertex], new: &[Vertex], places: Range<usize>) -> Option<Compared> {
    let mut compared = Compared { same: Vec::with_capacity(places.len()), changed: Vec::new() };
    // Resources share metaparameters: the same pairs recur.
    let mut metas: HashMap<(*const Meta, *const Meta), bool> = HashMap::new();
    for place in places {
        let (old, new) = (&old[place], &new[place]);
        let same = old.is_same(new);
        if !same && (old.resource.spec().kind != new.resource.spec().kind || old.resource.name() != new.resource.name())
        {
            return None;
        }
        let has_same_meta = match (&old.meta, &new.meta) {
            (None, None) => true,
            (Some(old), Some(new)) => *metas.entry((Arc::as_ptr(old), Arc::as_ptr(new))).or_insert_with(|| old == new),
            _ => false,
        };
        compared.same.push(same);
        if !same || !has_same_meta {
            compared.changed.push(place as u32);
        }
    }
    Some(compared)
}

fn are_same(old: &[Edge], new: &[Edge]) -> bool {
    let same = |(old, new): (&Edge, &Edge)| (old.from, old.to, old.notify) == (new.from, new.to, new.notify);
    old.len() == new.len() && old.iter().zip(new).all(same)
}

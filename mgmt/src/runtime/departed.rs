//! The resources that have left the graph in this run, in the order in which they left: at most a bounded number of
//! them is remembered.

use std::collections::{BTreeMap, HashMap};

use crate::id::ResourceId;
use crate::journal::ABSENT_RESOURCES_MAX;

/// Resources beyond the bound are forgotten together, at least this many at a time.
const BATCH: usize = ABSENT_RESOURCES_MAX / 10;

/// Resources that have left, each once.
#[derive(Debug, Default)]
pub(crate) struct Departed {
    last: u64,
    by_order: BTreeMap<u64, ResourceId>,
    order_of: HashMap<ResourceId, u64>,
}

impl Departed {
    /// The resource has left, and the journal or a directory has something of it.
    pub(crate) fn note(&mut self, id: ResourceId) {
        self.last += 1;
        if let Some(before) = self.order_of.insert(id.clone(), self.last) {
            self.by_order.remove(&before);
        }
        self.by_order.insert(self.last, id);
    }

    /// Takes the resources beyond the bound, the longest departed first. A resource that is in the graph again has not
    /// left.
    pub(crate) fn take_excess(&mut self, is_present: impl Fn(&ResourceId) -> bool) -> Vec<ResourceId> {
        let mut excess = Vec::new();
        if self.by_order.len() < ABSENT_RESOURCES_MAX + BATCH {
            return excess;
        }
        while self.by_order.len() > ABSENT_RESOURCES_MAX
            && let Some((_, id)) = self.by_order.pop_first()
        {
            self.order_of.remove(&id);
            if !is_present(&id) {
                excess.push(id);
            }
        }
        excess
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> ResourceId {
        ResourceId::new("noop", n.to_string())
    }

    #[test]
    fn the_longest_departed_go_first_and_what_left_again_or_is_back_does_not() {
        let mut departed = Departed::default();
        let all = ABSENT_RESOURCES_MAX + BATCH - 1;
        (0..all).for_each(|n| departed.note(id(n)));
        assert_eq!(departed.take_excess(|_| false), []);
        // The resource was back, and has left again.
        departed.note(id(0));
        assert_eq!(departed.take_excess(|_| false), []);
        departed.note(id(all));
        let gone = departed.take_excess(|of| *of == id(2));
        assert_eq!((&gone[..2], gone.len()), (&[id(1), id(3)][..], BATCH - 1));
        assert_eq!((departed.by_order.len(), departed.order_of.len()), (ABSENT_RESOURCES_MAX, ABSENT_RESOURCES_MAX));
    }
}

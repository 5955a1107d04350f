//! The entries of watched trees that have changed since a resource was found in sync: a check that only its watch has
//! caused looks at no others.

use std::path::PathBuf;

use crate::id::Node;
use crate::runtime::slot::SlotTable;
use crate::scheduler::{Cause, Causes, Op};
use crate::sys::fs::hub::Extent;

/// Entries that have drifted and are not repaired (in noop, for example) are looked at again with all later changes: at
/// most this many entries; more count as all.
const LOOKED_MAX: usize = 4096;

/// The changes in the trees of a watch. They are forgotten only when a check that looked at them has found the resource
/// in sync: a check that drifts, fails, is cancelled or never answers leaves them to the next one.
#[derive(Debug)]
pub(crate) struct Looks {
    /// Changes that no check has begun to look at.
    news: Extent,
    /// Changes that the last check looks at, or has looked at without finding the resource in sync.
    looked: Extent,
    /// The last check.
    by: Option<Op>,
    /// The version of the owned paths when a check last looked at everything.
    owned: u64,
}

impl Default for Looks {
    /// For a watch that has just begun: earlier changes are not known.
    fn default() -> Looks {
        Looks { news: Extent::All, looked: Extent::none(), by: None, owned: 0 }
    }
}

impl SlotTable {
    fn looks(&mut self, node: Node) -> Option<&mut Looks> {
        self.get_mut(node)?.watching.as_mut()?.looks.as_deref_mut()
    }

    /// Notes a change.
    pub(crate) fn note_change(&mut self, node: Node, extent: Extent) {
        if let Some(looks) = self.looks(node) {
            looks.news.merge(extent);
        }
    }

    /// A check begins. Returns the only paths that it has to look at, each with what is below it; `None`: everything.
    pub(crate) fn begin_look(&mut self, op: Op, causes: Causes, owned: u64) -> Option<Box<[PathBuf]>> {
        let looks = self.looks(op.node)?;
        let is_by_watch = causes.iter().all(|cause| matches!(cause, Cause::Watch | Cause::Again));
        if !is_by_watch || looks.owned != owned {
            looks.news = Extent::All;
        }
        let looked = std::mem::replace(&mut looks.looked, Extent::none());
        looks.looked = std::mem::replace(&mut looks.news, Extent::none());
        looks.looked.merge_up_to(LOOKED_MAX, looked);
        looks.by = Some(op);
        match &looks.looked {
            Extent::All => looks.owned = owned,
            Extent::Entries(entries) => return Some(entries.iter().cloned().collect()),
        }
        None
    }

    /// The check has found the resource in sync.
    pub(crate) fn end_look(&mut self, op: Op) {
        if let Some(looks) = self.looks(op.node).filter(|looks| looks.by == Some(op)) {
            looks.looked = Extent::none();
        }
    }
}

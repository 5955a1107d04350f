//! Whole trees: every directory of a tree is a node with a watch of its own.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::api::{Error, Reason, Watched};
use super::core::{Core, to_path};
use super::look::is_absent;
use super::poll::Why;
use super::trie::{LISTED, MEMBER, NodeId};

/// The number of entries that are read in one step.
const READ_AT_ONCE: usize = 256;

/// A directory that is being listed.
#[derive(Debug)]
pub(super) struct Listing {
    id: NodeId,
    entries: fs::ReadDir,
    /// Its sub-directories are not part of the tree any more: it only matters whether there are any.
    is_end: bool,
}

impl Core {
    /// Queues an armed directory whose sub-directories must be inserted into the trie. Its watch reports those that are
    /// made later.
    pub(super) fn list(&mut self, id: NodeId) {
        self.trie.get_mut(id).set(LISTED, true);
        self.unlisted.push(id);
    }

    /// Begins to list a directory, unless this is not needed any more.
    pub(super) fn begin_list(&mut self, id: NodeId) {
        if !self.trie.is_used(id) || !self.trie.get(id).is(LISTED) || !self.is_in_tree(id) || self.is_loop(id) {
            return;
        }
        let path = self.trie.path(id);
        let is_end = !self.is_within(id, 2);
        if is_end {
            // If the directory becomes part of a tree with more levels, it is listed again.
            self.trie.get_mut(id).set(LISTED, false);
        }
        match fs::read_dir(to_path(&path)) {
            Ok(entries) => self.listing = Some(Listing { id, entries, is_end }),
            Err(error) => self.unlistable(id, &path, &error),
        }
    }

    /// Lists some entries of the directory that is being listed. Returns `false` if there is none.
    pub(super) fn list_some(&mut self) -> bool {
        let Some(mut listing) = self.listing.take() else { return false };
        let Listing { id, entries, is_end } = &mut listing;
        // It is gone, or must be listed again: then this has been queued.
        if !self.trie.is_used(*id) || !*is_end && !self.trie.get(*id).is(LISTED) {
            return true;
        }
        for _ in 0..READ_AT_ONCE {
            match entries.next() {
                None => return true,
                Some(Err(error)) => {
                    let path = self.trie.path(*id);
                    self.unlistable(*id, &path, &error);
                    return true;
                }
                Some(Ok(entry)) if !entry.file_type().is_ok_and(|kind| kind.is_dir()) => {}
                Some(Ok(_)) if *is_end => {
                    self.end_of_levels(*id);
                    return true;
                }
                Some(Ok(entry)) if !self.add_member(*id, entry.file_name().as_bytes()) => return true,
                Some(Ok(_)) => {}
            }
        }
        self.listing = Some(listing);
        true
    }

    /// Notes that a directory of a tree can't be listed.
    fn unlistable(&mut self, id: NodeId, path: &[u8], error: &std::io::Error) {
        // The watch of the directory reports when it is gone or can be read.
        let is_denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        if !is_absent(error) && !is_denied && self.trie.get(id).is(LISTED) {
            self.trie.get_mut(id).set(LISTED, false);
            self.poll(id, path, Why::Other);
        }
    }

    /// Notes that the content of the sub-directories of this directory is not watched. If a subscription is for the
    /// whole tree, this is reported.
    fn end_of_levels(&mut self, id: NodeId) {
        let above = self.trie.upwards(id).take(usize::from(Watched::LEVELS_MAX) + 1);
        let has_tree = above.flat_map(|up| self.trie.get(up).subs.as_slice()).any(|sub| sub.kind == Watched::Tree);
        if has_tree {
            self.degraded(Reason::Depth { path: to_path(&self.trie.path(id)), max: Watched::LEVELS_MAX });
        }
    }

    /// Makes sure that a sub-directory of a tree is watched. Returns `false` if there are too many.
    pub(super) fn add_member(&mut self, parent: NodeId, name: &[u8]) -> bool {
        if !self.is_within(parent, 2) {
            self.end_of_levels(parent);
            return true;
        }
        if let Some(child) = self.trie.child(parent, name) {
            if !self.trie.get(child).is(LISTED) {
                self.queue(child, false);
            }
            return true;
        }
        if self.members >= self.members_max {
            self.too_large(parent);
            return false;
        }
        let (child, _) = self.trie.child_or_insert(parent, name);
        self.trie.get_mut(child).set(MEMBER, true);
        self.members += 1;
        self.queue(child, false);
        true
    }

    /// Whether the node is a directory of a tree that is mounted below itself in the same tree.
    fn is_loop(&self, id: NodeId) -> bool {
        let watch = self.trie.get(id).watch;
        for up in self.trie.upwards(id) {
            if up != id && watch != 0 && self.trie.get(up).watch == watch {
                return true;
            }
            if self.is_edge(up) {
                return false;
            }
        }
        false
    }

    /// Ends every tree that the directory is in, with an error.
    fn too_large(&mut self, id: NodeId) {
        let roots: Vec<NodeId> = self.trie.upwards(id).collect();
        for root in roots {
            while let Some(sub) = self.trie.get_mut(root).subs.remove(|sub| sub.kind.is_tree()) {
                let error = Error::TreeTooLarge { path: to_path(&self.trie.path(root)), max: self.members_max };
                self.fail(sub.key, error);
                if let Some(nodes) = self.keys.get_mut(&sub.key) {
                    nodes.remove(|&node| node == root);
                    if nodes.as_slice().is_empty() {
                        self.keys.remove(&sub.key);
                        self.unready.remove(&sub.key);
                    }
                }
                self.trees -= 1;
                self.end_tree(root);
            }
        }
    }

    /// Puts the directories that may be there only for the tree on `garbage`; if they are in a tree again, they are
    /// listed again.
    pub(super) fn end_tree(&mut self, root: NodeId) {
        for id in self.trie.subtree(root) {
            self.trie.get_mut(id).set(LISTED, false);
            self.garbage.push(id);
        }
    }
}

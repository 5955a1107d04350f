//! Whole trees: every directory of a tree is a node with a watch of its own.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::api::{Error, Watched};
use super::core::{Core, to_path};
use super::look::is_absent;
use super::poll::Why;
use super::trie::{LISTED, MEMBER, NodeId};

impl Core {
    /// Brings the sub-directories of an armed directory into the trie. Those made later are told by its watch.
    pub(super) fn list(&mut self, id: NodeId) {
        self.trie.get_mut(id).set(LISTED, true);
        if self.is_loop(id) {
            return;
        }
        let path = self.trie.path(id);
        if let Err(error) = self.list_entries(id, &path) {
            // Its own watch tells when it has gone or can be read.
            let is_denied = error.kind() == std::io::ErrorKind::PermissionDenied;
            if !is_absent(&error) && !is_denied {
                self.trie.get_mut(id).set(LISTED, false);
                self.poll(id, &path, Why::Other);
            }
        }
    }

    fn list_entries(&mut self, id: NodeId, path: &[u8]) -> std::io::Result<()> {
        for entry in fs::read_dir(to_path(path))? {
            let entry = entry?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !self.add_member(id, entry.file_name().as_bytes()) {
                break;
            }
        }
        Ok(())
    }

    /// Makes sure that a sub-directory of a tree is watched. False if there are too many.
    pub(super) fn add_member(&mut self, parent: NodeId, name: &[u8]) -> bool {
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

    /// A directory of a tree that is mounted below itself in the same tree.
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

    /// Every tree that the directory is in fails, and ends.
    fn too_large(&mut self, id: NodeId) {
        let roots: Vec<NodeId> = self.trie.upwards(id).collect();
        for root in roots {
            while let Some(sub) = self.trie.get_mut(root).subs.remove(|sub| sub.kind == Watched::Tree) {
                let error = Error::TreeTooLarge { path: to_path(&self.trie.path(root)), max: self.members_max };
                self.fail(sub.key, error);
                if let Some(nodes) = self.keys.get_mut(&sub.key) {
                    nodes.remove(|&node| node == root);
                    if nodes.as_slice().is_empty() {
                        self.keys.remove(&sub.key);
                    }
                }
                self.trees -= 1;
                self.end_tree(root);
            }
        }
    }

    /// Directories that were only there for the tree go; if it, or another, comes again, they are listed again.
    pub(super) fn end_tree(&mut self, root: NodeId) {
        for id in self.trie.subtree(root) {
            self.trie.get_mut(id).set(LISTED, false);
            self.garbage.push(id);
        }
    }
}

//! Looking at one node: what is there now, which watch it needs, and what follows for the nodes below.

use std::io;

use rustix::io::Errno;

use super::api::{Error, Reason};
use super::backend::{Backend, Refusal, Want};
use super::core::{Core, to_path};
use super::poll::Why;
use super::stat::{self, Stat};
use super::trie::{CONTENT, DEEP, ENTERABLE, Kind, LISTED, MEMBER, NodeId, QUEUED, ROOT, WIDE};

impl Core {
    /// Looks at a node whose parent has been looked at. The watch of the parent is older than the look, so every later
    /// change is reported.
    pub(super) fn look(&mut self, backend: &mut dyn Backend, id: NodeId) {
        if self.widen_parent(id) {
            return;
        }
        self.will_review(id);
        #[cfg(test)]
        {
            self.looks += 1;
        }
        let node = self.trie.get_mut(id);
        let deep = node.is(DEEP);
        node.set(QUEUED | DEEP, false);
        let before = node.kind;
        let (watch, polled) = (node.watch, self.polled.contains_key(&id));
        if self.polled.get(&id).is_some_and(|polled| polled.why == Why::Broken) {
            self.polled.remove(&id);
        }
        let mut is_other = false;
        let is_hidden = self.trie.parent(id).is_some_and(|parent| !self.is_open(parent));
        if is_hidden {
            self.vanish(backend, id);
        } else {
            let path = self.trie.path(id);
            let seen = stat::stat(&path, false);
            is_other = self.remember(id, &seen);
            match seen {
                Ok(seen) if seen.is_dir => self.look_at_directory(backend, id, &path, &seen),
                Ok(seen) if seen.is_link => {
                    if !self.look_at_link(backend, id, &path) {
                        // The link is looked at once more, when the place it leads to is watched.
                        if is_other && before != Kind::Unknown {
                            self.mark_changed(id);
                        }
                        return;
                    }
                }
                Ok(seen) => self.look_at_file(backend, id, &path, &seen),
                Err(error) => self.look_at_nothing(backend, id, &path, error),
            }
        }
        let node = self.trie.get(id);
        let changed = is_other || node.kind != before || node.watch != watch || self.polled.contains_key(&id) != polled;
        if changed {
            self.is_moved = true;
            self.queue_links_below(id);
            if before != Kind::Unknown {
                self.mark_changed(id);
            }
        }
        self.look_below(backend, id, deep, changed);
    }

    fn look_below(&mut self, backend: &mut dyn Backend, id: NodeId, deep: bool, changed: bool) {
        if !self.is_open(id) {
            let children: Vec<NodeId> = self.trie.children(id).collect();
            children.into_iter().for_each(|child| self.vanish(backend, child));
            return;
        }
        if changed {
            self.trie.get_mut(id).set(LISTED, false);
        }
        if changed || deep {
            let children: Vec<NodeId> = self.trie.children(id).collect();
            children.into_iter().for_each(|child| self.queue(child, deep));
        }
        if (deep || !self.trie.get(id).is(LISTED)) && self.is_in_tree(id) {
            self.list(id);
        }
    }

    fn look_at_directory(&mut self, backend: &mut dyn Backend, id: NodeId, path: &[u8], seen: &Stat) {
        self.unlink(id);
        let node = self.trie.get_mut(id);
        node.kind = Kind::Dir;
        // Removals are counted from here on, since the watch is older than what is seen below.
        node.gone = 0;
        node.set(ENTERABLE, stat::can_enter(path));
        self.arm(backend, id, path, false);
        self.look_inside(id, path, seen);
    }

    /// A file is watched by its directory, unless it can be reached by other paths too.
    fn look_at_file(&mut self, backend: &mut dyn Backend, id: NodeId, path: &[u8], seen: &Stat) {
        self.unlink(id);
        self.trie.get_mut(id).kind = Kind::File;
        self.polled.remove(&id);
        let is_wanted = !self.trie.get(id).subs.as_slice().is_empty() || self.led_from.contains_key(&id);
        if !seen.is_shared || !is_wanted {
            self.detach(backend, id);
            return;
        }
        let want = Want { content: true, follow: false, directory: false };
        let answer = backend.arm(path, want);
        self.armed(backend, id, path, answer);
    }

    fn look_at_nothing(&mut self, backend: &mut dyn Backend, id: NodeId, path: &[u8], error: io::Error) {
        if is_absent(&error) {
            self.vanish(backend, id);
        } else {
            self.unreachable(backend, id, path, &error);
        }
    }

    /// Arms a directory, or the directory that a link leads to.
    pub(super) fn arm(&mut self, backend: &mut dyn Backend, id: NodeId, path: &[u8], follow: bool) {
        let content = self.trie.get(id).is(CONTENT) || self.is_in_tree(id);
        let answer = backend.arm(path, Want { content, follow, directory: true });
        self.trie.get_mut(id).set(WIDE, true);
        self.armed(backend, id, path, answer);
    }

    fn armed(
        &mut self,
        backend: &mut dyn Backend,
        id: NodeId,
        path: &[u8],
        answer: Result<super::backend::WatchId, Refusal>,
    ) {
        let (why, reason) = match answer {
            Ok(watch) => {
                self.attach(backend, id, watch);
                self.polled.remove(&id);
                return;
            }
            Err(Refusal::Gone) => {
                // If the object is there again, the watch of its directory reports it.
                self.vanish_below(backend, id);
                return;
            }
            Err(Refusal::Denied) => (Why::Denied, Some(Reason::Unreadable { path: to_path(path) })),
            Err(Refusal::Watches) => (Why::Limit, Some(Reason::Watches { path: to_path(path) })),
            Err(Refusal::Never) => (Why::Never, None),
            Err(Refusal::Other(source)) => (Why::Other, Some(Reason::Other { path: to_path(path), source })),
        };
        if let Some(reason) = reason {
            self.degraded(reason);
        }
        self.detach(backend, id);
        self.poll(id, path, why);
    }

    /// Notes that nothing is at the node, nor below it.
    pub(super) fn vanish(&mut self, backend: &mut dyn Backend, id: NodeId) {
        if self.trie.get(id).kind == Kind::Absent {
            return;
        }
        for id in self.trie.subtree(id) {
            self.forget(backend, id);
            self.trie.get_mut(id).kind = Kind::Absent;
            self.will_review(id);
        }
    }

    fn vanish_below(&mut self, backend: &mut dyn Backend, id: NodeId) {
        if self.trie.get(id).kind == Kind::Link {
            self.detach(backend, id);
            self.polled.remove(&id);
        } else {
            self.vanish(backend, id);
        }
    }

    fn forget(&mut self, backend: &mut dyn Backend, id: NodeId) {
        self.detach(backend, id);
        self.unlink(id);
        self.polled.remove(&id);
        let node = self.trie.get_mut(id);
        node.set(LISTED, false);
        if node.is(MEMBER) {
            self.garbage.push(id);
        }
    }

    /// Notes that the system refuses to report what is at the node, and polls it.
    pub(super) fn unreachable(&mut self, backend: &mut dyn Backend, id: NodeId, path: &[u8], error: &io::Error) {
        if id == ROOT {
            return;
        }
        if self.trie.get(id).kind != Kind::Unreachable {
            for below in self.trie.subtree(id) {
                for at in 0..self.trie.get(below).subs.as_slice().len() {
                    let key = self.trie.get(below).subs.as_slice()[at].key;
                    let error = Error::Unreachable { path: to_path(path), source: again(error) };
                    self.fail(key, error);
                }
            }
        }
        self.forget(backend, id);
        self.will_review(id);
        self.trie.get_mut(id).kind = Kind::Unreachable;
        self.poll(id, path, Why::Broken);
    }
}

/// Whether the error means that nothing is at the path, or that nothing can be.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL)
    )
}

/// A copy of the error.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

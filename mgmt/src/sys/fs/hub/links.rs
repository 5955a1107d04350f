//! Symbolic links: the path to which a link leads is watched like a subscribed path.

use super::backend::Backend;
use super::core::Core;
use super::look::is_absent;
use super::stat;
use super::trie::{CONTENT, Kind, NodeId, ROOT, components};

/// The most steps of the search for a circle; a longer way is taken for one.
const STEPS_MAX: usize = 4096;

impl Core {
    /// Returns `false` if the link must be looked at again, after the nodes on the way to its target.
    pub(super) fn look_at_link(&mut self, backend: &mut dyn Backend, id: NodeId, path: &[u8]) -> bool {
        let target = match rustix::fs::readlink(path, Vec::new()) {
            Ok(target) => target.into_bytes(),
            // The link was replaced: the watch of its directory reports that.
            Err(_) => {
                self.vanish(backend, id);
                return true;
            }
        };
        if self.lead(id, &target) {
            return false;
        }
        self.trie.get_mut(id).kind = Kind::Link;
        match stat::stat(path, true) {
            Ok(seen) if seen.is_dir => self.arm(backend, id, path, true),
            Err(error) if !is_absent(&error) => self.unreachable(backend, id, path, &error),
            _ => {
                self.detach(backend, id);
                self.polled.remove(&id);
            }
        }
        true
    }

    /// Notes where the link leads. Returns `true` if something on the way is not watched yet: then it is queued, and
    /// the link after it.
    fn lead(&mut self, id: NodeId, target: &[u8]) -> bool {
        let (place, fresh) = self.place_of(id, target);
        if self.leads_to.get(&id) == Some(&place) {
            return false;
        }
        self.unlink(id);
        let parent = if self.depends(place, id) {
            self.looped.push(id);
            self.garbage.push(place);
            None
        } else {
            self.leads_to.insert(id, place);
            self.will_review(place);
            self.led_from.entry(place).or_default().push(id);
            self.want_content_of(place)
        };
        if fresh.is_none() && parent.is_none() {
            return false;
        }
        self.queue(id, true);
        self.queue_way(fresh, parent);
        true
    }

    /// Queues the nodes that must be looked at for a new place to be watched: the node that is queued last is looked at
    /// first.
    pub(super) fn queue_way(&mut self, fresh: Option<NodeId>, parent: Option<NodeId>) {
        if let Some(fresh) = fresh {
            self.queue(fresh, false);
        }
        if let Some(parent) = parent
            && fresh.is_none_or(|fresh| !self.trie.is_below(parent, fresh))
        {
            self.queue(parent, false);
        }
    }

    /// Makes the parent watch its entries with their content. Returns the parent if it must be armed for that.
    pub(super) fn want_content_of(&mut self, id: NodeId) -> Option<NodeId> {
        let parent = self.trie.parent(id)?;
        let node = self.trie.get_mut(parent);
        let is_new = !node.is(CONTENT);
        node.set(CONTENT, true);
        is_new.then_some(parent)
    }

    /// The node to which the target leads, as the system would walk, and the first new node on the way. As long as the
    /// way consists of ancestors of the link, `..` is an ancestor; elsewhere it is a name like others, since its
    /// meaning may change.
    fn place_of(&mut self, id: NodeId, target: &[u8]) -> (NodeId, Option<NodeId>) {
        let (mut at, mut is_above) = match target.first() {
            Some(b'/') => (ROOT, false),
            _ => (self.trie.parent(id).unwrap_or(ROOT), true),
        };
        let mut fresh = None;
        for name in components(target) {
            if name == b".." && (at == ROOT || (is_above && self.trie.get(at).kind == Kind::Dir)) {
                at = self.trie.parent(at).unwrap_or(ROOT);
                continue;
            }
            is_above = false;
            let (child, is_new) = self.trie.child_or_insert(at, name);
            if is_new && fresh.is_none() {
                fresh = Some(child);
            }
            if !is_new {
                self.compare_known(at, child);
            }
            at = child;
        }
        (at, fresh)
    }

    /// Whether what is at `place` depends on the link.
    fn depends(&self, place: NodeId, link: NodeId) -> bool {
        let mut open = vec![place];
        let mut steps = 0;
        while let Some(id) = open.pop() {
            for up in self.trie.upwards(id) {
                steps += 1;
                if up == link || steps > STEPS_MAX {
                    return true;
                }
                open.extend(self.leads_to.get(&up));
            }
        }
        false
    }

    /// Notes that the node is no link any more, or leads elsewhere.
    pub(super) fn unlink(&mut self, id: NodeId) {
        if self.trie.get(id).kind == Kind::Link || !self.looped.is_empty() {
            self.looped.retain(|&other| other != id);
        }
        let Some(place) = self.leads_to.remove(&id) else { return };
        if let Some(links) = self.led_from.get_mut(&place) {
            links.retain(|&other| other != id);
            if links.is_empty() {
                self.led_from.remove(&place);
            }
        }
        self.garbage.push(place);
    }

    /// Queues the links whose way goes through the node, since they lead to something else now.
    pub(super) fn queue_links_below(&mut self, id: NodeId) {
        if self.led_from.is_empty() {
            return;
        }
        let places = self.led_from.iter().filter(|&(&place, _)| self.trie.is_below(place, id));
        let links: Vec<NodeId> = places.flat_map(|(_, links)| links.iter().copied()).collect();
        links.into_iter().for_each(|link| self.queue(link, false));
    }
}

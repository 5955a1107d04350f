//! What resources own by received values: which resource may have it, and which must wait or fail. (What the fields of
//! a graph name is compared before anything runs.)

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use crate::id::Node;
use crate::resource::{AnyResource, Known, Uid};
use crate::runtime::core::Core;
use crate::runtime::running::Difference;
use crate::scheduler::Input;

/// What is owned by received values.
#[derive(Debug, Default)]
pub(crate) struct Owned {
    /// By resource. Contains nothing that the fields of a resource of the graph name.
    received: BTreeMap<Node, Vec<Uid>>,
    /// By what is owned: each has one owner.
    owners: HashMap<Uid, Node>,
    /// The nodes that had left the graph or had something under way when the graph came into force, by what they owned.
    /// Only kept if the graph has receivers.
    before: HashMap<Uid, Vec<Node>>,
    /// The resources that were refused, each with the first thing that it wanted and that another owns.
    refused: BTreeMap<Node, Uid>,
}

/// Whether a resource may work on what it owns.
#[derive(Debug)]
pub(crate) enum Claim {
    /// The resource owns it.
    Granted,
    /// These nodes have not ended with it.
    Occupied(Vec<Node>),
    /// Another resource of the graph owns it too: the reason for the refusal.
    Refused(String),
}

fn paths(uids: &[Uid]) -> Vec<PathBuf> {
    uids.iter().filter_map(|uid| uid.as_path().map(PathBuf::from)).collect()
}

impl Core {
    /// A new graph is in force, but the scheduler does not have it yet. Its resources keep what they own by received
    /// values until they receive something else, unless the graph declares it for another resource: the former owners
    /// are then checked again, as if they had changed.
    pub(super) fn own(&mut self, difference: &mut Difference, before: HashMap<Uid, Vec<Node>>) {
        self.owned.before = if difference.wirings.is_empty() { HashMap::new() } else { before };
        let mut gone = Vec::new();
        for (node, uids) in &mut self.owned.received {
            let (kept, lost): (Vec<Uid>, Vec<Uid>) = std::mem::take(uids)
                .into_iter()
                .partition(|uid| difference.wirings.contains_key(node) && self.running.owner(uid).is_none());
            *uids = kept;
            if !lost.is_empty() {
                difference.change(*node, self.running.place(*node));
                gone.extend(lost);
            }
        }
        self.owned.received.retain(|_, uids| !uids.is_empty());
        for uid in &gone {
            self.owned.owners.remove(uid);
        }
        self.services.owned.receive(&paths(&gone), &[]);
    }

    /// The owner in the graph in force.
    pub(super) fn owner(&self, uid: &Uid) -> Option<Node> {
        self.running.owner(uid).or_else(|| self.owned.owners.get(uid).copied())
    }

    /// Whether a resource with what it has received may be checked. If so, it owns from now on what these values make
    /// it own.
    pub(crate) fn claim(&mut self, node: Node, resource: &Arc<dyn AnyResource>) -> Claim {
        if !self.slots.receives(node) {
            return Claim::Granted;
        }
        self.owned.refused.remove(&node);
        let mut uids = resource.uids(&Known::all(resource.spec()));
        uids.retain(|uid| self.running.owner(uid) != Some(node));
        let occupied: Vec<Node> = uids.iter().flat_map(|uid| self.in_the_way(node, uid)).collect();
        if !occupied.is_empty() {
            return Claim::Occupied(occupied);
        }
        let conflict = uids.iter().find_map(|uid| {
            let owner = self.owner(uid).filter(|owner| *owner != node)?;
            // The owner has received something else instead and will be checked: it is no longer the owner.
            let is_former = self.owned.owners.get(uid) == Some(&owner) && self.slots.is_outdated(owner);
            (!is_former).then(|| (uid.clone(), owner))
        });
        if let Some((uid, owner)) = conflict {
            let (id, owner) = (self.running.id(node), self.running.id(owner));
            let reason = format!(
                "with what it received, {id} owns {uid}, which {owner} owns too: they would undo each other's work; leave it to one of them"
            );
            self.hold_uids(node, Vec::new());
            self.owned.refused.insert(node, uid);
            return Claim::Refused(reason);
        }
        self.hold_uids(node, uids);
        Claim::Granted
    }

    /// The nodes that have not ended with something that this node is about to own.
    fn in_the_way(&self, node: Node, uid: &Uid) -> Vec<Node> {
        let before = self.owned.before.get(uid).into_iter().flatten().copied();
        let mut all: Vec<Node> = before.filter(|from| *from != node && self.scheduler.is_in_the_way(*from)).collect();
        let is_busy = |owner: &Node| self.slots.get(*owner).is_some_and(|slot| slot.activity.op().is_some());
        let former = self.owned.owners.get(uid).copied().filter(|owner| *owner != node);
        all.extend(former.filter(|owner| self.slots.is_outdated(*owner) && is_busy(owner)));
        all
    }

    /// Sets what a resource owns by received values.
    fn hold_uids(&mut self, node: Node, uids: Vec<Uid>) {
        if uids.is_empty() && !self.owned.received.contains_key(&node) {
            return;
        }
        let old = self.owned.received.remove(&node).unwrap_or_default();
        if old == uids {
            self.owned.received.insert(node, old);
            return;
        }
        for uid in &old {
            if self.owned.owners.get(uid) == Some(&node) {
                self.owned.owners.remove(uid);
            }
        }
        self.services.owned.receive(&paths(&old), &paths(&uids));
        for uid in &uids {
            if let Some(former) = self.owned.owners.insert(uid.clone(), node)
                && let Some(others) = self.owned.received.get_mut(&former)
            {
                others.retain(|other| other != uid);
            }
        }
        if !uids.is_empty() {
            self.owned.received.insert(node, uids);
        }
        if !old.is_empty() {
            self.free_refused();
        }
    }

    /// Checks again the resources that were refused because another owned the same, if none does any more.
    pub(super) fn free_refused(&mut self) {
        let is_over = |(node, uid): (&Node, &Uid)| self.owner(uid).is_none_or(|owner| owner == *node).then_some(*node);
        let over: Vec<Node> = self.owned.refused.iter().filter_map(is_over).collect();
        for node in over {
            self.owned.refused.remove(&node);
            self.handle(Input::Recovered(node));
        }
    }

    /// Once no departed resource is left, forgets what they owned.
    pub(super) fn forget_former_owners(&mut self) {
        if self.owned.before.is_empty() || self.running.has_ghosts() {
            return;
        }
        let scheduler = &self.scheduler;
        self.owned.before.retain(|_, nodes| {
            nodes.retain(|node| scheduler.is_in_the_way(*node));
            !nodes.is_empty()
        });
    }
}

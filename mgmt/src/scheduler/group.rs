//! Groups: nodes that one operation handles together. Their checks begin together, as one call, when the parents of all
//! of them are settled; their applies begin together, when all checks of the call have been answered. Apart from that,
//! each is a node of its own: it succeeds, fails, waits for a cause and is refreshed alone.
//!
//! A node that can't run because something has failed, or because a value will not come, does not hold up the others;
//! nor does one whose parents wait for what no longer moves: the others start without it.

use std::collections::{BTreeSet, HashSet};

use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use crate::id::Node;

/// No group.
const ALONE: u32 = u32::MAX;

/// One group.
#[derive(Debug, Default)]
struct Group {
    members: Vec<Node>,
    /// How many members hold the group up.
    holding: u32,
    /// How many members have a run under way.
    running: u32,
    /// The member that is in a queue, for all of them.
    leader: Option<Node>,
    /// An event asked for the run of one that could start.
    urgent: bool,
    /// The next call begins without the members that hold the group up.
    without: bool,
    /// The members that could start but for the group; some of them have started since.
    ready: BTreeSet<Node>,
    /// The semaphores of all members, in order, each once.
    semas: Vec<u32>,
}

/// The groups of the graph in force.
#[derive(Debug, Default)]
pub(super) struct Groups {
    all: Vec<Group>,
    /// The group of each node; empty if there are no groups.
    of: Vec<u32>,
    /// Whether the node holds its group up.
    holds: Vec<bool>,
    /// How many groups are held up.
    held: usize,
}

impl Groups {
    fn of(&self, i: Node) -> Option<usize> {
        self.of.get(i.index()).copied().filter(|group| *group != ALONE).map(|group| group as usize)
    }

    /// Bytes held, approximately.
    pub(super) fn memory(&self) -> usize {
        let listed = |group: &Group| group.members.capacity() + 2 * group.ready.len();
        let members = self.all.iter().map(|group| listed(group) * size_of::<Node>()).sum::<usize>();
        self.all.capacity() * size_of::<Group>() + members + self.of.capacity() * 4 + self.holds.capacity()
    }
}

impl Scheduler {
    /// The group of the node, if it is in one.
    pub(super) fn group_of(&self, i: Node) -> Option<usize> {
        self.groups.of(i)
    }

    /// The members of the node's group, the node among them.
    pub(super) fn mates(&self, i: Node) -> &[Node] {
        self.group_of(i).map_or(&[][..], |group| &self.groups.all[group].members)
    }

    /// The node's group, if it is in one, lets it start.
    pub(super) fn group_permits(&self, i: Node) -> bool {
        let Some(group) = self.group_of(i) else { return true };
        let Group { holding, running, leader, without, .. } = self.groups.all[group];
        (holding == 0 || without || self.mutant(Mutant::GroupsDontWait))
            && (running == 0 || self.mutant(Mutant::GroupsOverlap))
            && leader.is_none_or(|leader| leader == i)
    }

    /// The members that the node waits for: those that hold the group up, or run; at most this many. None if it waits
    /// with the others for a place.
    pub(super) fn waits_for_mates(&self, i: Node, max: usize) -> Vec<Node> {
        let Some(group) = self.group_of(i) else { return Vec::new() };
        let Group { members, running, leader, holding, .. } = &self.groups.all[group];
        if *running == 0 && (leader.is_some() || *holding == 0) {
            return Vec::new();
        }
        let is_waited_for = |member: &Node| match running {
            0 => self.groups.holds[member.index()],
            _ => self.nodes[*member].phase().holds_slot(),
        };
        members.iter().copied().filter(is_waited_for).take(max).collect()
    }

    /// What holding the group up means, from scratch: the node waits for parents or for its watch, and will run or may
    /// have to.
    fn holds_up(&self, i: Node) -> bool {
        let node = &self.nodes[i];
        let waits = node.unsettled_parents > 0 || node.wants_run() && !node.any(WATCH_READY);
        waits && node.phase() == Phase::Idle && !node.is_bad() && !node.any(HELD | EXCUSED)
    }

    /// Updates whether the node holds its group up. To be called after each change of what that depends on.
    pub(super) fn review_hold(&mut self, i: Node) {
        let Some(group) = self.group_of(i) else { return };
        self.count_moving(i);
        if self.is_ready_in_group(i) {
            self.groups.all[group].ready.insert(i);
        }
        let holds = self.holds_up(i);
        if std::mem::replace(&mut self.groups.holds[i.index()], holds) == holds {
            return;
        }
        let holding = &mut self.groups.all[group].holding;
        if holds {
            *holding += 1;
            self.groups.held += usize::from(*holding == 1);
        } else {
            *holding -= 1;
            if *holding == 0 {
                self.groups.held -= 1;
                self.wake_group(group);
            }
        }
    }

    /// The node could start but for its group.
    fn is_ready_in_group(&self, i: Node) -> bool {
        self.nodes[i].phase() == Phase::Idle && self.may_start_alone(i)
    }

    /// If the group may start, one member that could goes into a queue, for all.
    fn wake_group(&mut self, group: usize) {
        while let Some(i) = self.groups.all[group].ready.first().copied()
            && self.group_permits(i)
        {
            if self.is_ready_in_group(i) {
                self.wake(i);
            }
            if self.groups.all[group].leader.is_some() {
                return;
            }
            self.groups.all[group].ready.remove(&i);
        }
    }

    /// The node goes into a queue: for its group, if it is in one.
    pub(super) fn lead(&mut self, i: Node) {
        if let Some(group) = self.group_of(i) {
            let urgent = self.is_group_urgent(group);
            let group = &mut self.groups.all[group];
            (group.leader, group.urgent) = (Some(i), urgent);
        }
    }

    /// An event asks for the run of a member that could start.
    fn is_group_urgent(&self, group: usize) -> bool {
        let ready = &self.groups.all[group].ready;
        ready.iter().any(|i| self.is_urgent_itself(*i) && self.may_start_alone(*i))
    }

    /// The node could start, but another is in a queue for its group: that one waits where this one would.
    pub(super) fn hurry(&mut self, i: Node) {
        let Some(group) = self.group_of(i) else { return };
        let Group { leader: Some(leader), urgent: false, .. } = self.groups.all[group] else { return };
        if self.is_urgent_itself(i) && !self.mutant(Mutant::GroupTakesItsTime) {
            self.groups.all[group].urgent = true;
            if let Some(at) = self.ready.iter().position(|ready| *ready == leader) {
                self.ready.remove(at);
                self.urgent.push_back(leader);
            }
        }
    }

    /// The node waits among those that are not urgent.
    pub(super) fn lead_in_time(&mut self, leader: Node) {
        if let Some(group) = self.group_of(leader) {
            self.groups.all[group].urgent = false;
        }
    }

    /// The node is in a queue for its group, and an event asks for the run of one of them.
    pub(super) fn leads_urgently(&self, i: Node) -> bool {
        self.group_of(i).is_some_and(|group| {
            let Group { leader, urgent, .. } = self.groups.all[group];
            urgent && leader == Some(i) && self.is_group_urgent(group)
        })
    }

    /// The node was taken out of the queue, and does not start: another member may.
    pub(super) fn lead_no_longer(&mut self, i: Node) {
        if let Some(group) = self.group_of(i)
            && self.groups.all[group].leader == Some(i)
        {
            self.groups.all[group].leader = None;
            self.groups.all[group].without = false;
            self.wake_group(group);
        }
    }

    /// A run of the node begins.
    pub(super) fn begin_in_group(&mut self, i: Node) {
        if let Some(group) = self.group_of(i) {
            let group = &mut self.groups.all[group];
            group.running += 1;
            group.leader = None;
            group.without = false;
        }
    }

    /// The run of the node has ended. (`wake_mates` is the caller's.)
    pub(super) fn end_in_group(&mut self, i: Node) {
        if let Some(group) = self.group_of(i) {
            self.groups.all[group].running -= 1;
        }
    }

    /// A run has ended: if it was the last of the group, the group may start again.
    pub(super) fn wake_mates(&mut self, i: Node) {
        if let Some(group) = self.group_of(i)
            && self.groups.all[group].running == 0
        {
            self.wake_group(group);
        }
    }

    /// The leader has started: so do all members that may.
    pub(super) fn start_mates(&mut self, leader: Node) {
        let Some(group) = self.group_of(leader).filter(|_| !self.mutant(Mutant::GroupStartsApart)) else { return };
        for i in std::mem::take(&mut self.groups.all[group].ready) {
            if !self.is_ready_in_group(i) {
                continue;
            }
            if self.is_limited(i) {
                self.settle(i);
            } else {
                self.nodes[i].go(Phase::Queued);
                self.note_queued(i);
                self.start(i);
            }
        }
    }

    /// The semaphores that a run of the node takes: with a group, those of all its members.
    pub(super) fn semas_of(&self, i: Node) -> Vec<u32> {
        let group = self.group_of(i).filter(|_| !self.mutant(Mutant::GroupSemasApart));
        match group {
            Some(group) => self.groups.all[group].semas.clone(),
            None => self.settings(i).sema.iter().map(|(number, _)| *number).collect(),
        }
    }

    /// Nothing runs and nothing could start: a group starts without the members that hold it up, if nothing that these
    /// wait for moves. Returns whether there is one.
    pub(super) fn start_without(&mut self) -> bool {
        if self.groups.held == 0 || self.runs() > 0 || !self.are_queues_empty() {
            return false;
        }
        for group in 0..self.groups.all.len() {
            let Group { ready, holding, running, .. } = &self.groups.all[group];
            let may_start = |i: &Node| self.is_ready_in_group(*i);
            if *holding == 0 || *running > 0 || !ready.iter().any(may_start) || self.moves_above(group) {
                continue;
            }
            self.groups.all[group].without = true;
            self.wake_group(group);
            if self.groups.all[group].leader.is_some() {
                return true;
            }
            self.groups.all[group].without = false;
        }
        false
    }

    /// A member that holds the group up, or something that it waits for, moves by itself.
    fn moves_above(&self, group: usize) -> bool {
        let members = &self.groups.all[group].members;
        let mut stack: Vec<Node> = members.iter().copied().filter(|i| self.groups.holds[i.index()]).collect();
        let mut seen: HashSet<Node> = stack.iter().copied().collect();
        while let Some(i) = stack.pop() {
            if self.nodes[i].any(MOVING) {
                return true;
            }
            let parents = self.edges.parents(i).map(|e| self.edges.from(e));
            let mates = self.mates(i).iter().copied().filter(|mate| self.groups.holds[mate.index()]);
            for above in parents.filter(|parent| !self.nodes[*parent].any(SETTLED)).chain(mates) {
                if seen.insert(above) {
                    stack.push(above);
                }
            }
        }
        false
    }

    /// A new graph comes: there are no groups until it is in force. Members that are in a queue, for others too, leave
    /// it.
    pub(super) fn disband(&mut self) {
        let groups = std::mem::take(&mut self.groups);
        for leader in groups.all.iter().filter_map(|group| group.leader) {
            if self.nodes[leader].phase() == Phase::Queued {
                self.unqueue(leader);
            }
        }
        self.end_group_calls();
    }

    /// The groups of the graph that has come into force, when all flags and counts of its nodes are right.
    pub(super) fn regroup(&mut self, groups: Vec<Vec<Node>>) {
        if groups.is_empty() {
            return;
        }
        // What is in a queue is there for itself.
        let is_queued = |i: &Node| self.nodes[*i].phase() == Phase::Queued;
        let queued: Vec<Node> = groups.iter().flatten().copied().filter(is_queued).collect();
        queued.iter().for_each(|i| self.unqueue(*i));
        self.retain_queued();
        let (mut of, mut holds, mut held) = (vec![ALONE; self.nodes.len()], vec![false; self.nodes.len()], 0);
        let mut all = Vec::with_capacity(groups.len());
        for members in groups {
            let mut group = Group::default();
            for i in members.iter().copied() {
                of[i.index()] = all.len() as u32;
                holds[i.index()] = self.holds_up(i);
                group.holding += u32::from(holds[i.index()]);
                group.running += u32::from(self.nodes[i].phase().holds_slot());
                group.semas.extend(self.settings(i).sema.iter().map(|(number, _)| *number));
            }
            group.semas.sort_unstable();
            group.semas.dedup();
            group.members = members;
            held += usize::from(group.holding > 0);
            all.push(group);
        }
        self.groups = Groups { all, of, holds, held };
        let members: Vec<Node> = self.groups.all.iter().flat_map(|group| group.members.iter().copied()).collect();
        members.into_iter().for_each(|i| self.review_hold(i));
        queued.into_iter().for_each(|i| self.wake(i));
    }

    /// Panics if the counts of the groups are wrong.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn check_groups(&self) {
        for (number, group) in self.groups.all.iter().enumerate() {
            let members = group.members.iter().copied();
            for i in members.clone() {
                assert_eq!(self.group_of(i), Some(number), "the group of {i:?}");
                assert_eq!(self.groups.holds[i.index()], self.holds_up(i), "{i:?} holds its group up");
                let is_ready = self.is_ready_in_group(i);
                assert!(!is_ready || group.ready.contains(&i), "{i:?} could start but for its group");
                let is_queued = matches!(self.nodes[i].phase(), Phase::Queued | Phase::Parked);
                assert_eq!(is_queued, group.leader == Some(i), "{i:?} is in a queue for its group");
            }
            let holding = members.clone().filter(|i| self.holds_up(*i)).count();
            assert_eq!(group.holding as usize, holding, "how many hold up group {number}");
            let running = members.filter(|i| self.nodes[*i].phase().holds_slot()).count();
            assert_eq!(group.running as usize, running, "how many of group {number} run");
        }
        let held = self.groups.all.iter().filter(|group| group.holding > 0).count();
        assert_eq!(held, self.groups.held, "how many groups are held up");
    }
}

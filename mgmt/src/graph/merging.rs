//! Groups that are made by merging pairs of resources.

use std::collections::HashSet;

use crate::dag::topo;
use crate::graph::grouping::GroupGraph;

/// Which pairs of resources are merged, one after the other: the way to write a
/// [`Grouping`](crate::graph::Grouping) with [`pairwise`]. An iterator of pairs is one.
pub trait Pairs {
    /// The next pair; `None` ends the grouping. What has been merged so far can be asked.
    fn next(&mut self, so_far: &mut Merging<'_>) -> Option<(u32, u32)>;

    /// Whether these two may be merged, as far as their kinds are concerned. Default:
    /// [`GroupGraph::may_join`]; a narrower answer makes smaller groups, a wider one has the graph refused.
    fn may_merge(&mut self, graph: &GroupGraph<'_>, first: u32, second: u32) -> bool {
        graph.may_join(first, second)
    }

    /// Whether there should be a next pair, after the pair was merged or not. Default: yes.
    fn merged(&mut self, first: u32, second: u32, merged: Result<(), Refusal>) -> bool {
        let _ = (first, second, merged);
        true
    }
}

impl<I: Iterator<Item = (u32, u32)>> Pairs for I {
    fn next(&mut self, _: &mut Merging<'_>) -> Option<(u32, u32)> {
        Iterator::next(self)
    }
}

/// Why two resources were not merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// They may not be in one group, by [`Pairs::may_merge`].
    Unlike,
    /// They are in one group already.
    Together,
    /// One of them, or of those in their groups, must run before the other.
    Ordered,
}

/// The groups that result from merging one pair after the other. A pair is left out if the graph of groups would have a
/// cycle; edges of merged resources are those of their group.
///
/// # Panics
/// A pair has an index that no resource has.
pub fn pairwise(graph: &GroupGraph<'_>, pairs: &mut impl Pairs) -> Vec<Vec<u32>> {
    pairwise_in(Merging::new(graph), pairs)
}

pub(super) fn pairwise_in(mut merging: Merging<'_>, pairs: &mut impl Pairs) -> Vec<Vec<u32>> {
    while let Some((first, second)) = pairs.next(&mut merging) {
        let merged = match pairs.may_merge(merging.graph, first, second) {
            true => merging.merge(first, second),
            false => Err(Refusal::Unlike),
        };
        if !pairs.merged(first, second, merged) {
            break;
        }
    }
    merging.into_groups()
}

/// Groups in the making. A resource that was merged with none is a group of one.
#[derive(Debug)]
pub struct Merging<'a> {
    graph: &'a GroupGraph<'a>,
    /// The way from each resource to the one that stands for its group.
    stands_for: Vec<u32>,
    /// The members of a group, from the one that stands for it: the next one of each, and the last.
    next: Vec<u32>,
    last: Vec<u32>,
    /// By group: each edge between groups leads from a lower to a higher rank.
    ranks: Vec<u32>,
}

const END: u32 = u32::MAX;

impl<'a> Merging<'a> {
    fn new(graph: &'a GroupGraph<'a>) -> Merging<'a> {
        let mut ranks = vec![0; graph.vertices().len()];
        let order = topo::order(ranks.len(), graph.order()).expect("groups are made of valid graphs");
        for at in order {
            for child in graph.children(at) {
                ranks[*child as usize] = ranks[*child as usize].max(ranks[at as usize] + 1);
            }
        }
        Merging::ranked(graph, ranks)
    }

    /// With ranks that are known: resources of one rank are merged without a search.
    pub(super) fn ranked(graph: &'a GroupGraph<'a>, ranks: Vec<u32>) -> Merging<'a> {
        let count = ranks.len() as u32;
        Merging {
            graph,
            stands_for: (0..count).collect(),
            next: vec![END; ranks.len()],
            last: (0..count).collect(),
            ranks,
        }
    }

    /// The graph whose resources are merged.
    pub fn graph(&self) -> &'a GroupGraph<'a> {
        self.graph
    }

    /// The resource that stands for the group of this one: the same for all members.
    pub fn group(&mut self, at: u32) -> u32 {
        let mut at = at;
        while self.stands_for[at as usize] != at {
            let above = self.stands_for[at as usize];
            self.stands_for[at as usize] = self.stands_for[above as usize];
            at = above;
        }
        at
    }

    /// The members of the group of this resource.
    pub fn members(&mut self, at: u32) -> Vec<u32> {
        let first = self.group(at);
        std::iter::successors(Some(first), |at| Some(self.next[*at as usize]).filter(|next| *next != END)).collect()
    }

    /// Makes one group of two, unless one must run before the other.
    fn merge(&mut self, first: u32, second: u32) -> Result<(), Refusal> {
        let (first, second) = (self.group(first), self.group(second));
        if first == second {
            return Err(Refusal::Together);
        }
        let (low, high) = match self.ranks[first as usize] <= self.ranks[second as usize] {
            true => (first, second),
            false => (second, first),
        };
        let rank = self.ranks[high as usize];
        let differ = self.ranks[low as usize] < rank;
        if differ && self.reaches(low, high) {
            return Err(Refusal::Ordered);
        }
        self.stands_for[second as usize] = first;
        self.next[self.last[first as usize] as usize] = second;
        self.last[first as usize] = self.last[second as usize];
        self.ranks[first as usize] = rank;
        if differ {
            self.raise_below(first);
        }
        Ok(())
    }

    /// Whether there is a way between two groups.
    fn reaches(&mut self, from: u32, to: u32) -> bool {
        let (end, mut seen, mut stack) = (self.ranks[to as usize], HashSet::from([from]), vec![from]);
        while let Some(group) = stack.pop() {
            for child in self.below(group) {
                if child == to {
                    return true;
                }
                if self.ranks[child as usize] < end && seen.insert(child) {
                    stack.push(child);
                }
            }
        }
        false
    }

    /// The group has a higher rank than before: the groups below it get higher ones, as far as necessary.
    fn raise_below(&mut self, group: u32) {
        let mut stack = vec![group];
        while let Some(group) = stack.pop() {
            let rank = self.ranks[group as usize];
            for child in self.below(group) {
                if self.ranks[child as usize] <= rank {
                    self.ranks[child as usize] = rank + 1;
                    stack.push(child);
                }
            }
        }
    }

    fn below(&mut self, group: u32) -> Vec<u32> {
        let (graph, members) = (self.graph, self.members(group));
        let mut below = Vec::new();
        for member in members {
            below.extend(graph.children(member).iter().map(|child| self.group(*child)));
        }
        below.retain(|child| *child != group);
        below
    }

    fn into_groups(mut self) -> Vec<Vec<u32>> {
        let all = 0..self.ranks.len() as u32;
        let first: Vec<u32> =
            all.filter(|at| self.stands_for[*at as usize] == *at && self.next[*at as usize] != END).collect();
        first.into_iter().map(|at| self.members(at)).collect()
    }
}

//! Adds the edges that were found together: all at once if they close no cycle, or else one by one in a fixed order.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use crate::dag::{Growing, shortest_way, topo};
use crate::graph::config::Edge;
use crate::graph::pass::PassGraph;
use crate::graph::problem::Problem;
use crate::resource::{Origin, Reason};

/// An edge that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    from: u32,
    to: u32,
    /// If not all edges can be added, those with a lower rank are tried first.
    rank: u8,
    /// The number of the reason.
    why: u32,
}

impl Candidate {
    pub(super) fn new(from: u32, to: u32, rank: u8, why: u32) -> Candidate {
        Candidate { from, to, rank, why }
    }

    fn ends(&self) -> (u32, u32) {
        (self.to, self.from)
    }
}

/// At most this many edges that are left out are reported one by one.
const LEFT_OUT_MAX: usize = 50;

impl PassGraph<'_> {
    /// Adds these edges, with these reasons by number, except those between resources that have an edge already, and
    /// those that would close a cycle. Both resources of each allow edges.
    pub(super) fn add_all(&mut self, mut found: Vec<Candidate>, reasons: &[Cow<'static, str>]) {
        let pass = self.pass_name();
        let origins: Vec<Origin> =
            reasons.iter().map(|why| Origin::Pass(Arc::new(Reason { pass, why: why.clone().into_owned() }))).collect();
        // Of several reasons for one edge, the first one is kept, whatever the order in which they were found.
        found.sort_unstable_by(|one, other| {
            let why = |candidate: &Candidate| (candidate.rank, &reasons[candidate.why as usize]);
            one.ends().cmp(&other.ends()).then_with(|| why(one).cmp(&why(other)))
        });
        found.dedup_by_key(|candidate| candidate.ends());
        if found.is_empty() {
            return;
        }
        let known = self.pairs();
        without(&mut found, &known);
        let (edge, count) = (|candidate: &Candidate| (candidate.from, candidate.to), self.vertices().len());
        let all: Vec<(u32, u32)> = known.iter().map(|(to, from)| (*from, *to)).chain(found.iter().map(edge)).collect();
        let knots = topo::knots(count, &all);
        if knots.is_empty() {
            self.push_all(&found, &origins);
        } else {
            self.add_some(found, &known, &knots, &origins);
        }
    }

    fn push_all(&mut self, found: &[Candidate], origins: &[Origin]) {
        let edge = |candidate: &Candidate| {
            let Candidate { from, to, why, .. } = *candidate;
            Edge { from, to, notify: false, name: None, origin: origins[why as usize].clone() }
        };
        self.push(found.iter().map(edge));
    }

    /// Adds the edges that close no cycle. Only an edge between two resources of one knot can close one: these are
    /// tried one after the other, in an order that depends on the names of the resources only.
    fn add_some(&mut self, found: Vec<Candidate>, known: &[(u32, u32)], knots: &[Vec<u32>], origins: &[Origin]) {
        let mut knot_of = vec![0u32; self.vertices().len()];
        for (number, knot) in (1..).zip(knots) {
            knot.iter().for_each(|node| knot_of[*node as usize] = number);
        }
        let is_doubtful = |candidate: &Candidate| {
            let [from, to] = [candidate.from, candidate.to].map(|end| knot_of[end as usize]);
            from == to && from != 0
        };
        let (mut doubtful, sure): (Vec<_>, Vec<_>) = found.into_iter().partition(is_doubtful);
        let safe = sure.iter().map(|candidate| (candidate.from, candidate.to));
        let mut all: Vec<(u32, u32)> = known.iter().map(|(to, from)| (*from, *to)).chain(safe).collect();
        self.push_all(&sure, origins);
        let Ok(mut order) = Growing::new(self.vertices().len(), &all) else {
            unreachable!("passes run on valid graphs, and an edge between two knots closes no cycle")
        };
        doubtful.sort_by_cached_key(|candidate| {
            let id = |at: u32| self.vertices()[at as usize].id();
            (candidate.rank, id(candidate.from), id(candidate.to))
        });
        let mut left_out = 0;
        for candidate in doubtful {
            let Candidate { from, to, why, .. } = candidate;
            match order.add(from, to) {
                Ok(()) => {
                    all.push((from, to));
                    self.push_all(&[candidate], origins);
                }
                Err(way) => {
                    left_out += 1;
                    if left_out <= LEFT_OUT_MAX {
                        // The same one of several ways, whatever the order in which resources are declared.
                        let id = |at: u32| self.vertices()[at as usize].id();
                        let way = shortest_way(self.vertices().len(), &all, (to, from), id).unwrap_or(way);
                        let warning = self.left_out(from, to, &way, origins[why as usize].clone());
                        self.warn([warning]);
                    }
                }
            }
        }
        if left_out > LEFT_OUT_MAX {
            let more = left_out - LEFT_OUT_MAX;
            let message = format!("{more} more edges are left out, since they would close cycles");
            let origin = Origin::Pass(Arc::new(Reason { pass: self.pass_name(), why: "cycles".to_owned() }));
            self.warn([Problem::new(message, origin)]);
        }
    }

    /// The pairs that edges and sends join, each as its second resource and its first; sorted.
    fn pairs(&self) -> Vec<(u32, u32)> {
        let sends = self.links().iter().flat_map(|link| link.sources.iter().map(|(from, _)| (link.to, *from)));
        let mut pairs: Vec<(u32, u32)> = self.edges().map(|edge| (edge.to, edge.from)).chain(sends).collect();
        if !pairs.is_sorted() {
            pairs.sort_unstable();
        }
        pairs.dedup();
        pairs
    }
}

/// Removes the candidates that are among these sorted pairs.
fn without(found: &mut Vec<Candidate>, pairs: &[(u32, u32)]) {
    if found.len() < pairs.len() / 16 {
        found.retain(|candidate| pairs.binary_search(&candidate.ends()).is_err());
        return;
    }
    let pairs: HashSet<(u32, u32), hashbrown::DefaultHashBuilder> = pairs.iter().copied().collect();
    found.retain(|candidate| !pairs.contains(&candidate.ends()));
}

//! Whether a history of one register is linearizable: each operation takes effect at one moment between its call and
//! its end, and one whose outcome is not known takes effect at some moment after its call, or never.
//!
//! The search (Wing and Gong, with memory of what was tried) tries the operations that may come next in each state. A
//! value is known by the revision that wrote it; one that an operation of unknown outcome may have written gets its
//! revision from the first one that saw it.

use std::collections::{BTreeSet, HashSet};

/// What a register has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) revision: u64,
    /// A digest of its bytes.
    pub(super) digest: u64,
}

/// What an operation does with a register, as its caller knows it. `None` is a register that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// It saw this.
    Read(Option<Seen>),
    /// It wrote this, at this revision, where it had required that. Without a requirement anything may have been there.
    Wrote { required: Option<Option<Seen>>, wrote: Option<Seen> },
    /// It would write these bytes if this is there, and nobody knows whether it did.
    MayWrite { required: Option<Option<Seen>>, digest: Option<u64> },
    /// It wrote nothing, because this was not there.
    Refused(Option<Seen>),
}

/// An operation and its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Op {
    pub(super) call: u64,
    /// Of one that may write: `u64::MAX`.
    pub(super) end: u64,
    pub(super) what: What,
}

/// The register as the search has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Absent,
    Known(Seen),
    /// Written by the operation of that index, whose revision is not known.
    Written(usize, u64),
}

impl State {
    /// The state if this is what is there, which may make it known.
    fn seen(self, seen: Option<Seen>) -> Option<State> {
        match (self, seen) {
            (State::Absent, None) => Some(self),
            (State::Known(known), Some(seen)) if known == seen => Some(self),
            (State::Written(_, digest), Some(seen)) if digest == seen.digest => Some(State::Known(seen)),
            _ => None,
        }
    }

    fn of(seen: Option<Seen>) -> State {
        seen.map_or(State::Absent, State::Known)
    }

    /// The state after this operation, if it can come now.
    fn after(self, index: usize, what: &What) -> Option<State> {
        let required = |required: &Option<Option<Seen>>| match required {
            Some(required) => self.seen(*required),
            None => Some(self),
        };
        match what {
            What::Read(seen) => self.seen(*seen),
            What::Wrote { required: before, wrote } => required(before).map(|_| State::of(*wrote)),
            What::MayWrite { required: before, digest } => {
                required(before).map(|_| digest.map_or(State::Absent, |digest| State::Written(index, digest)))
            }
            // What another one may have written has a revision of its own.
            What::Refused(seen) => match self {
                State::Written(..) => Some(self),
                _ => (self.seen(*seen).is_none()).then_some(self),
            },
        }
    }
}

/// How far the search has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Progress {
    /// All with a known outcome before this one have taken effect.
    first: usize,
    /// And these after it.
    more: BTreeSet<usize>,
    /// Those of unknown outcome that have taken effect.
    unknown: BTreeSet<usize>,
    state: State,
}

/// Checks a history of one register, which does not exist at first. The error is the operations that can't come next
/// where the search has come furthest.
pub(super) fn check(mut ops: Vec<Op>) -> Result<(), String> {
    ops.sort_by_key(|op| (op.call, op.end));
    let (unknown, known): (Vec<Op>, Vec<Op>) = ops.into_iter().partition(|op| op.end == u64::MAX);
    let start = Progress { first: 0, more: BTreeSet::new(), unknown: BTreeSet::new(), state: State::Absent };
    let (mut furthest, mut tried, mut left) = (start.clone(), HashSet::new(), vec![start]);
    while let Some(progress) = left.pop() {
        if progress.first == known.len() {
            return Ok(());
        }
        if progress.first + progress.more.len() > furthest.first + furthest.more.len() {
            furthest.clone_from(&progress);
        }
        for next in followers(&progress, &known, &unknown) {
            if tried.insert(next.clone()) {
                left.push(next);
            }
        }
    }
    let stuck = open(&furthest, &known).into_iter().map(|index| format!("{:?}", known[index])).collect::<Vec<_>>();
    Err(format!("with {:?} there none of these can come next:\n{}", furthest.state, stuck.join("\n")))
}

/// The operations of known outcome that may come next: none that was not called before all others have ended.
fn open(progress: &Progress, known: &[Op]) -> Vec<usize> {
    let (mut open, mut end) = (Vec::new(), u64::MAX);
    for (index, op) in known.iter().enumerate().skip(progress.first) {
        if op.call > end {
            break;
        }
        if !progress.more.contains(&index) {
            end = end.min(op.end);
            open.push(index);
        }
    }
    open.retain(|index| known[*index].call <= end);
    open
}

fn followers(progress: &Progress, known: &[Op], unknown: &[Op]) -> Vec<Progress> {
    let open = open(progress, known);
    let end = open.iter().map(|index| known[*index].end).min().unwrap_or(u64::MAX);
    let mut followers = Vec::new();
    for (index, op) in unknown.iter().enumerate() {
        if op.call <= end
            && !progress.unknown.contains(&index)
            && let Some(state) = progress.state.after(index, &op.what)
        {
            let mut next = Progress { state, ..progress.clone() };
            next.unknown.insert(index);
            followers.push(next);
        }
    }
    // The last ones are tried first: an unknown one matters rarely.
    for index in open.into_iter().rev() {
        if let Some(state) = progress.state.after(usize::MAX, &known[index].what) {
            let mut next = Progress { state, ..progress.clone() };
            next.more.insert(index);
            while next.more.remove(&next.first) {
                next.first += 1;
            }
            followers.push(next);
        }
    }
    followers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(revision: u64) -> Option<Seen> {
        (revision > 0).then_some(Seen { revision, digest: revision * 100 })
    }

    fn read(call: u64, end: u64, revision: u64) -> Op {
        Op { call, end, what: What::Read(value(revision)) }
    }

    /// Writes if that revision is there.
    fn set(call: u64, end: u64, before: u64, after: u64) -> Op {
        Op { call, end, what: What::Wrote { required: Some(value(before)), wrote: value(after) } }
    }

    fn may_set(call: u64, before: u64, after: u64) -> Op {
        let digest = value(after).map(|seen| seen.digest);
        Op { call, end: u64::MAX, what: What::MayWrite { required: Some(value(before)), digest } }
    }

    fn refused(call: u64, end: u64, before: u64) -> Op {
        Op { call, end, what: What::Refused(value(before)) }
    }

    #[test]
    fn right_histories_are_accepted() {
        for (why, ops) in [
            (
                "one after the other",
                vec![read(0, 1, 0), set(2, 3, 0, 5), read(4, 5, 5), set(6, 7, 5, 9), read(8, 9, 9)],
            ),
            ("a read during a write sees either", vec![set(0, 10, 0, 5), read(1, 2, 0), read(3, 4, 5), read(5, 6, 5)]),
            ("of two writers at once one is refused", vec![set(0, 9, 0, 5), refused(0, 9, 0), read(10, 11, 5)]),
            ("a lost answer, and the write", vec![may_set(0, 0, 5), read(1, 2, 0), read(3, 4, 5), set(5, 6, 5, 7)]),
            ("a lost answer, and no write", vec![may_set(0, 0, 5), read(1, 2, 0), set(3, 4, 0, 7), read(5, 6, 7)]),
            (
                "a lost answer, and the write comes late",
                vec![may_set(0, 3, 9), set(5, 6, 0, 3), read(7, 8, 3), read(9, 10, 9)],
            ),
            ("removed and made again", vec![set(0, 1, 0, 3), set(2, 3, 3, 0), read(4, 5, 0), set(6, 7, 0, 8)]),
            ("refused because of a lost write", vec![may_set(0, 0, 5), refused(1, 2, 0), read(3, 4, 5)]),
        ] {
            assert_eq!(check(ops), Ok(()), "{why}");
        }
    }

    #[test]
    fn wrong_histories_are_noticed() {
        for (why, ops) in [
            ("a read after a write does not see it", vec![set(0, 1, 0, 5), read(2, 3, 0)]),
            ("back in time", vec![set(0, 10, 0, 5), read(1, 2, 5), read(3, 4, 0)]),
            ("two writers replace the same", vec![set(0, 1, 0, 3), set(2, 9, 3, 5), set(2, 9, 3, 7)]),
            ("nobody has written it", vec![read(0, 1, 5)]),
            ("a write is lost", vec![set(0, 1, 0, 3), set(2, 3, 3, 5), read(4, 5, 3)]),
            ("refused, and it was there", vec![set(0, 1, 0, 3), refused(2, 3, 3), read(4, 5, 3)]),
            ("a lost answer: seen, and then not", vec![may_set(0, 0, 5), read(1, 2, 5), read(3, 4, 0)]),
            ("seen before it was asked for", vec![read(0, 1, 5), may_set(2, 0, 5)]),
            (
                "a lost answer is carried out twice",
                vec![may_set(0, 0, 5), read(1, 2, 5), set(3, 4, 5, 7), read(5, 6, 7), read(7, 8, 5)],
            ),
            (
                "another revision with the same bytes",
                vec![
                    set(0, 1, 0, 5),
                    Op { call: 2, end: 3, what: What::Read(Some(Seen { revision: 6, digest: 500 })) },
                ],
            ),
            ("removed, and still seen", vec![set(0, 1, 0, 3), set(2, 3, 3, 0), read(4, 5, 3)]),
        ] {
            assert!(check(ops).is_err(), "{why}");
        }
    }

    /// Tries all orders of all operations of known outcome together with any of the others.
    fn by_all_orders(ops: &[Op], done: &mut Vec<usize>, state: State) -> bool {
        let is_open = |index: usize| !done.contains(&index);
        if (0..ops.len()).all(|index| !is_open(index) || ops[index].end == u64::MAX) {
            return true;
        }
        let end = (0..ops.len()).filter(|index| is_open(*index)).map(|index| ops[index].end).min().unwrap_or(0);
        let next: Vec<usize> = (0..ops.len()).filter(|index| is_open(*index) && ops[*index].call <= end).collect();
        next.into_iter().any(|index| {
            let Some(state) = state.after(index, &ops[index].what) else { return false };
            done.push(index);
            let fits = by_all_orders(ops, done, state);
            done.pop();
            fits
        })
    }

    #[test]
    fn the_search_finds_what_trying_all_orders_finds() {
        let mut seed = 7u64;
        let mut draw = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let mut verdicts = [0, 0];
        for _ in 0..20_000 {
            let ops: Vec<Op> = (0..2 + draw(5))
                .map(|_| {
                    let (call, before, after) = (draw(12), draw(4), draw(4));
                    let end = call + 1 + draw(6);
                    match draw(6) {
                        0 | 1 => read(call, end, before),
                        2 | 3 => set(call, end, before, after),
                        4 => may_set(call, before, after),
                        _ => refused(call, end, before),
                    }
                })
                .collect();
            let is_right = by_all_orders(&ops, &mut Vec::new(), State::Absent);
            assert_eq!(check(ops.clone()).is_ok(), is_right, "{ops:?}");
            verdicts[usize::from(is_right)] += 1;
        }
        assert!(verdicts.iter().all(|count| *count > 1000), "{verdicts:?}");
    }
}

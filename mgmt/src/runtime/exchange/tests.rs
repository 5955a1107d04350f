//! Publishing in several transactions, which may end anywhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::graph::{ExportPlace, Offers, export_key, number_key};
use crate::resource::{Entry, LeaseId, Limits, Revision, Snapshot, Transaction, Write};
use crate::runtime::exchange::changes::{Published, Wanted};

const HOST: &str = "web1";
/// So small that most publishings take several transactions.
const LIMITS: Limits = Limits { operations: 6, bytes: 500 };

fn carry_out(state: &mut Snapshot, writes: BTreeMap<String, Write>) {
    state.revision.0 += 1;
    for (key, write) in writes {
        match write {
            Write::Put(value, lease) => {
                drop(state.entries.insert(key, Entry { value, written: state.revision, lease }));
            }
            Write::Remove => drop(state.entries.remove(&key)),
        }
    }
}

/// What a host sees that collects from all these places.
fn seen(state: &Snapshot) -> Offers {
    let exports = state.entries.iter().filter(|(key, _)| key.starts_with("/mgmt/exports/"));
    Offers::of(exports.map(|(key, entry)| (key.as_str(), &entry.value)))
}

fn expected(wanted: &Wanted) -> Offers {
    let mut entries: BTreeMap<String, Arc<[u8]>> = BTreeMap::new();
    for (place, names) in wanted {
        entries.insert(number_key(place, HOST), Arc::from(*b"1"));
        entries.extend(names.iter().map(|(name, value)| (export_key(place, HOST, name, 1), Arc::clone(value))));
    }
    Offers::of(entries.iter().map(|(key, value)| (key.as_str(), value)))
}

fn places() -> impl Strategy<Value = ExportPlace> {
    prop_oneof![Just((None, "file")), Just((None, "svc")), Just((Some("db"), "file"))]
        .prop_map(|(to, kind)| (to.map(str::to_owned), kind.to_owned()))
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let exports = prop::collection::vec((places(), "[a-e]", "[xy]{1,2}"), 0..10);
    exports.prop_map(|exports| {
        let mut wanted = Wanted::new();
        for (place, name, value) in exports {
            wanted.entry(place).or_default().insert(name, value.into_bytes().into());
        }
        wanted
    })
}

proptest! {
    /// Each publishing is ended after some transactions, as by a crash; the last one is not.
    #[test]
    fn what_others_see_changes_as_a_whole_and_nothing_is_left_behind(
        history in prop::collection::vec((wanted(), 0usize..12, 1u64..3), 1..8),
        last in wanted(),
    ) {
        let mut state = Snapshot::default();
        let last = [(last, usize::MAX, 1)];
        for (wanted, ended, lease) in history.into_iter().chain(last) {
            let lease = (!wanted.is_empty()).then_some(LeaseId(lease));
            let changes = Published::of(HOST, &state).changes(&wanted, lease, LIMITS);
            let (before, after, count) = (seen(&state), expected(&wanted), changes.0.len());
            let mut is_after = false;
            for writes in changes.0.into_iter().take(ended) {
                let condition = Published::of(HOST, &state).condition();
                let is = Transaction { conditions: vec![condition], writes: writes.clone() }.size();
                prop_assert!(is.operations <= LIMITS.operations && is.bytes <= LIMITS.bytes, "{is:?}");
                carry_out(&mut state, writes);
                let now = seen(&state);
                prop_assert!(now == after || now == before && !is_after, "{now:?}");
                is_after = now == after;
            }
            if ended >= count {
                prop_assert_eq!(seen(&state), after);
                let entries = wanted.values().map(|names| names.len() + 1).sum::<usize>() + usize::from(lease.is_some());
                prop_assert_eq!(state.entries.len(), entries, "{:?}", state.entries.keys());
                prop_assert!(state.entries.values().all(|entry| entry.lease == lease));
                let again = Published::of(HOST, &state).changes(&wanted, lease, LIMITS);
                prop_assert!(again.0.is_empty(), "{again:?}");
            }
        }
    }
}

#[test]
fn what_fits_is_one_transaction() {
    let wanted = |count: usize| {
        let names = (0..count).map(|n| (n.to_string(), Arc::from(*b"x"))).collect();
        Wanted::from([((None, "file".to_owned()), names)])
    };
    let (mut state, limits) = (Snapshot::default(), Limits { operations: 128, bytes: 1 << 20 });
    for (count, transactions) in [(100, 1), (101, 1), (100, 1), (0, 1), (1000, 11), (1001, 1), (1000, 1)] {
        let lease = (count > 0).then_some(LeaseId(1));
        let wanted = if count > 0 { wanted(count) } else { Wanted::new() };
        let changes = Published::of(HOST, &state).changes(&wanted, lease, limits);
        assert_eq!(changes.0.len(), transactions, "{count}");
        changes.0.into_iter().for_each(|writes| carry_out(&mut state, writes));
        assert_eq!(seen(&state), expected(&wanted), "{count}");
    }
    assert!(state.revision > Revision(7));
}

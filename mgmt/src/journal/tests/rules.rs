//! What the journal remembers, and when that changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use crate::id::{JournalOp, ResourceId};
use crate::journal::*;

use super::common::*;

#[test]
fn each_kind_of_entry_changes_what_is_owed_as_the_scheduler_means_it() {
    let cases: &[(&[Make], Option<Owed>)] = &[
        (&[INTENT], Some(Owed::Intent)),
        (&[INTENT, DROP], None),
        (&[INTENT, DEBT], Some(Owed::Debt)),
        (&[INTENT, DEBT, PAID], None),
        (&[INTENT, PAID], None),
        (&[DEBT], Some(Owed::Debt)),
        (&[DEBT, DROP], Some(Owed::Debt)),
        (&[DEBT, INTENT], Some(Owed::Debt)),
        (&[DEBT, INTENT, DROP], Some(Owed::Debt)),
        (&[DEBT, INTENT, DEBT, DROP], Some(Owed::Debt)),
        (&[DEBT, INTENT, PAID], None),
        (&[DROP], None),
        (&[PAID], None),
    ];
    for (steps, wanted) in cases {
        let dir = dir();
        let journal = Journal::open(dir.path()).unwrap();
        for step in *steps {
            put(&journal, vec![edge(*step, "file[a]", "svc[b]")]).unwrap();
        }
        let (a, b) = (id("file[a]"), id("svc[b]"));
        assert_eq!(journal.is_owed(&a, &b), *wanted);
        let journal = again(journal, dir.path());
        assert_eq!((journal.is_owed(&a, &b), journal.is_owed(&b, &a)), (*wanted, None));
        assert_eq!(journal.owed(), wanted.map(|owed| (a.clone(), b.clone(), owed)).into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn everything_survives_a_restart_and_forgetting_forgets_all() {
    let dir = dir();
    let journal = Journal::open(&dir.path().join("deep/prefix")).unwrap();
    let (a, b, odd) = (id("file[a]"), id("svc[b]"), ResourceId::new("http:file", "n\0\n[]]é"));
    let (salt, digest) = (journal.salt(), [9; 32]);
    let batch = vec![
        Entry::Mark { of: a.clone(), mark: Some(b"generated".to_vec()) },
        Entry::Mark { of: odd.clone(), mark: Some(vec![0, 255]) },
        Entry::Sent { of: a.clone(), port: "out".into(), digest: Some(digest) },
        Entry::Value { of: a.clone(), key: String::new(), value: Some(vec![]) },
        Entry::Edge(JournalOp::Debt { from: odd.clone(), to: a.clone() }),
        Entry::Edge(JournalOp::Intent { from: a.clone(), to: b.clone() }),
        Entry::Edge(JournalOp::Intent { from: odd.clone(), to: b.clone() }),
    ];
    put(&journal, batch).unwrap();
    let journal = again(journal, &dir.path().join("deep/prefix"));
    assert_eq!(journal.mark(&a).as_deref(), Some(&b"generated"[..]));
    assert_eq!(journal.mark(&odd).as_deref(), Some(&[0, 255][..]));
    assert_eq!(journal.sent(&a, "out"), Some(digest));
    assert_eq!((journal.sent(&a, "other"), journal.sent(&b, "out")), (None, None));
    assert_eq!(journal.value(&a, "").as_deref(), Some(&[][..]));
    assert_eq!(journal.resources(), [a.clone(), odd.clone(), b.clone()]);
    assert_eq!(journal.salt(), salt, "the digest of a value is the same after a restart");

    put(&journal, vec![Entry::Forget { of: a.clone() }]).unwrap();
    let journal = again(journal, &dir.path().join("deep/prefix"));
    assert_eq!(journal.owed(), [(odd.clone(), b.clone(), Owed::Intent)]);
    assert_eq!((journal.mark(&a), journal.sent(&a, "out"), journal.value(&a, "")), (None, None, None));
    put(&journal, vec![Entry::Forget { of: b.clone() }, Entry::Forget { of: odd.clone() }]).unwrap();
    let journal = again(journal, &dir.path().join("deep/prefix"));
    assert_eq!((journal.resources(), journal.mark(&odd)), (vec![], None));
}

#[test]
fn a_mark_forgets_in_the_same_batch_what_was_sent_before_it() {
    let journal = Journal::volatile().unwrap();
    let sent = |of: &str, port: &str| Entry::Sent { of: id(of), port: port.into(), digest: Some([1; 32]) };
    let mark = Entry::Mark { of: id("a[b]"), mark: Some(b"new".to_vec()) };
    put(&journal, vec![sent("a[b]", "text"), sent("a[b]", "hash"), sent("x[y]", "text"), mark, sent("a[b]", "late")])
        .unwrap();
    let known = |of: &str, port: &str| journal.sent(&id(of), port).is_some();
    assert_eq!((known("a[b]", "text"), known("a[b]", "hash")), (false, false));
    assert!(known("x[y]", "text") && known("a[b]", "late"));
}

#[test]
fn digests_of_two_journals_cannot_be_compared() {
    let journals = [Journal::volatile().unwrap(), Journal::volatile().unwrap()];
    assert_ne!(journals[0].salt(), journals[1].salt());
    assert_ne!(journals[0].salt(), [0; 32]);
}

#[test]
fn a_question_sees_what_was_submitted_before_it() {
    let dir = dir();
    let journal = Journal::open(dir.path()).unwrap();
    journal.note(vec![value("a[b]", "k", Some("1"))]);
    assert_eq!(journal.value(&id("a[b]"), "k").unwrap(), b"1");
    journal.note(vec![value("a[b]", "k", None)]);
    assert_eq!(journal.value(&id("a[b]"), "k"), None);
}

#[test]
fn what_changes_nothing_is_not_written() {
    let dir = dir();
    let commits = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&commits);
    let fault: Fault = Arc::new(move |step| {
        count.fetch_add(u64::from(matches!(step, Step::Commit(_))), Ordering::SeqCst);
        Ok(())
    });
    let journal = Journal::open_with(dir.path(), Options { fault: Some(fault), ..Options::default() }).unwrap();
    put(&journal, vec![value("a[b]", "k", Some("1"))]).unwrap();
    put(&journal, vec![value("a[b]", "k", Some("1")), edge(DROP, "x[y]", "a[b]"), Entry::Forget { of: id("no[one]") }])
        .unwrap();
    journal.flush().unwrap();
    assert_eq!(commits.load(Ordering::SeqCst), 1);
}

#[test]
fn what_is_too_large_is_refused_with_its_whole_batch() {
    let journal = Journal::volatile().unwrap();
    let big = Entry::Value { of: id("a[b]"), key: "k".into(), value: Some(vec![0; VALUE_BYTES_MAX + 1]) };
    let error = put(&journal, vec![value("a[b]", "other", Some("1")), big]).unwrap_err().to_string();
    assert_eq!(error, "value `k` of a[b] of 65537 bytes is too large for the journal, which takes 65536");
    assert_eq!(journal.resources(), []);
    let just = Entry::Mark { of: id("a[b]"), mark: Some(vec![0; VALUE_BYTES_MAX]) };
    put(&journal, vec![just]).unwrap();
}

#[test]
fn a_volatile_journal_answers_and_leaves_nothing() {
    let journal = Journal::volatile().unwrap();
    put(&journal, vec![edge(DEBT, "file[a]", "svc[b]")]).unwrap();
    assert_eq!(journal.owed().len(), 1);
    journal.close().unwrap();
}

/// A plain model of the journal.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    edges: BTreeMap<(usize, usize), (bool, bool)>,
    values: BTreeMap<(usize, String), String>,
}

#[derive(Clone, Debug)]
enum Do {
    Edge(u8, usize, usize),
    Value(usize, String, Option<String>),
    Forget(usize),
    Restart,
}

const NAMES: [&str; 3] = ["file[a]", "file[b]", "svc[c]"];

impl Model {
    fn apply(&mut self, what: &Do) -> Option<Entry> {
        let entry = match what {
            Do::Edge(kind, from, to) => {
                let flags = self.edges.entry((*from, *to)).or_default();
                let make = [INTENT, DROP, DEBT, PAID][usize::from(*kind)];
                match kind {
                    0 => flags.1 = true,
                    1 => flags.1 = false,
                    2 => *flags = (true, false),
                    _ => *flags = (false, false),
                }
                edge(make, NAMES[*from], NAMES[*to])
            }
            Do::Value(of, key, set) => {
                match set {
                    Some(set) => self.values.insert((*of, key.clone()), set.clone()),
                    None => self.values.remove(&(*of, key.clone())),
                };
                value(NAMES[*of], key, set.as_deref())
            }
            Do::Forget(of) => {
                self.edges.retain(|(from, to), _| from != of && to != of);
                self.values.retain(|(whose, _), _| whose != of);
                Entry::Forget { of: id(NAMES[*of]) }
            }
            Do::Restart => return None,
        };
        self.edges.retain(|_, flags| *flags != (false, false));
        Some(entry)
    }

    fn check(&self, journal: &Journal) {
        let owed = self.edges.iter().map(|((from, to), (debt, _))| {
            (id(NAMES[*from]), id(NAMES[*to]), if *debt { Owed::Debt } else { Owed::Intent })
        });
        assert_eq!(journal.owed(), owed.collect::<Vec<_>>());
        for (of, name) in NAMES.iter().enumerate() {
            for key in ["x", "y"] {
                let wanted = self.values.get(&(of, key.to_owned())).map(|v| v.as_bytes().to_vec());
                assert_eq!(journal.value(&id(name), key), wanted);
            }
        }
    }
}

fn step() -> impl Strategy<Value = Do> {
    prop_oneof![
        8 => (0u8..4, 0usize..3, 0usize..3).prop_map(|(kind, from, to)| Do::Edge(kind, from, to)),
        4 => (0usize..3, "[xy]", proptest::option::of("[a-c]{0,2}")).prop_map(|(of, key, set)| Do::Value(of, key, set)),
        1 => (0usize..3).prop_map(Do::Forget),
        1 => Just(Do::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_journal_says_what_a_plain_model_says_also_after_restarts(steps in proptest::collection::vec(step(), 1..40)) {
        let dir = dir();
        let mut journal = Journal::open(dir.path()).unwrap();
        let mut model = Model::default();
        for what in &steps {
            match model.apply(what) {
                Some(entry) => journal.note(vec![entry]),
                None => journal = again(journal, dir.path()),
            }
            model.check(&journal);
        }
        model.check(&again(journal, dir.path()));
    }
}

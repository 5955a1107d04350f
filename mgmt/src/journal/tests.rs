//! Against the real file system, a failing one, and processes killed at any moment.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tempfile::TempDir;

use crate::id::ResourceId;

use super::*;

fn id(text: &str) -> ResourceId {
    text.parse().unwrap()
}

fn edge(make: fn(ResourceId, ResourceId) -> Entry, from: &str, to: &str) -> Entry {
    make(id(from), id(to))
}

const INTENT: fn(ResourceId, ResourceId) -> Entry = |from, to| Entry::Intent { from, to };
const DROP: fn(ResourceId, ResourceId) -> Entry = |from, to| Entry::Drop { from, to };
const DEBT: fn(ResourceId, ResourceId) -> Entry = |from, to| Entry::Debt { from, to };
const PAID: fn(ResourceId, ResourceId) -> Entry = |from, to| Entry::Paid { from, to };

fn value(of: &str, key: &str, value: Option<&str>) -> Entry {
    Entry::Value { of: id(of), key: key.into(), value: value.map(|v| v.as_bytes().to_vec()) }
}

/// Write it and wait until it is durable.
fn put(journal: &Journal, batch: Vec<Entry>) -> Result<(), CommitError> {
    let (sender, receiver) = channel();
    journal.submit(batch, move |result| sender.send(result).unwrap());
    receiver.recv_timeout(Duration::from_secs(60)).expect("an answer")
}

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The journal after a restart.
fn again(journal: Journal, prefix: &Path) -> Journal {
    journal.close().unwrap();
    Journal::open(prefix).unwrap()
}

#[test]
fn each_kind_of_entry_changes_what_is_owed_as_the_scheduler_means_it() {
    let cases: &[(&[fn(ResourceId, ResourceId) -> Entry], Option<Owed>)] = &[
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
    let digest = journal.digest(b"value");
    let batch = vec![
        Entry::Mark { of: a.clone(), mark: Some(b"generated".to_vec()) },
        Entry::Mark { of: odd.clone(), mark: Some(vec![0, 255]) },
        Entry::Sent { of: a.clone(), port: "out".into(), digest: Some(digest) },
        Entry::Received { of: a.clone(), field: "out".into(), digest: Some([7; 32]) },
        Entry::Value { of: a.clone(), key: String::new(), value: Some(vec![]) },
        Entry::Debt { from: odd.clone(), to: a.clone() },
        Entry::Intent { from: a.clone(), to: b.clone() },
        Entry::Intent { from: odd.clone(), to: b.clone() },
    ];
    put(&journal, batch).unwrap();
    let journal = again(journal, &dir.path().join("deep/prefix"));
    assert_eq!(journal.mark(&a).as_deref(), Some(&b"generated"[..]));
    assert_eq!(journal.mark(&odd).as_deref(), Some(&[0, 255][..]));
    assert_eq!((journal.sent(&a, "out"), journal.received(&a, "out")), (Some(digest), Some([7; 32])));
    assert_eq!((journal.sent(&a, "other"), journal.sent(&b, "out")), (None, None));
    assert_eq!(journal.value(&a, "").as_deref(), Some(&[][..]));
    assert_eq!(journal.resources(), [a.clone(), odd.clone(), b.clone()]);
    assert_eq!(journal.digest(b"value"), digest, "the digest of a value is the same after a restart");

    put(&journal, vec![Entry::Forget { of: a.clone() }]).unwrap();
    let journal = again(journal, &dir.path().join("deep/prefix"));
    assert_eq!(journal.owed(), [(odd.clone(), b.clone(), Owed::Intent)]);
    assert_eq!((journal.mark(&a), journal.sent(&a, "out"), journal.value(&a, "")), (None, None, None));
    journal.retain(|of| *of == b);
    let journal = again(journal, &dir.path().join("deep/prefix"));
    assert_eq!((journal.resources(), journal.mark(&odd)), (vec![], None));
}

#[test]
fn digests_of_two_journals_cannot_be_compared() {
    let journals = [Journal::volatile().unwrap(), Journal::volatile().unwrap()];
    assert_ne!(journals[0].digest(b"secret"), journals[1].digest(b"secret"));
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
fn what_nobody_waits_for_is_written_soon_and_not_after_what_somebody_waits_for() {
    let dir = dir();
    let options = Options { lazy: Duration::from_millis(20), ..Options::default() };
    let journal = Journal::open_with(dir.path(), options).unwrap();
    journal.note(vec![value("a[b]", "alone", Some("1"))]);
    // Looked at through a copy, as a crash would leave it.
    let start = Instant::now();
    while look(dir.path(), "alone").is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "never written");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(journal);

    let options = Options { lazy: Duration::from_secs(3600), ..Options::default() };
    let journal = Journal::open_with(dir.path(), options).unwrap();
    journal.note(vec![value("a[b]", "before", Some("1"))]);
    put(&journal, vec![value("a[b]", "waited", Some("1"))]).unwrap();
    assert!(look(dir.path(), "before").is_some());
    journal.note(vec![value("a[b]", "last", Some("1"))]);
    drop(journal);
    assert!(look(dir.path(), "last").is_some(), "an orderly end writes what is left");
}

/// The value under `a[b]` in a copy of the journal, as it is on disk now.
fn look(prefix: &Path, key: &str) -> Option<Vec<u8>> {
    let copy = dir();
    fs::copy(prefix.join("journal.redb"), copy.path().join("journal.redb")).unwrap();
    let journal = Journal::open(copy.path()).unwrap();
    // Copied in the middle of a write, it may be useless; then the next look tells.
    journal.value(&id("a[b]"), key)
}

#[test]
fn many_batches_share_a_commit() {
    let dir = dir();
    let commits = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&commits);
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(Some(wait));
    let fault: Fault = Arc::new(move |step| {
        if let Step::Commit(_) = step {
            count.fetch_add(1, Ordering::SeqCst);
            // The first commit lasts until all the others are queued.
            if let Some(wait) = wait.lock().unwrap().take() {
                wait.recv().unwrap();
            }
        }
        Ok(())
    });
    let journal = Journal::open_with(dir.path(), Options { fault: Some(fault), ..Options::default() }).unwrap();
    let (sender, receiver) = channel();
    for n in 0..1000 {
        let sender = sender.clone();
        journal.submit(vec![value("a[b]", &n.to_string(), Some("x"))], move |result| sender.send((n, result)).unwrap());
    }
    go.send(()).unwrap();
    for wanted in 0..1000 {
        let (n, result) = receiver.recv_timeout(Duration::from_secs(60)).unwrap();
        result.unwrap();
        assert_eq!(n, wanted, "answers come in order");
    }
    let commits = commits.load(Ordering::SeqCst);
    assert!((2..=3).contains(&commits), "{commits} commits");
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
fn a_second_user_of_the_prefix_is_refused_and_told_who_has_it() {
    let dir = dir();
    let journal = Journal::open(dir.path()).unwrap();
    let error = Journal::open(dir.path()).unwrap_err();
    let wanted = format!("the prefix {} is in use by this process (pid {})", dir.path().display(), std::process::id());
    assert_eq!(error.to_string(), wanted);
    drop(journal);
    let mut child = Helper::start("hold", dir.path());
    child.line();
    let error = Journal::open(dir.path()).unwrap_err();
    let wanted = format!("the prefix {} is in use by another process (pid {})", dir.path().display(), child.0.id());
    assert_eq!(error.to_string(), wanted);
    child.kill();
    Journal::open(dir.path()).unwrap();
}

#[test]
fn two_prefixes_do_not_disturb_each_other() {
    let (one, two) = (dir(), dir());
    let journals = [Journal::open(one.path()).unwrap(), Journal::open(two.path()).unwrap()];
    put(&journals[0], vec![value("a[b]", "k", Some("1"))]).unwrap();
    assert_eq!(journals[1].value(&id("a[b]"), "k"), None);
}

#[test]
fn only_the_owner_may_read_the_journal() {
    let dir = dir();
    let journal = Journal::open(dir.path()).unwrap();
    put(&journal, vec![value("a[b]", "k", Some("1"))]).unwrap();
    for name in ["journal.redb", "journal.lock"] {
        let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let dir = dir();
    drop(Journal::open(dir.path()).unwrap());
    let path = dir.path().join("journal.redb");
    {
        let db = redb::Database::open(&path).unwrap();
        let transaction = db.begin_write().unwrap();
        let table: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("meta");
        transaction.open_table(table).unwrap().insert("schema", 2u64.to_le_bytes().as_slice()).unwrap();
        transaction.commit().unwrap();
    }
    let wanted = format!("{} has schema 2, written by a newer version; this one knows schemas up to 1", path.display());
    for _ in 0..2 {
        assert_eq!(Journal::open(dir.path()).unwrap_err().to_string(), wanted);
        assert_eq!(names(dir.path()), ["journal.lock", "journal.redb"]);
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_corrupt_journal_is_moved_aside_and_begun_anew() {
    let dir = dir();
    let path = dir.path().join("journal.redb");
    for n in 1..=10 {
        let content: &[u8] = if n % 2 == 0 { b"" } else { b"this is no journal" };
        fs::write(&path, content).unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let aside = dir.path().join(format!("journal.redb.corrupt-{}", n.min(8)));
        assert_eq!(journal.moved_aside(), Some(aside.as_path()));
        assert_eq!(fs::read(&aside).unwrap(), content);
        put(&journal, vec![value("a[b]", "k", Some("1"))]).unwrap();
        let journal = again(journal, dir.path());
        assert_eq!((journal.moved_aside(), journal.value(&id("a[b]"), "k")), (None, Some(b"1".to_vec())));
    }
}

#[test]
fn whatever_happens_to_its_bytes_a_journal_opens() {
    let dir = dir();
    let journal = Journal::open(dir.path()).unwrap();
    let entries = |from: u32| (from..from + 50).map(|n| value("a[b]", &n.to_string(), Some("some value"))).collect();
    put(&journal, entries(0)).unwrap();
    put(&journal, entries(50)).unwrap();
    drop(journal);
    let whole = fs::read(dir.path().join("journal.redb")).unwrap();
    let used = whole.iter().rposition(|b| *b != 0).unwrap() + 1;
    let mut damaged: Vec<Vec<u8>> =
        [1, 63, 64, 319, 320, 4096, 5000, used / 2, used - 1].map(|n| whole[..n].to_vec()).into();
    for n in 0..60usize {
        let mut bytes = whole.clone();
        let at = if n < 30 { n * 11 } else { (n * 7919 * 13) % used };
        bytes[at] ^= 0xff;
        damaged.push(bytes);
    }
    let mut aside = 0;
    for bytes in damaged {
        let copy = tempfile::tempdir().unwrap();
        fs::write(copy.path().join("journal.redb"), &bytes).unwrap();
        let journal = Journal::open(copy.path()).unwrap();
        aside += u32::from(journal.moved_aside().is_some());
        // What it says is either nothing, or what was once true.
        let values = (0..100).filter(|n| journal.value(&id("a[b]"), &n.to_string()).is_some()).count();
        assert!([0, 50, 100].contains(&values), "{values} values");
        for n in 0..100 {
            assert!(journal.value(&id("a[b]"), &n.to_string()).is_none_or(|v| v == b"some value"));
        }
        put(&journal, vec![value("x[y]", "k", Some("1"))]).unwrap();
    }
    assert!(aside > 9, "the damage is real: {aside} moved aside");
}

#[test]
fn a_prefix_that_cannot_be_used_says_why() {
    let dir = dir();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Journal::open(&file.join("prefix")).unwrap_err().to_string();
    assert_eq!(error, format!("cannot create {}/prefix: Not a directory (os error 20)", file.display()));
    let prefix = dir.path().join("prefix");
    fs::create_dir(&prefix).unwrap();
    std::os::unix::fs::symlink(&file, prefix.join("journal.redb")).unwrap();
    let error = Journal::open(&prefix).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot open {}/journal.redb: ", prefix.display())), "{error}");
    let error = Journal::open(Path::new("/proc/prefix")).unwrap_err().to_string();
    assert!(error.starts_with("cannot create /proc/prefix: "), "{error}");
}

#[test]
fn a_full_disk_at_the_start_is_an_error_and_no_corruption() {
    let dir = dir();
    let full: Fault = Arc::new(|step| match step {
        Step::Write | Step::Resize => Err(io::Error::from_raw_os_error(28)),
        _ => Ok(()),
    });
    let options = Options { fault: Some(full), ..Options::default() };
    let error = Journal::open_with(dir.path(), options).unwrap_err().to_string();
    let path = dir.path().join("journal.redb");
    assert_eq!(error, format!("cannot create {}: No space left on device (os error 28)", path.display()));
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.moved_aside(), None);
    assert_eq!(names(dir.path()), ["journal.lock", "journal.redb"]);
}

#[test]
fn a_failed_commit_is_told_and_made_good_by_the_next() {
    for after in [false, true] {
        let dir = dir();
        let fault: Fault = Arc::new(move |step| match step {
            Step::Commit(2) if !after => Err(io::Error::other("the disk is gone")),
            Step::Committed(2) if after => Err(io::Error::other("the disk is gone")),
            _ => Ok(()),
        });
        let journal = Journal::open_with(dir.path(), Options { fault: Some(fault), ..Options::default() }).unwrap();
        put(&journal, vec![value("a[b]", "1", Some("x"))]).unwrap();
        let error = put(&journal, vec![value("a[b]", "2", Some("x"))]).unwrap_err().to_string();
        assert_eq!(error, format!("cannot write {}/journal.redb: the disk is gone", dir.path().display()));
        put(&journal, vec![value("a[b]", "3", Some("x"))]).unwrap();
        let journal = again(journal, dir.path());
        for key in ["1", "2", "3"] {
            assert!(journal.value(&id("a[b]"), key).is_some(), "{key}");
        }
    }
}

#[test]
fn a_failed_commit_that_nobody_waits_for_is_tried_again() {
    let dir = dir();
    let broken = Arc::new(AtomicBool::new(true));
    let (seen, ask) = (Arc::new(AtomicU64::new(0)), Arc::clone(&broken));
    let count = Arc::clone(&seen);
    let fault: Fault = Arc::new(move |step| match step {
        Step::Commit(_) if ask.load(Ordering::SeqCst) => {
            count.fetch_add(1, Ordering::SeqCst);
            Err(io::Error::other("broken"))
        }
        _ => Ok(()),
    });
    let options = Options { lazy: Duration::ZERO, fault: Some(fault) };
    let journal = Journal::open_with(dir.path(), options).unwrap();
    journal.note(vec![value("a[b]", "k", Some("x"))]);
    let wait_until = |what: &dyn Fn() -> bool| {
        let start = Instant::now();
        while !what() {
            assert!(start.elapsed() < Duration::from_secs(60), "never");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait_until(&|| seen.load(Ordering::SeqCst) > 0);
    broken.store(false, Ordering::SeqCst);
    wait_until(&|| look(dir.path(), "k").is_some());
}

#[test]
fn closing_tells_that_the_last_could_not_be_written() {
    let dir = dir();
    let fault: Fault = Arc::new(|step| match step {
        Step::Commit(_) => Err(io::Error::other("broken")),
        _ => Ok(()),
    });
    let journal = Journal::open_with(dir.path(), Options { fault: Some(fault), ..Options::default() }).unwrap();
    journal.note(vec![value("a[b]", "k", Some("x"))]);
    assert!(journal.close().unwrap_err().to_string().ends_with("broken"));
}

#[test]
fn whichever_access_to_the_disk_fails_nothing_acknowledged_is_lost() {
    // The n-th access fails, and for a while all after it; then the disk is well again.
    for length in [1, 5] {
        let mut n = 1;
        loop {
            let dir = dir();
            drop(Journal::open(dir.path()).unwrap());
            let (count, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
            let (counter, flag) = (Arc::clone(&count), Arc::clone(&failed));
            let fault: Fault = Arc::new(move |step| {
                if matches!(step, Step::Write | Step::Resize | Step::Sync) {
                    let now = counter.fetch_add(1, Ordering::SeqCst) + 1;
                    if (n..n + length).contains(&now) {
                        flag.store(true, Ordering::SeqCst);
                        return Err(io::Error::from_raw_os_error(28));
                    }
                }
                Ok(())
            });
            let options = Options { fault: Some(fault), ..Options::default() };
            let Ok(journal) = Journal::open_with(dir.path(), options) else {
                n += 1;
                continue;
            };
            let mut acknowledged = Vec::new();
            for key in 0..6 {
                let key = key.to_string();
                if put(&journal, vec![value("a[b]", &key, Some("x"))]).is_ok() {
                    acknowledged.push(key);
                }
            }
            // As a crash leaves it: no orderly end.
            let crashed = tempfile::tempdir().unwrap();
            fs::copy(dir.path().join("journal.redb"), crashed.path().join("journal.redb")).unwrap();
            let after = Journal::open(crashed.path()).unwrap();
            assert_eq!(after.moved_aside(), None);
            for key in &acknowledged {
                assert!(after.value(&id("a[b]"), key).is_some(), "access {n}: {key} of {acknowledged:?}");
            }
            let ended = journal.close();
            if !failed.load(Ordering::SeqCst) {
                assert_eq!(acknowledged.len(), 6);
                assert!(n > 10, "the commits access the disk");
                ended.unwrap();
                break;
            }
            if ended.is_ok() {
                let after = Journal::open(dir.path()).unwrap();
                assert!((0..6).all(|key: u32| after.value(&id("a[b]"), &key.to_string()).is_some()), "access {n}");
            }
            n += 1;
        }
    }
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
fn whoever_is_told_may_use_and_even_drop_the_journal_and_may_panic() {
    let dir = dir();
    let journal = Arc::new(Journal::open(dir.path()).unwrap());
    journal.submit(vec![], |_| panic!("on purpose"));
    let (sender, receiver) = channel();
    let inner = Arc::clone(&journal);
    let (go, wait) = channel::<()>();
    journal.submit(vec![value("a[b]", "1", Some("x"))], move |_| {
        let last = sender.clone();
        inner.submit(vec![value("a[b]", "2", Some("x"))], move |result| last.send(result).unwrap());
        wait.recv().unwrap();
        drop(inner);
    });
    drop(journal);
    go.send(()).unwrap();
    receiver.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    assert!(journal.value(&id("a[b]"), "2").is_some());
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
        for of in 0..NAMES.len() {
            for key in ["x", "y"] {
                let wanted = self.values.get(&(of, key.to_owned())).map(|v| v.as_bytes().to_vec());
                assert_eq!(journal.value(&id(NAMES[of]), key), wanted);
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

/// This test program once more, as another process.
struct Helper(Child, BufReader<std::process::ChildStderr>);

impl Helper {
    fn start(what: &str, prefix: &Path) -> Helper {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::tests::helper", "--ignored", "--nocapture"])
            .env("MGMT_JOURNAL_HELPER", what)
            .env("MGMT_JOURNAL_PREFIX", prefix)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Helper(child, lines)
    }

    /// The next line, empty at the end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "a part of other tests"]
fn helper() {
    let Some(prefix) = std::env::var_os("MGMT_JOURNAL_PREFIX") else { return };
    let journal = Journal::open(Path::new(&prefix)).unwrap();
    let say = |text: String| io::stderr().write_all(text.as_bytes()).unwrap();
    match std::env::var("MGMT_JOURNAL_HELPER").unwrap().as_str() {
        "hold" => {
            say("held\n".into());
            std::thread::sleep(Duration::from_secs(600));
        }
        _ => {
            // Batch after batch, up to eight under way, until killed.
            let (done, slots) = channel();
            (0..8).for_each(|_| done.send(()).unwrap());
            for n in count(&journal) + 1.. {
                slots.recv().unwrap();
                let done = done.clone();
                if n % 3 == 0 {
                    journal.note(batch(n));
                    done.send(()).unwrap();
                } else {
                    journal.submit(batch(n), move |result| {
                        result.unwrap();
                        say(format!("{n}\n"));
                        done.send(()).unwrap();
                    });
                }
            }
        }
    }
}

/// The n-th batch of the crash test.
fn batch(n: u64) -> Vec<Entry> {
    let (from, to) = (format!("file[{}]", n % 5), format!("svc[{}]", n % 3));
    let make = [INTENT, DEBT, DROP, PAID][(n / 7 % 4) as usize];
    vec![
        value(&from, &(n % 11).to_string(), Some(&n.to_string())),
        edge(make, &from, &to),
        value("count[er]", "n", Some(&n.to_string())),
    ]
}

fn count(journal: &Journal) -> u64 {
    let bytes = journal.value(&id("count[er]"), "n").unwrap_or_else(|| b"0".to_vec());
    String::from_utf8(bytes).unwrap().parse().unwrap()
}

/// What a journal says: what is owed, and the values of the crash test.
fn content(journal: &Journal) -> impl PartialEq + std::fmt::Debug + use<> {
    let values = |of: &ResourceId| (0..11).map(|key: u32| journal.value(of, &key.to_string())).collect::<Vec<_>>();
    let values: Vec<_> = journal.resources().iter().map(values).collect();
    (journal.owed(), journal.resources(), values)
}

#[test]
fn kill_9_at_any_moment_loses_nothing_acknowledged_and_keeps_the_order() {
    let dir = dir();
    let model = Journal::volatile().unwrap();
    let mut batches = 0;
    for round in 0..120u64 {
        let mut helper = Helper::start("write", dir.path());
        let mut acknowledged = 0;
        // Sometimes while it opens, sometimes after some batches.
        let mut random = [0; 8];
        crate::sys::rng::fill(&mut random).unwrap();
        let random = u64::from_le_bytes(random);
        for _ in 0..random % 12 * u64::from(round % 4 != 0) {
            acknowledged = helper.line().trim().parse().unwrap_or_else(|_| panic!("the helper died"));
        }
        std::thread::sleep(Duration::from_micros(random >> 32 & 0x3fff));
        helper.kill();
        while let Ok(n) = helper.line().trim().parse() {
            acknowledged = n;
        }
        let journal = Journal::open(dir.path()).unwrap();
        assert_eq!(journal.moved_aside(), None, "never corrupt");
        let reached = count(&journal);
        assert!(reached >= acknowledged, "batch {acknowledged} was acknowledged; {reached} is there");
        assert!(reached >= batches);
        // It is exactly what the first `reached` batches make: none is missing in between, none is half there.
        for n in batches + 1..=reached {
            model.note(batch(n));
        }
        batches = reached;
        assert_eq!(content(&journal), content(&model));
    }
    assert!(batches > 100, "the helpers have worked: {batches}");
}

//! Journals that earlier versions wrote.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::journal::*;

use super::common::*;

/// Written by the version with schema 1: by an engine (a password and an exec, whose text and output went to files; an
/// exec whose refresh failed), and by hand (a digest for each output of the kinds, edges of every sort, a foreign kind,
/// numbers that no kind had).
const SCHEMA_1: &[u8] = include_bytes!("schema-1.redb");

fn put_old(prefix: &Path) {
    fs::write(prefix.join("journal.redb"), SCHEMA_1).unwrap();
}

fn schema(prefix: &Path) -> u64 {
    let copy = dir();
    let path = copy.path().join("journal.redb");
    fs::copy(prefix.join("journal.redb"), &path).unwrap();
    let db = redb::Database::open(&path).unwrap();
    let table: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("meta");
    let transaction = redb::ReadableDatabase::begin_read(&db).unwrap();
    let bytes = transaction.open_table(table).unwrap().get("schema").unwrap().unwrap().value().try_into().unwrap();
    u64::from_le_bytes(bytes)
}

/// Checks the whole content, under the names of the current schema.
fn check(journal: &Journal) {
    assert!(journal.moved_aside().is_none());
    let owed: Vec<_> = journal.owed().iter().map(|(from, to, owed)| format!("{from} {to} {owed:?}")).collect();
    let wanted = [
        "file[/etc/a.conf] exec[restart a] Intent",
        "file[/etc/b.conf] exec[restart b] Debt",
        "file[/etc/c.conf] exec[restart c] Debt",
        "file[/tmp/fixture/out/seed] exec[reload] Debt",
    ];
    assert_eq!(owed, wanted);
    let sent = |of: &str| {
        let ports = ["stdout", "stderr", "output", "full_path", "url", "password", "hash", "0", "1", "2", "7"];
        ports.into_iter().filter(|port| journal.sent(&id(of), port).is_some()).collect::<Vec<_>>()
    };
    assert_eq!(sent("exec[all]"), ["stdout", "stderr", "output"]);
    assert_eq!(sent("exec[seed]"), ["stdout", "stderr", "output"]);
    assert_eq!(sent("file[/etc/a.conf]"), ["full_path"]);
    assert_eq!(sent("file[/tmp/fixture/out/secret]"), ["full_path"]);
    assert_eq!(sent("http:server[:80]"), ["url"]);
    assert_eq!(sent("password[admin]"), ["password", "hash"]);
    assert_eq!(sent("value[v]"), ["output"]);
    // No output has the digest of another one.
    let digest = |port| journal.sent(&id("exec[all]"), port).unwrap()[0];
    assert_eq!((digest("stdout"), digest("stderr"), digest("output")), (1, 2, 3));
    for of in ["file[/tmp/fixture/out/secret]", "file[/tmp/fixture/out/seed]"] {
        assert_eq!(journal.value(&id(of), "received:content").map(|value| value.len()), Some(64));
        assert_eq!(journal.value(&id(of), "received:4"), None);
    }
    assert_eq!(journal.mark(&id("password[admin]")).map(|mark| mark.len()), Some(120));
    // A kind outside this crate: its digests are dropped, its mark and its values are kept.
    let other = id("sysctl[of another program]");
    assert_eq!(sent("sysctl[of another program]"), [] as [&str; 0]);
    assert_eq!(journal.value(&other, "received:1"), None);
    assert_eq!(journal.mark(&other).as_deref(), Some(&b"a mark"[..]));
    assert_eq!(journal.value(&other, "kept").as_deref(), Some(&b"a value"[..]));
    assert_eq!(journal.value(&id("exec[all]"), "received:99"), None);
}

#[test]
fn a_journal_of_schema_1_is_read_by_names_and_written_so_with_the_first_commit() {
    let dir = dir();
    put_old(dir.path());
    let journal = Journal::open(dir.path()).unwrap();
    check(&journal);
    assert_eq!(schema(dir.path()), 1, "to read it writes nothing");
    put(&journal, vec![value("new[x]", "k", Some("1"))]).unwrap();
    assert_eq!(schema(dir.path()), 2);
    let salt = journal.salt();
    let journal = again(journal, dir.path());
    check(&journal);
    assert_eq!((journal.salt(), journal.value(&id("new[x]"), "k")), (salt, Some(b"1".to_vec())));
    assert_eq!(names(dir.path()), ["journal.lock", "journal.redb"]);
}

#[test]
fn a_plan_reads_a_journal_of_schema_1_and_leaves_it() {
    let dir = dir();
    put_old(dir.path());
    check(&Journal::glance(dir.path()).unwrap());
    assert_eq!(fs::read(dir.path().join("journal.redb")).unwrap(), SCHEMA_1);
    assert_eq!(names(dir.path()), ["journal.redb"]);
}

#[test]
fn whichever_write_of_the_migration_fails_the_old_file_or_the_new_one_is_there_whole() {
    let mut n = 1;
    loop {
        let dir = dir();
        put_old(dir.path());
        let count = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&count);
        let fault: Fault = Arc::new(move |step| match step {
            Step::Write | Step::Resize | Step::Sync if counter.fetch_add(1, Ordering::SeqCst) + 1 == n => {
                Err(io::Error::from_raw_os_error(28))
            }
            _ => Ok(()),
        });
        let options = Options { fault: Some(fault), ..Options::default() };
        let opened = Journal::open_with(dir.path(), options);
        let written = opened.as_ref().is_ok_and(|journal| journal.flush().is_ok());
        // A copy, in the state after a crash.
        let crashed = self::dir();
        fs::copy(dir.path().join("journal.redb"), crashed.path().join("journal.redb")).unwrap();
        assert_eq!(schema(dir.path()), if written { 2 } else { 1 }, "write {n}");
        check(&Journal::open(crashed.path()).unwrap());
        if let Ok(journal) = opened {
            check(&journal);
            journal.flush().unwrap();
            assert_eq!(schema(dir.path()), 2, "the next attempt brings it");
        }
        if count.load(Ordering::SeqCst) < n {
            assert!(n > 5, "a migration writes: {n}");
            return;
        }
        n += 1;
    }
}

#[test]
fn kill_9_in_the_middle_of_a_migration_leaves_one_of_the_two_whole() {
    let (mut old, mut new) = (0, 0);
    for round in 0..40u64 {
        let dir = dir();
        put_old(dir.path());
        let mut helper = Helper::start("migrate", dir.path());
        if round % 4 == 0 {
            assert_eq!(helper.line(), "written\n");
        } else {
            std::thread::sleep(Duration::from_micros(round * 311 % 12_000));
        }
        helper.kill();
        // `journal.redb.new` may be left; the next start removes it.
        match schema(dir.path()) {
            1 => old += 1,
            _ => new += 1,
        }
        check(&Journal::open(dir.path()).unwrap());
        assert_eq!(names(dir.path()), ["journal.lock", "journal.redb"]);
    }
    assert!(new >= 10 && old > 0, "killed before and after: {old} old, {new} new");
}

#[test]
fn a_damaged_journal_of_schema_1_is_moved_aside_and_never_written_over() {
    let dir = dir();
    let mut bytes = SCHEMA_1.to_vec();
    bytes[4096..].fill(0xa5);
    fs::write(dir.path().join("journal.redb"), &bytes).unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let aside = journal.moved_aside().unwrap().to.clone();
    put(&journal, vec![value("new[x]", "k", Some("1"))]).unwrap();
    assert_eq!(fs::read(aside).unwrap(), bytes);
}

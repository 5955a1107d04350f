//! The files below the prefix: their owners, and what may have happened to them.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::journal::*;

use super::common::*;

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

fn set_schema(journal: &Path, schema: u64) {
    let db = redb::Database::open(journal).unwrap();
    let transaction = db.begin_write().unwrap();
    let table: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("meta");
    transaction.open_table(table).unwrap().insert("schema", schema.to_le_bytes().as_slice()).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let dir = dir();
    put(&Journal::open(dir.path()).unwrap(), vec![value("a[b]", "k", Some("1"))]).unwrap();
    let path = dir.path().join("journal.redb");
    set_schema(&path, 3);
    let wanted = format!(
        "{} has schema 3, written by a newer version; this one knows schemas up to 2: run a version that knows it, or \
         move the file away, which forgets owed refreshes, digests and marks",
        path.display()
    );
    for _ in 0..2 {
        assert_eq!(Journal::open(dir.path()).unwrap_err().to_string(), wanted);
        assert_eq!(names(dir.path()), ["journal.lock", "journal.redb"]);
    }
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
        assert_eq!(journal.moved_aside().map(|corrupt| corrupt.to.as_path()), Some(aside.as_path()));
        assert_eq!(fs::read(&aside).unwrap(), content);
        put(&journal, vec![value("a[b]", "k", Some("1"))]).unwrap();
        let journal = again(journal, dir.path());
        assert!(journal.moved_aside().is_none());
        assert_eq!(journal.value(&id("a[b]"), "k"), Some(b"1".to_vec()));
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
        let copy = self::dir();
        fs::write(copy.path().join("journal.redb"), &bytes).unwrap();
        let journal = Journal::open(copy.path()).unwrap();
        aside += u32::from(journal.moved_aside().is_some());
        // The content is either empty, or that of an earlier commit.
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
    let file_is = format!("cannot use {0}/prefix: {0} is a regular file, not a directory", file.display());
    assert_eq!(error, file_is);
    let prefix = dir.path().join("prefix");
    fs::create_dir(&prefix).unwrap();
    std::os::unix::fs::symlink(&file, prefix.join("journal.redb")).unwrap();
    let error = Journal::open(&prefix).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot open {}/journal.redb: ", prefix.display())), "{error}");
    let error = Journal::open(Path::new("/proc/prefix")).unwrap_err().to_string();
    assert!(error.starts_with("cannot use /proc/prefix: "), "{error}");
}

#[test]
fn a_prefix_that_others_may_write_and_a_journal_with_further_names_are_refused() {
    let dir = dir();
    let prefix = dir.path().join("prefix");
    put(&Journal::open(&prefix).unwrap(), vec![value("a[b]", "k", Some("1"))]).unwrap();
    assert_eq!(fs::metadata(&prefix).unwrap().mode() & 0o777, 0o700);
    let refused = |why: &str| {
        for error in [Journal::open(&prefix).unwrap_err(), Journal::glance(&prefix).unwrap_err()] {
            let text = error.to_string();
            assert!(text.starts_with(&format!("the prefix {} is refused: ", prefix.display())), "{text}");
            assert!(text.contains(why), "{text}");
        }
    };
    fs::set_permissions(&prefix, fs::Permissions::from_mode(0o757)).unwrap();
    refused("has mode 0757: everybody may write it");
    fs::set_permissions(&prefix, fs::Permissions::from_mode(0o700)).unwrap();
    let file = prefix.join("journal.redb");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o602)).unwrap();
    refused("has mode 0602");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(&file, dir.path().join("name")).unwrap();
    refused("hard links");
    fs::remove_file(dir.path().join("name")).unwrap();
    assert_eq!(look(&prefix, "k").unwrap(), b"1");
}

#[test]
fn a_look_at_a_journal_of_a_newer_schema_is_refused_as_a_run_is() {
    let dir = dir();
    put(&Journal::open(dir.path()).unwrap(), vec![value("a[b]", "k", Some("1"))]).unwrap();
    set_schema(&dir.path().join("journal.redb"), 3);
    let open = Journal::open(dir.path()).unwrap_err().to_string();
    assert_eq!(Journal::glance(dir.path()).unwrap_err().to_string(), open);
}

#[test]
fn a_prefix_that_is_deleted_is_made_again_with_all_that_is_remembered() {
    let dir = dir();
    let prefix = dir.path().join("prefix");
    let journal = Journal::open(&prefix).unwrap();
    put(&journal, vec![value("a[b]", "k", Some("1"))]).unwrap();
    assert!(journal.is_in_place());
    fs::remove_dir_all(&prefix).unwrap();
    assert!(!journal.is_in_place());
    journal.restore(&prefix).unwrap();
    assert!(journal.is_in_place());
    assert!(matches!(Journal::open(&prefix).unwrap_err(), JournalError::Locked { .. }));
    put(&journal, vec![value("a[b]", "l", Some("2"))]).unwrap();
    let journal = again(journal, &prefix);
    assert_eq!(
        (journal.value(&id("a[b]"), "k").unwrap(), journal.value(&id("a[b]"), "l").unwrap()),
        (b"1".to_vec(), b"2".to_vec())
    );
    // Another process was faster.
    fs::rename(&prefix, dir.path().join("moved")).unwrap();
    let other = Journal::open(&prefix).unwrap();
    assert!(matches!(journal.restore(&prefix).unwrap_err(), JournalError::Locked { .. }));
    drop(other);
    journal.close().unwrap();
    assert!(journal.restore(&prefix).is_err());
    assert_eq!(names(&prefix), ["journal.lock"]);
}

#[test]
fn a_file_that_is_removed_or_replaced_alone_is_written_again_with_all_that_is_remembered() {
    let dir = dir();
    let (file, older) = (dir.path().join("journal.redb"), dir.path().join("older"));
    let journal = Journal::open(dir.path()).unwrap();
    assert!(journal.is_in_place(), "nothing is written yet");
    put(&journal, vec![value("a[b]", "k", Some("1"))]).unwrap();
    fs::copy(&file, &older).unwrap();
    put(&journal, vec![value("a[b]", "k", Some("2"))]).unwrap();
    let mut journal = again(journal, dir.path());
    type Loss = fn(&std::path::Path, &std::path::Path);
    let losses: [Loss; 2] = [|file, _| fs::remove_file(file).unwrap(), |file, older| fs::rename(older, file).unwrap()];
    for loss in losses {
        assert!(journal.is_in_place());
        loss(&file, &older);
        assert!(!journal.is_in_place() && journal.has_its_lock());
        journal.restore(dir.path()).unwrap();
        assert!(journal.is_in_place());
        journal = again(journal, dir.path());
        assert_eq!(journal.value(&id("a[b]"), "k").unwrap(), b"2");
    }
    // A write never goes into a file that was put there meanwhile.
    fs::write(&older, "no journal").unwrap();
    fs::rename(&older, &file).unwrap();
    put(&journal, vec![value("a[b]", "l", Some("3"))]).unwrap();
    let journal = again(journal, dir.path());
    assert_eq!(journal.value(&id("a[b]"), "k").unwrap(), b"2".to_vec());
    assert!(journal.moved_aside().is_none());
}

#[test]
fn a_full_disk_at_the_start_is_an_error_of_the_first_write_and_no_corruption() {
    let dir = dir();
    let is_full = Arc::new(AtomicBool::new(true));
    let ask = Arc::clone(&is_full);
    let full: Fault = Arc::new(move |step| match step {
        Step::Write | Step::Resize if ask.load(Ordering::SeqCst) => Err(io::Error::from_raw_os_error(28)),
        _ => Ok(()),
    });
    let options = Options { fault: Some(full), ..Options::default() };
    let journal = Journal::open_with(dir.path(), options).unwrap();
    let error = put(&journal, vec![value("a[b]", "k", Some("1"))]).unwrap_err().to_string();
    let path = dir.path().join("journal.redb");
    assert_eq!(error, format!("cannot write {}: No space left on device (os error 28)", path.display()));
    assert!(!path.exists());
    is_full.store(false, Ordering::SeqCst);
    put(&journal, vec![value("a[b]", "l", Some("1"))]).unwrap();
    let journal = again(journal, dir.path());
    assert!(journal.moved_aside().is_none());
    assert!(["k", "l"].iter().all(|key| journal.value(&id("a[b]"), key).is_some()), "both are there in the end");
    assert_eq!(names(dir.path()), ["journal.lock", "journal.redb"]);
}

/// Everything that can be observed of the files of a prefix, and of the prefix itself.
fn state(prefix: &Path) -> Vec<(String, Vec<u8>, [i64; 4])> {
    let seen = |path: &Path| {
        let meta = fs::symlink_metadata(path).unwrap();
        [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()]
    };
    let files = names(prefix).into_iter().map(|name| {
        let path = prefix.join(&name);
        (name, fs::read(&path).unwrap(), seen(&path))
    });
    files.chain([(".".to_owned(), Vec::new(), seen(prefix))]).collect()
}

#[test]
fn a_journal_that_has_nothing_new_to_say_is_not_written() {
    let dir = dir();
    drop(Journal::open(dir.path()).unwrap());
    assert_eq!(names(dir.path()), ["journal.lock"], "a new prefix is only locked");
    let journal = Journal::open(dir.path()).unwrap();
    put(&journal, vec![value("a[b]", "k", Some("1")), edge(DEBT, "a[b]", "c[d]")]).unwrap();
    // The state after a crash: the database must repair the file before it can be written.
    let crashed = self::dir();
    fs::copy(dir.path().join("journal.redb"), crashed.path().join("journal.redb")).unwrap();
    fs::write(crashed.path().join("journal.lock"), "").unwrap();
    journal.close().unwrap();
    for prefix in [dir.path(), crashed.path()] {
        let before = state(prefix);
        for _ in 0..2 {
            let journal = Journal::open(prefix).unwrap();
            assert_eq!((journal.value(&id("a[b]"), "k"), journal.owed().len()), (Some(b"1".to_vec()), 1));
            journal.note(vec![value("a[b]", "k", Some("1"))]);
            journal.welcome(|_| true);
            assert!(journal.retain(20_000, |_| true, []).is_empty());
            journal.flush().unwrap();
            let error = Journal::open(prefix).unwrap_err().to_string();
            assert!(error.ends_with(&format!("is in use by this process (pid {})", std::process::id())), "{error}");
            journal.close().unwrap();
            assert_eq!(state(prefix), before);
        }
        let journal = Journal::open(prefix).unwrap();
        put(&journal, vec![value("a[b]", "k", Some("2"))]).unwrap();
        assert_eq!(again(journal, prefix).value(&id("a[b]"), "k"), Some(b"2".to_vec()));
        assert_ne!(state(prefix), before);
    }
}

#[test]
fn a_journal_that_is_lost_while_it_is_not_open_is_written_again_whole() {
    let dir = dir();
    let journal = Journal::open(dir.path()).unwrap();
    put(&journal, vec![value("a[b]", "k", Some("1"))]).unwrap();
    journal.close().unwrap();
    let path = dir.path().join("journal.redb");
    let lost: [fn(&Path); 2] = [|path| fs::remove_file(path).unwrap(), |path| fs::write(path, "").unwrap()];
    for (n, lose) in lost.into_iter().enumerate() {
        let journal = Journal::open(dir.path()).unwrap();
        lose(&path);
        put(&journal, vec![value("a[b]", "l", Some(&n.to_string()))]).unwrap();
        let journal = again(journal, dir.path());
        assert!(["k", "l"].iter().all(|key| journal.value(&id("a[b]"), key).is_some()));
    }
}

#[test]
fn whichever_access_to_the_disk_fails_nothing_acknowledged_is_lost() {
    // The n-th access and some after it fail; then the disk works again.
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
            // A copy, in the state after a crash.
            let crashed = self::dir();
            fs::copy(dir.path().join("journal.redb"), crashed.path().join("journal.redb")).unwrap();
            let after = Journal::open(crashed.path()).unwrap();
            assert!(after.moved_aside().is_none());
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
fn a_lock_that_only_a_command_of_a_dead_process_holds_is_waited_for() {
    let dir = dir();
    drop(Journal::open(dir.path()).unwrap());
    // The shell and the program that locks have ended; the command that they started holds the descriptor for a second.
    let line = "exec 9<>journal.lock; flock 9; sleep 1 >/dev/null 2>&1 &";
    let shell = std::process::Command::new("sh").arg("-c").arg(line).current_dir(dir.path()).status().unwrap();
    assert!(shell.success());
    let began = std::time::Instant::now();
    Journal::open(dir.path()).unwrap();
    assert!(began.elapsed() > std::time::Duration::from_millis(500), "{:?}", began.elapsed());
}

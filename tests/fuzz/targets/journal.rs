//! A journal whose file was damaged: it is read or moved aside, and works afterwards.
#![no_main]

use std::cell::OnceCell;
use std::fs;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use mgmt::id::ResourceId;
use mgmt::journal::{Entry, Journal, JournalError};
use tempfile::TempDir;

thread_local! {
    /// A directory, and the bytes of an undamaged journal.
    static GROUND: OnceCell<(TempDir, Vec<u8>)> = const { OnceCell::new() };
}

fn id(name: &str) -> ResourceId {
    ResourceId::new("file", name)
}

fn value(key: &str, value: &[u8]) -> Entry {
    Entry::Value { of: id("/a"), key: key.to_owned(), value: Some(value.to_vec()) }
}

/// The bytes of a journal with an entry of each kind.
fn undamaged(prefix: &Path) -> Vec<u8> {
    let journal = Journal::open(prefix).expect("a journal");
    journal.note(vec![
        Entry::Mark { of: id("/a"), mark: Some(b"mark".to_vec()) },
        Entry::Sent { of: id("/a"), port: "port".to_owned(), digest: Some([7; 32]) },
        value("key", b"value"),
        Entry::Absent { of: id("/b"), days: Some(3) },
        Entry::Counted(20_000),
    ]);
    journal.close().expect("a written journal");
    drop(journal);
    fs::read(prefix.join("journal.redb")).expect("the file of the journal")
}

/// The base panics on some damage, which the journal catches: a panic is not yet a failure here.
fn mute() {
    std::panic::set_hook(Box::new(|info| {
        if !info.location().is_some_and(|at| at.file().contains("redb")) {
            eprintln!("{info}");
        }
    }));
}

/// Each five bytes are a place from the start, and the byte that is put there; what is left cuts the file.
fn damage(bytes: &mut Vec<u8>, plan: &[u8]) {
    let (patches, rest) = plan.as_chunks::<5>();
    for [a, b, c, d, byte] in patches {
        let at = u32::from_le_bytes([*a, *b, *c, *d]) as usize % bytes.len();
        bytes[at] = *byte;
    }
    if let [a, b, ..] = rest {
        bytes.truncate(u16::from_le_bytes([*a, *b]) as usize * bytes.len() / 65536);
    }
}

fn check(dir: &Path, undamaged: &[u8], plan: &[u8]) {
    let prefix = dir.join("prefix");
    let _ = fs::remove_dir_all(&prefix);
    drop(Journal::open(&prefix).expect("a new journal"));
    let mut bytes = undamaged.to_vec();
    damage(&mut bytes, plan);
    fs::write(prefix.join("journal.redb"), &bytes).expect("a written file");
    let _ = Journal::glance(&prefix);
    let journal = match Journal::open(&prefix) {
        Ok(journal) => journal,
        Err(JournalError::Newer { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    if let Some(aside) = journal.moved_aside() {
        assert_eq!(fs::read(&aside.to).expect("the damaged file"), bytes);
    }
    journal.note(vec![value("after", b"all")]);
    journal.close().expect("a written journal");
    drop(journal);
    let journal = Journal::open(&prefix).expect("a journal that was mended");
    assert!(journal.moved_aside().is_none());
    assert_eq!(journal.value(&id("/a"), "after").as_deref(), Some(&b"all"[..]));
}

fuzz_target!(init: mute(), |plan: &[u8]| {
    GROUND.with(|ground| {
        let (dir, undamaged) = ground.get_or_init(|| {
            let dir = tempfile::tempdir().expect("a directory");
            let bytes = undamaged(&dir.path().join("undamaged"));
            (dir, bytes)
        });
        check(dir.path(), undamaged, plan);
    });
});

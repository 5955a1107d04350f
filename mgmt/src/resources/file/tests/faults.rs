//! The system returns an error, at each call in turn (faults 3 and 4).

use super::harness::Bench;
use crate::resource::Secret;
use crate::resources::file::FileBuilder;
use crate::sys::fs::{At, Call};

const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EIO: i32 = 5;
const EDQUOT: i32 = 122;

fn new(bench: &Bench) -> FileBuilder {
    bench.file("f").content("new")
}

#[test]
fn whichever_call_of_a_write_fails_the_file_is_the_old_one_or_the_new_one() {
    for errno in [ENOSPC, EDQUOT, EROFS, EIO] {
        let mut failed = 0;
        for n in 1.. {
            let bench = Bench::new();
            bench.write("f", "old");
            bench.faults.fail(At::Change(n), errno);
            let outcome = bench.converge(&new(&bench));
            let content = bench.read("f");
            assert!(content == "old" || content == "new", "{content}");
            if bench.faults.changes().len() < n {
                assert!(outcome.is_ok());
                break;
            }
            if let Err(error) = outcome {
                failed += 1;
                let text = error.to_string();
                assert!(text.contains(&bench.path("f")) || text.contains(&bench.path("")[..5]), "{text}");
                assert!(text.contains(&format!("os error {errno}")), "{text}");
            }
            bench.faults.reset();
            bench.converge(&new(&bench)).unwrap();
            assert_eq!(
                (bench.read("f").as_str(), bench.names("")),
                ("new", vec!["f".to_owned()]),
                "nothing is left over"
            );
        }
        assert!(failed >= 4, "create, write, fsync, rename and more: {failed}");
    }
}

#[test]
fn a_directory_that_could_not_be_made_durable_is_drift_until_it_is() {
    let bench = Bench::new();
    bench.faults.fail(At::Every(Call::SyncDir), EIO);
    let error = bench.converge(&new(&bench)).unwrap_err().to_string();
    assert!(error.contains("fsync of directory"), "{error}");
    assert_eq!(bench.read("f"), "new");
    let drift = bench.check(&new(&bench)).unwrap().expect("it is not settled");
    assert_eq!(drift.changes[0].field, "durable");
    assert!(bench.apply(&new(&bench), drift).is_err());
    bench.faults.reset();
    assert_eq!(bench.fields(&new(&bench)), ["durable"]);
    assert_eq!(bench.fields(&new(&bench)), [""; 0]);
}

#[test]
fn a_file_that_can_not_be_read_is_an_error_and_not_taken_for_different() {
    let bench = Bench::new();
    bench.write("f", "old");
    bench.faults.fail(At::Every(Call::Read), EIO);
    let error = bench.converge(&new(&bench)).unwrap_err().to_string();
    assert!(error.contains("read") && error.contains("os error 5"), "{error}");
    assert_eq!(bench.read("f"), "old");
}

#[test]
fn a_source_that_can_not_be_read_leaves_the_target() {
    let bench = Bench::new();
    bench.write("f", "old");
    bench.write("s", "new");
    let file = bench.file("f").source(bench.path("s"));
    let drift = bench.check(&file).unwrap().unwrap();
    bench.faults.reset();
    bench.faults.fail(At::Every(Call::Read), EIO);
    let error = bench.apply(&file, drift).unwrap_err().to_string();
    assert!(error.contains(&bench.path("s")) && error.contains("os error 5"), "{error}");
    assert_eq!(bench.read("f"), "old");
}

#[test]
fn a_symlink_raced_in_while_the_file_is_written_is_never_followed() {
    let bench = Bench::new();
    let shadow = bench.write("shadow", "precious");
    for call in [Call::Create, Call::Write, Call::Sync, Call::Rename] {
        bench.write("f", "old");
        let (path, shadow) = (bench.at("f"), shadow.clone());
        bench.faults.reset();
        bench.faults.hook(At::Nth(call, 1), move || {
            std::fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(&shadow, &path).unwrap();
        });
        // The swap may be seen, or be overwritten by the rename: either way nothing is followed.
        let _ = bench.converge(&new(&bench));
        assert_eq!(bench.read("shadow"), "precious", "{call}");
        bench.faults.reset();
        bench.converge(&new(&bench)).unwrap();
        assert_eq!((bench.read("shadow").as_str(), bench.read("f").as_str()), ("precious", "new"));
        std::fs::remove_file(bench.at("f")).unwrap();
    }
}

/// What a disk may hold of a file that was written and got its name before it was made durable: no file, an empty file,
/// a part of it, blocks that were never written, or all of it.
fn after_a_power_cut(content: &str) -> Vec<Option<Vec<u8>>> {
    let bytes = content.as_bytes();
    let half = bytes.len() / 2;
    let torn = [&bytes[..half], &vec![0; bytes.len() - half]].concat();
    let states = [Vec::new(), bytes[..half].to_vec(), vec![0; bytes.len()], torn, bytes.to_vec()];
    std::iter::once(None).chain(states.map(Some)).collect()
}

#[test]
fn a_power_cut_before_a_new_file_is_durable_is_found_by_the_next_check() {
    const CONTENT: &str = "some lines\nthat must be there\n";
    for state in after_a_power_cut(CONTENT) {
        // Another boot: nothing is remembered.
        let bench = Bench::new();
        let file = bench.file("f").content(CONTENT);
        if let Some(bytes) = &state {
            bench.write("f", bytes);
        }
        let is_whole = state.as_deref() == Some(CONTENT.as_bytes());
        assert_eq!(bench.converge(&file).unwrap().is_empty(), is_whole, "{state:?}");
        assert_eq!(bench.read("f"), CONTENT);
    }
}

#[test]
fn a_new_file_is_durable_before_it_counts_as_made() {
    let order = |secret: bool| {
        let bench = Bench::new();
        let file = bench.file("f").mode(0o600);
        let file = if secret { file.content(Secret::new("x".to_owned())) } else { file.content("x") };
        bench.converge(&file).unwrap();
        let calls = bench.faults.changes().into_iter().map(|(call, _)| call);
        calls.filter(|call| matches!(call, Call::Sync | Call::Rename | Call::SyncDir)).collect::<Vec<_>>()
    };
    assert_eq!(order(false), [Call::Rename, Call::Sync, Call::SyncDir]);
    assert_eq!(order(true), [Call::Sync, Call::Rename, Call::SyncDir], "a secret is durable before it has its name");
}

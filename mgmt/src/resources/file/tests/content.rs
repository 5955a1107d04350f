//! Regular files with a given content (S08.2, R8.2).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::harness::Bench;
use crate::resource::ObstacleKind;
use crate::resources::file::FileState;
use crate::sys::fs::Call;

#[test]
fn a_missing_file_is_made_with_its_content() {
    let bench = Bench::new();
    let file = bench.file("motd").content("hello\n");
    assert_eq!(bench.changed(&file), ["state: absent → regular file", "content: nothing → 6 bytes"]);
    assert_eq!(bench.read("motd"), "hello\n");
    assert_eq!(bench.mode("motd"), 0o644, "whatever the umask is");
}

#[test]
fn another_content_is_replaced_and_shown_as_a_diff() {
    let bench = Bench::new();
    bench.write("motd", "hello\n");
    let changes = bench.converge(&bench.file("motd").content("bye\n")).unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].to_string(), "content: 6 bytes → 4 bytes");
    assert_eq!(changes[0].diff.as_deref(), Some("@@ -1 +1 @@\n-hello\n+bye\n"));
    assert_eq!(bench.read("motd"), "bye\n");
}

#[test]
fn the_same_content_is_in_sync_and_nothing_is_written() {
    let bench = Bench::new();
    bench.write("motd", "hello\n");
    assert_eq!(bench.fields(&bench.file("motd").content("hello\n")), [""; 0]);
    assert!(bench.faults.changes().is_empty());
}

#[test]
fn a_content_of_the_same_size_is_told_apart() {
    let bench = Bench::new();
    bench.write("f", "aaaa");
    assert_eq!(bench.fields(&bench.file("f").content("aaab")), ["content"]);
}

#[test]
fn without_a_content_a_file_is_made_empty_and_kept_as_it_is() {
    let bench = Bench::new();
    let file = bench.file("f");
    assert_eq!(bench.fields(&file), ["state"]);
    assert_eq!(bench.read("f"), "");
    bench.write("f", "theirs");
    assert_eq!(bench.fields(&file), [""; 0]);
    assert_eq!(bench.read("f"), "theirs");
}

#[test]
fn an_empty_content_is_not_the_same_as_none() {
    let bench = Bench::new();
    bench.write("f", "theirs");
    assert_eq!(bench.fields(&bench.file("f").content("")), ["content"]);
    assert_eq!(bench.read("f"), "");
}

#[test]
fn any_bytes_are_a_content() {
    let bench = Bench::new();
    let bytes: Vec<u8> = (0..=255).collect();
    let changes = bench.converge(&bench.file("f").content(bytes.clone())).unwrap();
    assert_eq!(fs::read(bench.at("f")).unwrap(), bytes);
    assert!(changes[1].to.starts_with("binary, 256 bytes, sha256 "), "{}", changes[1]);
    assert_eq!(changes[1].diff, None);
}

#[test]
fn odd_names_are_only_names() {
    let bench = Bench::new();
    for name in ["new\nline", "-rf", "$(reboot);", " ", "*", "ümläut", &"x".repeat(255)] {
        bench.changed(&bench.file(name).content(name));
        assert_eq!(bench.read(name), name);
        bench.changed(&bench.file(name).absent());
        assert!(!bench.is_there(name));
    }
}

#[test]
fn an_undefined_file_is_edited_but_never_made() {
    let bench = Bench::new();
    let file = bench.file("f").content("mine").state(FileState::Undefined);
    assert!(
        bench.refused(&file).contains("does not exist, and `state` is undefined: create it, or set `state` to exists")
    );
    assert!(!bench.is_there("f"));
    bench.write("f", "theirs");
    assert_eq!(bench.fields(&file), ["content"]);
    let dir = bench.file("d/").state(FileState::Undefined);
    assert!(bench.refused(&dir).contains("`state` is undefined"));
    let link = bench.file("l").symlink("x").state(FileState::Undefined);
    assert!(bench.refused(&link).contains("`state` is undefined"));
}

#[test]
fn a_missing_directory_is_named_with_the_remedy() {
    let bench = Bench::new();
    let parent = bench.path("no/such");
    for file in [bench.file("no/such/f").content("x"), bench.file("no/such/d/"), bench.file("no/such/l").symlink("x")] {
        assert!(bench.check(&file).unwrap().is_some(), "it drifts: the directory may be made before it");
        let error = bench.converge(&file).unwrap_err();
        assert!(!error.is_outdated(), "it waits for the directory at once, without further tries");
        let obstacle = error.obstacle().unwrap();
        assert_eq!((obstacle.kind, obstacle.path.as_deref()), (ObstacleKind::Missing, Some(Path::new(&parent))));
        let error = error.to_string();
        assert!(error.contains(&format!("the directory {parent} does not exist")), "{error}");
        assert!(error.contains(&format!("declare it too: file[{parent}/]")), "{error}");
    }
}

#[test]
fn other_names_of_a_file_keep_the_old_content() {
    let bench = Bench::new();
    bench.write("f", "old");
    fs::hard_link(bench.at("f"), bench.at("other")).unwrap();
    bench.changed(&bench.file("f").content("new"));
    assert_eq!((bench.read("f"), bench.read("other")), ("new".to_owned(), "old".to_owned()));
}

#[test]
fn a_file_that_is_written_keeps_the_mode_that_it_has() {
    let bench = Bench::new();
    bench.write("f", "old");
    fs::set_permissions(bench.at("f"), std::os::unix::fs::PermissionsExt::from_mode(0o751)).unwrap();
    bench.changed(&bench.file("f").content("new"));
    assert_eq!(bench.mode("f"), 0o751);
}

#[test]
fn a_file_that_rests_is_not_read_again() {
    let bench = Bench::new();
    // Old enough for their times to be trusted: no program here has written them lately.
    let rested = ["/etc/passwd", "/etc/hostname", "/etc/os-release", "/bin/sh", "/etc/fstab"];
    let quiet = |path: &&str| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.ctime() + 60 < now());
    let path = rested.into_iter().find(quiet).expect("a file of the system that has not changed for a minute");
    let file = crate::resources::File::new(path).content(fs::read(path).unwrap());
    assert!(bench.check(&file).unwrap().is_none());
    let reads = bench.faults.count(Call::Read);
    assert!(reads > 0);
    for _ in 0..100 {
        assert!(bench.check(&file).unwrap().is_none());
    }
    assert_eq!(bench.faults.count(Call::Read), reads);
}

fn now() -> i64 {
    i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}

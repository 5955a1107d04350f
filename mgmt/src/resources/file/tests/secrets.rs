//! Secrets as content, and contents known by their digest alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::harness::Bench;
use crate::resource::{Converge, Declare, Drift, Resource, SECRET_PLACEHOLDER, Secret};
use crate::resources::file::FileBuilder;
use crate::testing::Trial;

const CANARY: &str = "canary-5d1c0b";

fn secret(bench: &Bench) -> FileBuilder {
    bench.file("secret").content(Secret::new(CANARY.to_owned()))
}

#[test]
fn a_secret_is_in_the_file_and_nowhere_else() {
    let bench = Bench::new();
    bench.write("secret", "old-canary");
    let file = secret(&bench);
    let (resource, draft) = file.clone().finish();
    let drift = bench.block_on(Converge::check(&resource, &bench.trial(&file).check_cx())).unwrap().unwrap();
    let changes = drift.changes();
    assert_eq!(changes[0].to_string(), format!("content: changed {SECRET_PLACEHOLDER}"));
    let shown = [
        format!("{drift:?}"),
        format!("{changes:?}"),
        serde_json::to_string(&changes).unwrap(),
        format!("{resource:?} {draft:?} {file:?}"),
        serde_json::to_string(&resource.to_data(&[]).unwrap()).unwrap(),
        format!("{:?}", bench.trial(&file)),
    ];
    for text in shown {
        assert!(!text.contains("canary"), "{text}");
    }
    bench.changed(&file);
    assert_eq!(bench.read("secret"), CANARY);
}

#[test]
fn a_failing_write_of_a_secret_does_not_tell_it() {
    let bench = Bench::new();
    bench.faults.fail(crate::sys::fs::At::Every(crate::sys::fs::Call::Write), 28);
    let error = bench.converge(&secret(&bench)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(CANARY));
}

#[test]
fn a_secret_file_is_for_its_owner_alone_unless_a_mode_says_otherwise() {
    let bench = Bench::new();
    bench.changed(&secret(&bench));
    assert_eq!(bench.mode("secret"), 0o600);
    fs::set_permissions(bench.at("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(bench.changed(&secret(&bench)), ["mode: 0644 → 0600"]);
    assert_eq!(bench.changed(&secret(&bench).mode(0o640)), ["mode: 0600 → 0640"]);
    bench.write("secret", "public");
    fs::set_permissions(bench.at("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(bench.fields(&secret(&bench)), ["content", "mode"]);
    assert_eq!(bench.mode("secret"), 0o600);
}

#[test]
fn a_symbolic_mode_opens_a_secret_only_for_whom_it_names() {
    let bench = Bench::new();
    bench.write("secret", "public");
    fs::set_permissions(bench.at("secret"), fs::Permissions::from_mode(0o666)).unwrap();
    bench.changed(&secret(&bench).mode("u+r"));
    assert_eq!(bench.mode("secret"), 0o600);
    assert_eq!(bench.changed(&secret(&bench).mode("g+r")), ["mode: 0600 → 0640"]);
}

#[test]
fn a_secret_is_never_readable_to_others_while_it_is_written() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let bench = Bench::new();
    let looks = Arc::new(AtomicUsize::new(0));
    for n in 1..20 {
        let (dir, looks) = (bench.at(""), Arc::clone(&looks));
        bench.faults.hook(crate::sys::fs::At::Change(n), move || {
            for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
                let mode = entry.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.path());
                looks.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    bench.changed(&secret(&bench));
    assert!(looks.load(Ordering::Relaxed) > 2, "there was something to see");
}

#[test]
fn what_only_its_owner_may_read_is_not_shown() {
    let private = |path| fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let hidden = "content: changed (not shown: mode 0600; `--show` shows it)".to_owned();
    let bench = Bench::new();
    private(bench.write("old", "canary"));
    assert_eq!(bench.changed(&bench.file("old").content("new")), [hidden.as_str()]);
    private(bench.write("s", "canary"));
    let copied = bench.file("copied").source(bench.path("s"));
    assert_eq!(bench.changed(&copied), ["state: absent → regular file", &hidden]);
    assert_eq!(bench.mode("copied"), 0o600);
    bench.write("head", "public");
    let joined = bench.file("joined").fragments([bench.path("head"), bench.path("s")]);
    assert_eq!(bench.changed(&joined), ["state: absent → regular file", &hidden]);
    assert_eq!((bench.read("joined").as_str(), bench.mode("joined")), ("publiccanary", 0o600));
}

#[test]
fn what_others_may_not_read_in_the_end_is_not_shown_either_unless_that_is_asked_for() {
    for (bench, is_shown) in [(Bench::new(), false), (Bench::showing(), true)] {
        bench.write("open", "old\n");
        bench.write("closed", "old\n");
        fs::set_permissions(bench.at("closed"), fs::Permissions::from_mode(0o640)).unwrap();
        let files = [
            bench.file("new").mode(0o600),
            bench.file("group").mode("u=rw,g=r,o="),
            bench.file("open").mode(0o600),
            bench.file("closed").mode(0o644),
        ];
        for file in files {
            let changes = bench.converge(&file.clone().content("canary\n")).unwrap();
            let content = changes.iter().find(|change| change.field == "content").unwrap();
            let shown = format!("{content} {:?}", content.diff);
            let is_hidden = content.to_string().starts_with("content: changed (not shown: mode 06");
            assert_eq!((is_hidden, shown.contains("canary")), (!is_shown, is_shown), "{shown}");
        }
        let secret = bench.file("secret").content(Secret::new(CANARY.to_owned()));
        assert!(!format!("{:?}", bench.converge(&secret).unwrap()).contains(CANARY));
    }
    let bench = Bench::new();
    let changes = bench.converge(&bench.file("public").content("seen\n").mode(0o644)).unwrap();
    assert!(changes.iter().any(|change| change.diff.as_ref().is_some_and(|diff| diff.contains("+seen"))));
}

/// A file whose content is known by its digest alone, as after a restart.
fn known(bench: &Bench, is_secret: bool) -> Trial {
    let file = bench.trial(&bench.file("f"));
    let value = "value".to_owned();
    if is_secret { file.recalling("content", Secret::new(value)) } else { file.recalling("content", value) }
}

#[test]
fn a_digest_is_enough_to_see_that_a_file_is_in_sync() {
    let bench = Bench::new();
    bench.write("f", "value");
    fs::set_permissions(bench.at("f"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(bench.block_on(known(&bench, false).check()).unwrap().in_sync());
    assert!(bench.block_on(known(&bench, true).check()).unwrap().in_sync());
}

#[test]
fn a_digest_is_not_enough_to_write_and_the_value_is_asked_for() {
    let bench = Bench::new();
    let refused = || bench.block_on(known(&bench, true).check()).expect_err("it needs the value");
    assert!(refused().is_needs_value(), "{}", refused());
    bench.write("f", "drifted");
    assert!(refused().is_needs_value(), "{}", refused());
    fs::remove_file(bench.at("f")).unwrap();
    bench.link("f", "/x");
    assert!(refused().is_needs_value(), "{}", refused());
}

#[test]
fn a_wrong_mode_is_repaired_with_the_digest_alone() {
    let bench = Bench::new();
    bench.write("f", "value");
    let settled = bench.block_on(known(&bench, true).settle()).unwrap();
    assert_eq!(settled.changes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["mode: 0644 → 0600"]);
    assert_eq!((bench.read("f").as_str(), bench.mode("f")), ("value", 0o600));
}

#[test]
fn a_secret_is_in_a_file_of_its_own_whoever_made_the_one_before() {
    let bench = Bench::new();
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(bench.at("secret")).unwrap());
    bench.changed(&secret(&bench));
    let first = inode();
    fs::hard_link(bench.at("secret"), bench.at("other-name")).unwrap();
    assert_eq!(bench.changed(&secret(&bench)), ["names: 2 hard links → only this one"]);
    assert_ne!(inode(), first, "what has the other name is not the secret's file any more");
    let list = [2u32, 0x0006_0001, u32::MAX, 0x0006_0002, 54321, 4, u32::MAX, 0x0006_0010, u32::MAX, 0x20, u32::MAX];
    let list: Vec<u8> = list.iter().flat_map(|word| word.to_le_bytes()).collect();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(bench.at("secret"), "system.posix_acl_access", &list, flags).unwrap();
    assert_eq!(bench.fields(&secret(&bench)), ["mode", "access list"]);
    assert_eq!(bench.mode("secret"), 0o600);
    if !crate::sys::users::is_root() {
        return;
    }
    let planted = || std::os::unix::fs::chown(bench.at("secret"), Some(12345), None).unwrap();
    planted();
    let before = inode();
    assert_eq!(bench.changed(&secret(&bench)), ["owner: 12345 → root"]);
    assert_ne!(inode(), before, "the former owner may have it open");
    planted();
    assert_eq!(bench.changed(&secret(&bench).owner(54321)), ["owner: 12345 → 54321"]);
    assert_eq!(bench.fields(&secret(&bench).owner(54321)), [""; 0]);
    assert_eq!(bench.read("secret"), CANARY);
}

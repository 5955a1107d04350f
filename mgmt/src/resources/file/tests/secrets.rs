//! Secrets as content, and contents known by their digest alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::harness::Bench;
use crate::resource::{Accepts, Declare, Drift, Resource, SECRET_PLACEHOLDER, Salt, Salted, Secret};
use crate::resources::file::{Content, FileBuilder};

const CANARY: &str = "canary-5d1c0b";

fn secret(bench: &Bench) -> FileBuilder {
    bench.file("secret").content(Secret::new(CANARY.to_owned()))
}

#[test]
fn a_secret_is_in_the_file_and_nowhere_else() {
    let bench = Bench::new();
    bench.write("secret", "old-canary");
    let file = secret(&bench);
    let drift = bench.check(&file).unwrap().unwrap();
    let changes = drift.changes();
    assert_eq!(changes[0].to_string(), format!("content: {SECRET_PLACEHOLDER} → {SECRET_PLACEHOLDER}"));
    let (resource, draft) = file.clone().finish();
    let shown = [
        format!("{drift:?}"),
        format!("{changes:?}"),
        serde_json::to_string(&changes).unwrap(),
        format!("{resource:?} {draft:?} {file:?}"),
        serde_json::to_string(&resource.to_data(&[]).unwrap()).unwrap(),
        format!("{:?}", bench.operation(&resource)),
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
    let hidden = format!("content: {SECRET_PLACEHOLDER} → {SECRET_PLACEHOLDER}");
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

fn known(content: &str, is_secret: bool) -> Content {
    let digest = <sha2::Sha256 as sha2::Digest>::digest(content.as_bytes()).into();
    let digest = Salted::new(Salt([3; 32]), digest);
    if is_secret {
        <Content as Accepts<Secret<String>>>::from_digest(digest).unwrap()
    } else {
        <Content as Accepts<String>>::from_digest(digest).unwrap()
    }
}

#[test]
fn a_digest_is_enough_to_see_that_a_file_is_in_sync() {
    let bench = Bench::new();
    bench.write("f", "value");
    fs::set_permissions(bench.at("f"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(bench.check(&bench.file("f").content(known("value", false))).unwrap().is_none());
    assert!(bench.check(&bench.file("f").content(known("value", true))).unwrap().is_none());
}

#[test]
fn a_digest_is_not_enough_to_write_and_the_value_is_asked_for() {
    let bench = Bench::new();
    let missing = bench.check(&bench.file("f").content(known("value", true))).unwrap_err();
    assert!(missing.is_needs_value(), "{missing}");
    bench.write("f", "drifted");
    let drifted = bench.check(&bench.file("f").content(known("value", true))).unwrap_err();
    assert!(drifted.is_needs_value(), "{drifted}");
    fs::remove_file(bench.at("f")).unwrap();
    bench.link("f", "/x");
    let link = bench.check(&bench.file("f").content(known("value", true))).unwrap_err();
    assert!(link.is_needs_value(), "{link}");
}

#[test]
fn a_wrong_mode_is_repaired_with_the_digest_alone() {
    let bench = Bench::new();
    bench.write("f", "value");
    assert_eq!(bench.changed(&bench.file("f").content(known("value", true))), ["mode: 0644 → 0600"]);
}

//! Values in the store: over restarts, of hosts, and those that only grow.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::resource::Change;
use crate::resources::kv::{Kv, KvBuilder, SkipCmpStyle};
use crate::sys::fs::{At, Call};
use crate::testing::Fake;

/// The files of the store.
fn files(host: &Fake) -> Vec<PathBuf> {
    let dir = fs::read_dir(host.prefix().join("pgraph/kv"));
    dir.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// The value that is stored after a repair.
async fn stored(host: &Fake, kv: KvBuilder) -> Option<String> {
    let kv = host.put(kv);
    kv.settle().await.unwrap();
    let found = kv.settle().await.unwrap();
    assert!(found.in_sync());
    found.value(Kv::STORED)
}

#[tokio::test]
async fn a_value_is_stored_by_its_key_over_restarts_and_removed_if_none_is_given() {
    let mut host = Fake::new().unwrap();
    let kv = host.put(Kv::new("a name").key("k").value("1"));
    assert_eq!(kv.settle().await.unwrap().changes, [Change::new("value", "none", "`1`")]);
    assert_eq!(kv.check().await.unwrap().value(Kv::STORED).unwrap(), "1");
    host.restart();
    assert!(host.put(Kv::new("k").value("1")).check().await.unwrap().in_sync(), "the key counts, not the name");
    assert_eq!(stored(&host, Kv::new("k").value("")).await.unwrap(), "", "an empty value is one");
    let [file] = &files(&host)[..] else { panic!("{:?}", files(&host)) };
    assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
    let gone = host.put(Kv::new("k"));
    assert_eq!(gone.settle().await.unwrap().changes, [Change::new("value", "``", "none")]);
    let found = gone.settle().await.unwrap();
    assert!(found.in_sync() && found.sent_nothing());
    assert!(files(&host).is_empty());
}

#[tokio::test]
async fn with_skiplessthan_a_value_only_grows_until_a_refresh() {
    let host = Fake::new().unwrap();
    let kv = |value: &str| Kv::new("k").value(value).skiplessthan(true);
    for (value, kept) in [("9", "9"), ("10", "10"), ("2", "10"), ("-3", "10"), ("10", "10"), ("11", "11")] {
        assert_eq!(stored(&host, kv(value)).await.unwrap(), kept, "{value}");
    }
    let back = host.put(kv("1"));
    assert!(back.refresh().await.unwrap().changed);
    assert!(!back.refresh().await.unwrap().changed, "it is the same now");
    assert_eq!(stored(&host, kv("1")).await.unwrap(), "1");
    let text = |value: &str| kv(value).skipcmpstyle(SkipCmpStyle::String);
    for (value, kept) in [("b", "b"), ("a", "b"), ("ba", "ba")] {
        assert_eq!(stored(&host, text(value)).await.unwrap(), kept, "{value}");
    }
    let error = host.put(kv("3")).check().await.unwrap_err().to_string();
    assert!(error.contains("`ba` is stored, which is no whole number"), "{error}");
    assert!(host.put(kv("3")).refresh().await.unwrap().changed);
}

#[tokio::test]
async fn a_mapped_value_is_this_hosts_own_beside_the_others_and_the_shared_one() {
    let host = Fake::new().unwrap();
    stored(&host, Kv::new("k").value("shared")).await;
    let mapped = |value: &str| Kv::new("k").value(value).mapped(true);
    assert_eq!(stored(&host, mapped("mine")).await.unwrap(), "mine");
    let [file] = &files(&host)[..] else { panic!() };
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, text.replace("\"hosts\":{", "\"hosts\":{\"another\":\"theirs\",")).unwrap();
    stored(&host, Kv::new("k").mapped(true)).await;
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains("shared") && text.contains("theirs") && !text.contains("mine"), "{text}");
}

#[tokio::test]
async fn a_store_that_is_broken_is_named_and_begins_again_when_it_is_removed() {
    let host = Fake::new().unwrap();
    let kv = || Kv::new("k").value("1");
    stored(&host, kv()).await;
    let [file] = &files(&host)[..] else { panic!() };
    for broken in ["", "{", "[]", "{\"key\":\"other\",\"value\":\"1\"}", "{\"key\":\"k\",\"more\":1}", "\u{ff}"] {
        fs::write(file, broken).unwrap();
        let error = host.put(kv()).settle().await.unwrap_err();
        assert!(error.to_string().contains("remove the file to begin with no value"), "{broken}: {error}");
        assert_eq!(error.obstacle().unwrap().path.as_ref(), Some(file), "it waits for that");
    }
    fs::remove_file(file).unwrap();
    assert_eq!(stored(&host, kv()).await.unwrap(), "1");
}

#[tokio::test]
async fn whatever_fails_the_old_value_or_the_new_one_is_stored() {
    let host = Fake::new().unwrap();
    stored(&host, Kv::new("k").value("1")).await;
    for call in [Call::Create, Call::Write, Call::Sync, Call::Rename] {
        host.faults().reset();
        host.faults().fail(At::Every(call), 28);
        host.put(Kv::new("k").value("2")).settle().await.unwrap_err();
        host.faults().reset();
        assert_eq!(stored(&host, Kv::new("k").value("1")).await.unwrap(), "1");
    }
}

#[tokio::test]
async fn keys_of_any_characters_are_different_keys() {
    let host = Fake::new().unwrap();
    let keys = ["../../etc/passwd", "/", ".", "a/b", "a%2Fb", "A", "a", "ä", "x\ny", "\0", &"k".repeat(4096)];
    for key in keys {
        stored(&host, Kv::new("k").key(key).value(key)).await;
    }
    for key in keys {
        assert!(host.put(Kv::new("k").key(key).value(key)).check().await.unwrap().in_sync(), "{key:.20?}");
    }
    assert_eq!(files(&host).len(), keys.len());
}

#[test]
fn what_can_not_be_stored_or_compared_is_refused() {
    let host = Fake::new().unwrap();
    let said = |kv: KvBuilder| host.put(kv).refusal();
    assert!(said(Kv::new("k").key("")).starts_with("`key` is empty"));
    assert!(said(Kv::new("k").key("x".repeat(4097))).starts_with("`key` has 4097 bytes"));
    assert!(said(Kv::new("k").value("x".repeat((1 << 20) + 1))).starts_with("`value` has 1048577 bytes"));
    assert!(said(Kv::new("k").skiplessthan(true)).starts_with("`skiplessthan` is set"));
    for value in ["", "x", "1.5", "1 "] {
        let found = said(Kv::new("k").value(value).skiplessthan(true));
        assert!(found.starts_with("`value` is no whole number"), "{found}");
    }
    assert_eq!(said(Kv::new("k").value("x").skiplessthan(true).skipcmpstyle(SkipCmpStyle::String)), "");
    let coming = host.put(Kv::new("k").skiplessthan(true));
    assert!(coming.validate_without("value").is_empty(), "a value that will be received is not judged");
}

//! The layout of deploys in a world, and what is accepted from one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use crate::graph::GraphData;
use crate::graph::deploy::{
    Carried, CarriedEntry, CarriedTree, CarriedUse, ContentId, ContentRef, Deploy, DeployId, Head, PART_BYTES,
    RecordError, Relocation, ResourceChange, Upload, data_key, differences, entry_mode, index_key, indexed, is_there,
    part_count, removals, uploads,
};
use crate::id::ResourceId;
use crate::resource::{Condition, Entry, Limits, Revision, Snapshot, Transaction, Write};

fn condition() -> Condition {
    Condition { key: "/mgmt/deploys/turn".to_owned(), written: None }
}

fn carry_out(state: &mut Snapshot, writes: BTreeMap<String, Write>) {
    for (key, write) in writes {
        match write {
            Write::Put(value, lease) => {
                drop(state.entries.insert(key, Entry { value, written: Revision(1), lease }));
            }
            Write::Remove => drop(state.entries.remove(&key)),
        }
    }
}

/// Whether all that the index calls complete is there as a whole, and nothing is there that is not in the index.
fn is_sound(state: &Snapshot) -> bool {
    let index = indexed(state);
    let whole = index.iter().filter(|(_, indexed)| indexed.complete).all(|(content, indexed)| {
        let parts = (0..part_count(indexed.bytes)).map(|part| state.entries.get(&data_key(content, part)));
        let bytes: Option<Vec<u8>> = parts
            .map(|entry| entry.map(|entry| entry.value.to_vec()))
            .collect::<Option<Vec<_>>>()
            .map(|all| all.concat());
        bytes.is_some_and(|bytes| ContentId::of(&bytes) == *content)
    });
    let listed = state.entries.keys().filter_map(|key| key.strip_prefix("/mgmt/blobs/data/")).all(|rest| {
        rest.split('/')
            .next()
            .and_then(|content| content.parse().ok())
            .is_some_and(|content| index.contains_key(&content))
    });
    whole && listed
}

fn content() -> impl Strategy<Value = Arc<[u8]>> {
    (any::<u8>(), prop_oneof![Just(0), 1usize..20, Just(PART_BYTES), Just(PART_BYTES + 1), Just(2 * PART_BYTES + 7)])
        .prop_map(|(byte, length)| vec![byte; length].into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Each upload and removal ends after some transactions, as by a crash; the last ones do not.
    #[test]
    fn a_content_is_whole_or_marked_at_any_moment_and_nothing_is_unlisted(
        history in prop::collection::vec((prop::collection::vec(content(), 0..5), 0usize..6, any::<bool>()), 1..5),
        operations in 4usize..9,
    ) {
        let limits = Limits { operations, bytes: PART_BYTES + 1000 };
        let mut state = Snapshot::default();
        for (contents, ended, removes) in history {
            let contents: BTreeMap<ContentId, Arc<[u8]>> =
                contents.into_iter().map(|bytes| (ContentId::of(&bytes), bytes)).collect();
            let refs = |contents: &BTreeMap<ContentId, Arc<[u8]>>| {
                contents.values().map(|bytes| ContentRef::of(bytes)).collect::<Vec<_>>()
            };
            let index = indexed(&state);
            let complete: BTreeSet<ContentId> =
                refs(&contents).iter().filter(|content| is_there(&index, content)).map(|content| content.sha256).collect();
            let upload = Upload { contents: &contents, complete: &complete };
            let ended = if removes { usize::MAX } else { ended };
            for writes in uploads(&upload, limits, &[condition()]).into_iter().take(ended) {
                let is = Transaction { conditions: vec![condition()], writes: writes.clone() }.size();
                prop_assert!(is.operations <= limits.operations && is.bytes <= limits.bytes, "{is:?}");
                carry_out(&mut state, writes);
                prop_assert!(is_sound(&state));
            }
            if ended == usize::MAX {
                let index = indexed(&state);
                prop_assert!(refs(&contents).iter().all(|content| is_there(&index, content)));
            }
            let needed: BTreeSet<ContentId> = contents.keys().copied().collect();
            for writes in removals(&[], &indexed(&state), Some(&needed), limits, &condition()).into_iter().take(ended) {
                carry_out(&mut state, writes);
                prop_assert!(is_sound(&state));
            }
        }
        for writes in removals(&[], &indexed(&state), Some(&BTreeSet::new()), limits, &condition()) {
            carry_out(&mut state, writes);
            prop_assert!(is_sound(&state));
        }
        prop_assert!(state.entries.is_empty(), "{:?}", state.entries.keys());
    }
}

#[test]
fn an_index_of_no_program_asks_for_nothing() {
    let content = ContentId::of(b"x");
    let entry = |value: &[u8]| Entry { value: value.into(), written: Revision(1), lease: None };
    let huge = br#"{"bytes": 18446744073709551615, "complete": true}"#;
    let state = Snapshot {
        entries: [(index_key(&content), entry(huge)), ("/mgmt/blobs/index/x".to_owned(), entry(b""))].into(),
        ..Snapshot::default()
    };
    let index = indexed(&state);
    assert_eq!(index.len(), 1);
    assert!(!index[&content].complete);
    let all = removals(&[], &index, Some(&BTreeSet::new()), Limits::NONE, &condition());
    assert_eq!(all.len(), 1);
    assert!(removals(&[], &index, None, Limits::NONE, &condition()).is_empty(), "what is needed is not known");
}

#[test]
fn hashes_and_ids_have_one_spelling() {
    let content = ContentId::of(b"x");
    assert_eq!(content.to_string().parse(), Ok(content));
    let text = content.to_string();
    for wrong in [&text[1..], &text.to_uppercase(), "", &format!("{text}00"), &text.replace(&text[..1], "g")] {
        assert!(wrong.parse::<ContentId>().is_err(), "{wrong}");
    }
    for wrong in ["", "abc", "0123456789AB", "0123456789abc", "../../../etc"] {
        assert!(wrong.parse::<DeployId>().is_err(), "{wrong}");
    }
}

#[test]
fn a_record_is_read_as_it_was_written_and_no_other() {
    let mut deploy = Deploy::new(ContentRef::of(b"graph"));
    deploy.message = "why\nand how".to_owned();
    let bytes = deploy.bytes();
    assert_eq!(Deploy::read(&bytes), Ok(deploy));
    assert_eq!(Head::read(&Head::of(&bytes).bytes()), Some(Head::of(&bytes)));
    let mut other = serde_json::to_value(Head::of(&bytes)).unwrap();
    other["id"] = json!("0123456789ab");
    assert_eq!(Head::read(&serde_json::to_vec(&other).unwrap()), None, "an ID is that of its hash");
    let edited = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut record = serde_json::from_slice(&bytes).unwrap();
        edit(&mut record);
        Deploy::read(&serde_json::to_vec(&record).unwrap()).unwrap_err()
    };
    assert_eq!(edited(&|record| (record["format"], record["more"]) = (json!(2), json!(1))), RecordError::Newer(2));
    for edit in [
        &(|record: &mut serde_json::Value| record["more"] = json!(1)) as &dyn Fn(&mut serde_json::Value),
        &|record| record["graph"]["bytes"] = json!(1u64 << 40),
        &|record| record["graph"]["sha256"] = json!("../x"),
        &|record| record["message"] = json!("x".repeat(70_000)),
    ] {
        assert!(matches!(edited(edit), RecordError::Damaged(_)));
    }
}

fn tree(entries: Vec<CarriedEntry>) -> CarriedTree {
    CarriedTree { path: "/srv/site/".to_owned(), name: "site".to_owned(), entries }
}

fn directory(path: &str) -> CarriedEntry {
    CarriedEntry::Directory { path: path.to_owned(), mode: 0o755 }
}

fn file(path: &str) -> CarriedEntry {
    CarriedEntry::File { path: path.to_owned(), content: ContentRef::of(b"x"), mode: 0o644, mtime: 0 }
}

fn link(path: &str, target: &str) -> CarriedEntry {
    CarriedEntry::Symlink { path: path.to_owned(), target: target.to_owned() }
}

#[test]
fn no_list_of_files_leads_out_of_its_place() {
    let check = |trees: Vec<CarriedTree>| Carried { trees, uses: Vec::new() }.check();
    let good = tree(vec![directory(""), directory("a"), file("a/b"), link("c", "../../etc/passwd"), file("d..")]);
    assert_eq!(check(vec![good.clone()]), Ok(()));
    for entry in [
        file("../x"),
        file("/etc/passwd"),
        file("a/../../x"),
        file("."),
        file(".."),
        file(""),
        file("a//b"),
        file("x\0"),
        file("missing/x"),
        file("c/x"),
        file("a"),
        directory("a"),
        link("e", ""),
        link("e", "a\0b"),
        link("..", "x"),
        CarriedEntry::Directory { path: "e".to_owned(), mode: 0o2755 },
        CarriedEntry::File { path: "e".to_owned(), content: ContentRef::of(b"x"), mode: 0o4755, mtime: 0 },
        CarriedEntry::File {
            path: "e".to_owned(),
            content: ContentRef { bytes: 1 << 40, ..ContentRef::of(b"x") },
            mode: 0o644,
            mtime: 0,
        },
        file(&"x".repeat(300)),
    ] {
        let mut bad = good.clone();
        bad.entries.push(entry.clone());
        assert!(check(vec![bad]).is_err(), "{entry:?}");
    }
    for name in ["", ".", "..", "a/b", "a\0", "/x"] {
        assert!(check(vec![CarriedTree { name: name.to_owned(), ..good.clone() }]).is_err(), "{name:?}");
    }
    for entries in [vec![], vec![link("", "/etc")], vec![file("x")], vec![file(""), file("x")]] {
        assert!(check(vec![tree(entries.clone())]).is_err(), "{entries:?}");
    }
    let other = ContentRef { bytes: 2, ..ContentRef::of(b"x") };
    let sized = CarriedEntry::File { path: "e".to_owned(), content: other, mode: 0o644, mtime: 0 };
    assert!(check(vec![tree(vec![directory(""), file("a"), sized])]).is_err(), "one content has one size");
    let used = CarriedUse { resource: ResourceId::new("file", "/x"), field: "source".to_owned(), tree: 1 };
    assert!(Carried { trees: vec![good], uses: vec![used] }.check().is_err());
}

#[test]
fn rights_of_another_owner_do_not_travel() {
    for (mode, is_dir, travels) in [
        (0o4755, false, 0o755),
        (0o664, false, 0o644),
        (0o000, false, 0o400),
        (0o1777, true, 0o755),
        (0o555, true, 0o755),
        (0o600, false, 0o600),
    ] {
        assert_eq!(entry_mode(mode, is_dir), travels, "{mode:04o}");
    }
}

fn data(fields: serde_json::Value) -> GraphData {
    let resource = json!({ "kind": "file", "name": "/x/", "fields": fields });
    serde_json::from_value(json!({ "graph": "g", "resources": [resource] })).unwrap()
}

#[test]
fn fields_name_the_carried_files_on_the_host() {
    let used = |field: &str| CarriedUse { resource: ResourceId::new("file", "/x/"), field: field.to_owned(), tree: 0 };
    let carried = |uses: Vec<CarriedUse>| Carried { trees: vec![tree(vec![directory("")])], uses };
    let root = Relocation { root: Path::new("/var/lib/mgmt/deploys/trees") };
    let place = format!("/var/lib/mgmt/deploys/trees/{}/site/", carried(vec![]).trees[0].digest());
    let mut one = data(json!({ "source": "/srv/site/", "owner": "/srv/site/", "fragments": ["/a", "/srv/site/"] }));
    assert_eq!(carried(vec![used("source"), used("fragments")]).relocate(&mut one, &root), Ok(()));
    let fields = &one.resources[0].fields;
    assert_eq!((&fields["source"], &fields["owner"]), (&json!(place), &json!("/srv/site/")));
    assert_eq!(fields["fragments"], json!(["/a", place]));
    for wrong in [used("owner"), used("mode")] {
        let mut other = data(json!({ "source": "/srv/other/", "owner": "root" }));
        assert!(carried(vec![wrong]).relocate(&mut other, &root).is_err());
    }
}

#[test]
fn what_differs_is_found_by_resource_and_field_also_if_only_a_file_differs() {
    let used = |tree: usize| CarriedUse { resource: ResourceId::new("file", "/x/"), field: "source".to_owned(), tree };
    let with = |entries: Vec<CarriedEntry>| Carried { trees: vec![tree(entries)], uses: vec![used(0)] };
    let (old, new) = (data(json!({ "source": "/srv/site/" })), data(json!({ "source": "/srv/site/" })));
    let empty = with(vec![directory("")]);
    assert!(differences((&old, &empty), (&new, &empty)).is_empty());
    let found = differences((&old, &empty), (&new, &with(vec![directory(""), file("a")])));
    let ResourceChange::Changed(fields) = &found[0].change else { panic!("{found:?}") };
    assert!(fields[0].field == "source" && fields[0].other_files);
    let none = Carried::default();
    let found = differences((&old, &none), (&data(json!({ "source": "/srv/site/", "mode": "0644" })), &none));
    let ResourceChange::Changed(fields) = &found[0].change else { panic!("{found:?}") };
    assert_eq!((fields[0].field.as_str(), &fields[0].from, &fields[0].to), ("mode", &None, &Some(json!("0644"))));
    let found = differences((&old, &none), (&GraphData::default(), &none));
    assert_eq!(found[0].change, ResourceChange::Removed);
    let found = differences((&GraphData::default(), &none), (&old, &none));
    assert_eq!(found[0].change, ResourceChange::Added);
}

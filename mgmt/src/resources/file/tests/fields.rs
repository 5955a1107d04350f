//! Fields: which combinations are refused, which path they give, what is watched and owned, how they travel as data.

use serde_json::{Map, json};

use super::harness::{Bench, problem, problems};
use crate::resource::{
    Accepts, Converge, Declare, FieldReader, Kind, Known, NodeRef, Resource, Salt, Salted, Secret, Uid,
};
use crate::resources::file::{Content, File, FileBuilder, FileState};

fn path_of(file: FileBuilder) -> Vec<Uid> {
    file.finish().0.uids(&Known::all(File::spec()))
}

fn owns(path: &str) -> Vec<Uid> {
    vec![Uid::Path(path.into())]
}

#[test]
fn the_name_is_the_path_unless_a_path_is_given() {
    assert_eq!(path_of(File::new("/etc/motd")), owns("/etc/motd"));
    assert_eq!(path_of(File::new("motd").path("/etc/motd")), owns("/etc/motd"));
}

#[test]
fn dirname_and_basename_take_the_place_of_their_parts() {
    assert_eq!(path_of(File::new("/a/b").basename("c")), owns("/a/c"));
    assert_eq!(path_of(File::new("/a/b").dirname("/x/")), owns("/x/b"));
    assert_eq!(path_of(File::new("/a/b").dirname("/x/").basename("c")), owns("/x/c"));
    assert_eq!(path_of(File::new("b").dirname("/x/")), owns("/x/b"), "a relative name, as collected resources have");
    assert_eq!(path_of(File::new("/a/b/").dirname("/x/")), owns("/x/b"));
}

#[test]
fn one_place_has_one_uid_however_it_is_spelled() {
    for spelling in ["/etc/a", "/etc/./a", "//etc//a", "/etc/a/"] {
        assert_eq!(path_of(File::new(spelling)), owns("/etc/a"), "{spelling}");
    }
}

#[test]
fn paths_that_can_not_be_meant_are_refused() {
    let relative = "etc/motd: the path is not absolute: it must begin with `/`";
    assert_eq!(problem(File::new("etc/motd")), format!("`path` (taken from the name) is {relative}"));
    assert_eq!(problem(File::new("motd").path("etc/motd")), format!("`path` is {relative}"));
    assert_eq!(
        problem(File::new("motd").dirname("etc/")),
        format!("`path`, with `dirname` and `basename`, is {relative}")
    );
    assert!(problem(File::new("/a/../b")).contains("`..`"));
    assert!(problem(File::new("/a\0b")).contains("NUL"));
    assert!(problem(File::new("x").path("/").absent()).contains("`path` is `/`"));
    assert!(problem(File::new("//./").recurse(true).purge(true)).contains("`path` is `/`"));
    assert!(problem(File::new("/a").dirname("/x")).contains("`dirname` is a directory: write it as `/x/`"));
    assert!(problem(File::new("/a").basename("/x")).contains("`basename` is the last part of a path: write it as `x`"));
    assert!(problem(File::new("/a/b").basename("../../etc/passwd")).contains("`..`"));
    assert!(problem(File::new(format!("/{}", "x".repeat(4096)))).contains("4096 is the limit"));
    assert!(problem(File::new(format!("/{}", "x".repeat(256)))).contains("255 is the limit"));
}

#[test]
fn fields_that_contradict_each_other_are_refused() {
    let both = |a: &str, b: &str| format!("`{a}` and `{b}` both declare what is there: leave one of them out");
    let file = || File::new("/f");
    assert_eq!(problem(file().content("x").source("/s")), both("content", "source"));
    assert_eq!(problem(file().content("x").fragments(["/s"])), both("content", "fragments"));
    assert_eq!(problem(file().content("x").symlink("/s")), both("content", "symlink"));
    assert_eq!(problem(file().source("/s").fragments(["/s"])), both("source", "fragments"));
    assert_eq!(problem(file().source("/s").symlink("/s")), both("source", "symlink"));
    assert_eq!(problem(file().fragments(["/s"]).symlink("/s")), both("fragments", "symlink"));
    for (field, given) in [
        ("content", file().content("")),
        ("source", file().source("/s")),
        ("fragments", file().fragments(["/s"])),
        ("symlink", file().symlink("/s")),
    ] {
        let expected = format!("`{field}` is given, and `state` is absent: leave one of them out");
        assert_eq!(problem(given.absent()), expected);
    }
}

#[test]
fn a_directory_has_no_content_and_a_file_nothing_in_it() {
    for (field, given) in [
        ("content", File::new("/d/").content("x")),
        ("fragments", File::new("/d/").fragments(["/s"])),
        ("symlink", File::new("/d/").symlink("/s")),
    ] {
        assert!(problem(given).starts_with(&format!("`{field}` is given, and the path /d/ is a directory: leave out")));
    }
    assert!(problem(File::new("/f").recurse(true)).contains("write the path as /f/, or leave out `recurse`"));
    assert!(problem(File::new("/f").purge(true)).contains("write the path as /f/, or leave out `purge`"));
    assert!(problem(File::new("/f").source("/s/")).starts_with("`source` ends in `/` and `path` does not"));
    assert!(problem(File::new("/d/").source("/s")).starts_with("`path` ends in `/` and `source` does not"));
}

#[test]
fn values_that_can_not_be_meant_are_refused() {
    assert!(problem(File::new("/f").symlink("")).contains("`symlink` is empty"));
    assert!(problem(File::new("/f").symlink("a\0")).contains("`symlink` holds a NUL byte"));
    assert!(problem(File::new("/f").symlink("/f")).contains("leads to itself"));
    assert!(problem(File::new("/f").symlink("x".repeat(4096))).contains("4095 is the limit"));
    assert!(problem(File::new("/f").symlink("/g").mode(0o644)).contains("`mode` is given, and a symlink has none"));
    assert!(
        problem(File::new("/f").mode(644))
            .contains("`mode`: the number 644 (octal 0o1204) has the digits of the mode 0o644")
    );
    assert!(problem(File::new("/f").mode(0o17777)).contains("`mode`: "));
    assert!(problem(File::new("/f").mode("u+q")).contains("`u+q` is not a mode"));
    assert!(problem(File::new("/f").owner("")).contains("`owner` is empty"));
    assert!(problem(File::new("/f").group("a\0")).contains("`group` holds a NUL byte"));
    assert!(
        problem(File::new("/f").owner(u32::MAX)).contains("`owner` 4294967295 is not the number of a user or group")
    );
    assert!(problem(File::new("/f").source("s")).contains("`source` is s: the path is not absolute"));
    assert!(problem(File::new("/f").source("/a/../s")).contains("`source` is /a/../s"));
    let none: [&str; 0] = [];
    assert!(problem(File::new("/f").fragments(none)).contains("`fragments` is an empty list"));
    assert!(problem(File::new("/d/").removals_max(0u32)).contains("`removals_max` is 0"));
}

#[test]
fn nothing_is_copied_onto_or_into_itself() {
    for copy in [
        File::new("/a/f").source("/a/./f"),
        File::new("/a/").source("/a/"),
        File::new("/a/b/").source("/a/"),
        File::new("/a/").source("/a/b/"),
        File::new("/a/f").fragments(["/b", "/a/"]),
    ] {
        assert!(problem(copy).contains("it would copy itself"));
    }
    assert_eq!(problems(File::new("/a/f").source("/a/g")), "");
    assert_eq!(problems(File::new("/ab/").source("/a/")), "");
}

#[test]
fn the_composed_path_is_watched_with_all_that_is_copied_from() {
    let bench = Bench::new();
    let watched = |file: FileBuilder| bench.watched(&file);
    assert_eq!(watched(bench.file("x/f").basename("g").content("c")), "[Path(\"x/g\")]");
    assert_eq!(watched(bench.file("d/")), "[Itself(\"d\")]");
    assert_eq!(watched(bench.file("d/").recurse(true)), "[Tree(\"d\")]");
    assert_eq!(watched(bench.file("d/").purge(true)), "[Levels(\"d\", 1)]");
    assert_eq!(watched(bench.file("d/").absent()), "[Path(\"d\")]");
    assert_eq!(watched(bench.file("l").symlink("x")), "[Path(\"l\")]");
    assert_eq!(watched(bench.file("f").source(bench.path("s"))), "[Path(\"f\"), Path(\"s\")]");
    assert_eq!(watched(bench.file("d/").source(bench.path("s/"))), "[Levels(\"d\", 1), Levels(\"s\", 1)]");
    let fragments = bench.file("f").fragments([bench.path("a"), bench.path("b.d/")]);
    assert_eq!(watched(fragments), "[Path(\"f\"), Path(\"a\"), Levels(\"b.d\", 1)]");
}

#[test]
fn it_sends_the_path_it_has_in_the_end() {
    let bench = Bench::new();
    assert_eq!(bench.sent(&bench.file("x/f/").basename("g/")), Some(bench.path("x/g")));
}

fn read(data: serde_json::Value) -> Result<File, Vec<String>> {
    let serde_json::Value::Object(mut data) = data else { panic!("an object") };
    let mut problems = Vec::new();
    let file = File::from_data("/f", FieldReader::new(File::spec(), &mut data, &[], &mut problems));
    match file {
        Some(file) if problems.is_empty() => Ok(file),
        _ => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn a_file_travels_as_data_and_comes_back_the_same() {
    let file = File::new("/f").content("x\n").mode("u=rw,go=r").owner("root").group(0).force(true).removals_max(7u32);
    let (file, _) = file.state(FileState::Undefined).finish();
    let data = file.to_data(&[]).unwrap();
    assert_eq!(
        json!(data),
        json!({
            "content": "x\n", "mode": "u=rw,go=r", "owner": "root", "group": 0, "force": true, "removals_max": 7,
            "state": "undefined",
        })
    );
    assert!(read(json!(data)).unwrap().same(&file));
    assert_eq!(File::new("/f").finish().0.to_data(&[]).unwrap(), Map::new(), "defaults are left out");
}

#[test]
fn data_that_is_ambiguous_or_unknown_is_refused() {
    assert!(read(json!({"mode": 644})).unwrap_err()[0].contains("write it as text, \"0644\""));
    assert!(read(json!({"contnet": "x"})).unwrap_err()[0].contains("did you mean `content`?"));
    assert!(read(json!({"state": "present"})).unwrap_err()[0].contains("exists"));
    assert!(read(json!({"owner": -1})).unwrap_err()[0].contains("a name, or a number"));
    assert!(read(json!({"state": ""})).unwrap().same(&File::new("/f").state(FileState::Undefined).finish().0));
}

#[test]
fn it_is_a_kind_that_every_front_end_knows() {
    let kind = Kind::of::<File>();
    assert_eq!(kind.spec.kind, "file");
    assert_eq!(kind.spec.outputs.iter().map(|output| output.name).collect::<Vec<_>>(), ["full_path"]);
    assert!(kind.spec.fields.iter().all(|field| !field.doc.is_empty()), "each field is documented");
    assert_ne!(Content::default(), Content::clone(&read(json!({"content": "a"})).unwrap().content.unwrap()));
}

#[test]
fn a_content_takes_texts_bytes_and_secrets_and_other_fields_no_secret() {
    use std::any::TypeId;
    let takes = |field: &str, id: TypeId| {
        let spec = File::spec();
        (spec.fields[usize::from(spec.field(field).unwrap())].takes)(id)
    };
    for id in [TypeId::of::<String>(), TypeId::of::<Secret<String>>(), TypeId::of::<Vec<u8>>()] {
        assert!(takes("content", id));
    }
    assert!(!takes("content", TypeId::of::<bool>()));
    for field in ["mode", "owner", "group", "symlink", "source", "path"] {
        assert!(takes(field, TypeId::of::<String>()), "{field}");
        assert!(!takes(field, TypeId::of::<Secret<String>>()), "{field}");
    }
}

#[test]
fn an_output_is_wired_to_a_content_and_can_be_recalled_by_its_digest() {
    let one = FileBuilder::handle(NodeRef { graph: 1, index: 0, sort: mgmt::resource::NodeSort::Resource });
    let (two, draft) = File::new("/two").content(one.full_path().map(|path| format!("{path}\n"))).mode(0o600).finish();
    let coming: Vec<u8> = draft.wires.iter().map(|(field, _)| *field).collect();
    assert_eq!(two.validate(&Known::all_but_numbers(File::spec(), &coming)), [], "the content is not there yet");
    let [(field, wire)] = &draft.wires[..] else { panic!("one wire: {draft:?}") };
    assert_eq!(File::spec().fields[usize::from(*field)].name, "content");
    let received = wire.receive(&[std::sync::Arc::new("/one".to_owned())]).unwrap();
    let digest = received.digest.expect("a digest tells whether it changed");
    let mut file = two.clone();
    assert!(file.receive(*field, received.value));
    assert_eq!(file.content, Some(Content::accept("/one\n")));
    assert!(file.receive(*field, wire.recall(Salted::new(Salt([5; 32]), digest)).unwrap()));
    assert_eq!(file.content, Some(Content::accept("/one\n")), "equal, by the digest alone");
}

#[test]
fn every_field_has_a_schema() {
    let mut generator = schemars::SchemaGenerator::default();
    for field in File::spec().fields {
        let schema = (field.schema)(&mut generator);
        assert!(schema.as_object().is_some_and(|object| !object.is_empty()), "{}", field.name);
    }
}

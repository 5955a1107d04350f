//! Mode, owner and group (S08.12, W30).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::harness::Bench;
use crate::sys::fs::Call;

fn chmod(bench: &Bench, name: &str, mode: u32) {
    fs::set_permissions(bench.at(name), fs::Permissions::from_mode(mode)).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_wrong_mode_is_set_without_writing_the_file() {
    let bench = Bench::new();
    bench.write("f", "x");
    let inode = fs::metadata(bench.at("f")).unwrap().ino();
    assert_eq!(bench.changed(&bench.file("f").content("x").mode(0o600)), ["mode: 0644 → 0600"]);
    assert_eq!(bench.mode("f"), 0o600);
    assert_eq!(fs::metadata(bench.at("f")).unwrap().ino(), inode);
}

#[test]
fn content_and_mode_change_in_one_step() {
    let bench = Bench::new();
    bench.write("f", "old");
    assert_eq!(bench.fields(&bench.file("f").content("new").mode(0o640)), ["content", "mode"]);
    assert_eq!(bench.mode("f"), 0o640);
    let renames = bench.faults.changes().iter().filter(|(call, _)| *call == Call::Rename).count();
    assert_eq!(renames, 1);
}

#[test]
fn symbolic_modes_are_relative_to_what_is_there() {
    let bench = Bench::new();
    bench.write("f", "x");
    chmod(&bench, "f", 0o640);
    assert_eq!(bench.changed(&bench.file("f").mode("u+x,o=r")), ["mode: 0640 → 0744"]);
    assert_eq!(bench.changed(&bench.file("f").mode("u=rw,go=r")), ["mode: 0744 → 0644"]);
    bench.changed(&bench.file("new").mode("g+w"));
    assert_eq!(bench.mode("new"), 0o664, "a new one starts from 0644");
    bench.changed(&bench.file("dir/").mode("g+w"));
    assert_eq!(bench.mode("dir"), 0o775, "and a directory from 0755");
}

#[test]
#[ignore = "needs root"]
fn a_symbolic_mode_adopts_no_right_that_it_does_not_name() {
    const OTHER: u32 = 12345;
    let cases = [
        ("go-w", 0o6777, 0o755),
        ("a+r", 0o6777, 0o755),
        ("u+r", 0o6777, 0o755),
        ("+x", 0o6777, 0o755),
        ("o=", 0o7777, 0o750),
        ("g=r", 0o6777, 0o745),
        ("u+x", 0o777, 0o755),
        ("g+w", 0o666, 0o664),
        ("u+s", 0o2755, 0o4755),
        ("u+r", 0o600, 0o600),
    ];
    for (symbolic, planted, after) in cases {
        let bench = Bench::new();
        bench.mkdir("d");
        for name in ["f", "g", "d"] {
            if name != "d" {
                bench.write(name, "planted");
            }
            std::os::unix::fs::chown(bench.at(name), Some(OTHER), Some(OTHER)).unwrap();
            chmod(&bench, name, planted);
        }
        let foreseen = format!("mode: {planted:04o} → {after:04o}");
        let files = [bench.file("f").content("ours"), bench.file("g"), bench.file("d/").recurse(true)];
        for (name, file) in ["f", "g", "d"].into_iter().zip(files) {
            let changes = bench.changed(&file.owner(0).group(0).mode(symbolic));
            assert_eq!(format!("{:o}", bench.mode(name)), format!("{after:o}"), "{symbolic} on {planted:o} {name}");
            assert_eq!(changes.contains(&foreseen), planted != after, "{changes:?}");
        }
    }
    // Without any mode, the plan shows what goes, too. Only the group changes: the file was root's.
    let bench = Bench::new();
    bench.write("f", "x");
    chmod(&bench, "f", 0o6775);
    let changes = bench.changed(&bench.file("f").group(OTHER));
    assert_eq!(changes, ["mode: 6775 → 0775", "group: root → 12345"]);
    std::os::unix::fs::chown(bench.at("f"), Some(OTHER), None).unwrap();
    chmod(&bench, "f", 0o6777);
    let kept = bench.changed(&bench.file("f").mode("u=rwx"));
    assert_eq!(kept, ["mode: 6777 → 2777"], "where the owner stays, it is as that owner wanted it");
}

#[test]
fn a_directory_has_a_mode_too_and_what_is_in_it_keeps_its_own() {
    let bench = Bench::new();
    bench.write("d/f", "x");
    assert_eq!(bench.changed(&bench.file("d/").mode(0o2750).recurse(true)), ["mode: 0755 → 2750"]);
    assert_eq!((bench.mode("d"), bench.mode("d/f")), (0o2750, 0o644));
}

#[test]
fn owner_and_group_are_set_by_name_and_by_number() {
    let bench = Bench::new();
    bench.write("f", "x");
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let ours = bench.file("f").owner(uid).group(gid);
    assert_eq!(bench.fields(&ours), [""; 0]);
    let theirs = bench.file("f").content("y").owner(12345).group(54321);
    if !is_root() {
        let error = bench.refused(&theirs);
        assert!(error.contains("chown") && error.contains(&bench.path("f")), "{error}");
        return;
    }
    assert_eq!(bench.fields(&theirs), ["content", "owner", "group"]);
    let meta = fs::metadata(bench.at("f")).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (12345, 54321));
    assert_eq!(bench.changed(&bench.file("f").owner("root")), ["owner: 12345 → root"]);
    assert_eq!(fs::metadata(bench.at("f")).unwrap().gid(), 54321);
    bench.link("l", "f");
    assert_eq!(bench.fields(&bench.file("l").symlink("f").owner(7)), ["owner"]);
    assert_eq!(fs::symlink_metadata(bench.at("l")).unwrap().uid(), 7);
    assert_eq!(fs::metadata(bench.at("f")).unwrap().uid(), 0, "the link's owner, not the file's");
}

#[test]
fn an_unknown_user_is_drift_for_the_check_and_an_error_for_the_apply() {
    let bench = Bench::new();
    bench.write("f", "x");
    let file = bench.file("f").owner("nobody-has-this-name");
    let drift = bench.check(&file).unwrap().expect("somebody may make the user before the apply");
    assert!(drift.changes[0].to_string().ends_with("→ nobody-has-this-name"));
    let error = bench.refused(&file);
    assert!(
        error.contains("there is no user `nobody-has-this-name`") && error.contains("create it, or declare an exec"),
        "{error}"
    );
    let error = bench.refused(&bench.file("f").group("none-has-this-name"));
    assert!(error.contains("there is no group `none-has-this-name`"), "{error}");
}

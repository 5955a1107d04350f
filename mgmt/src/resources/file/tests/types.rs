//! Something of another type at the path: `force`, symlinks, special files (S08.4, R8.2).

use std::fs;

use super::harness::Bench;

fn fifo(bench: &Bench, name: &str) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, bench.at(name), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[test]
fn a_symlink_in_the_place_of_a_file_is_replaced_and_never_followed() {
    let bench = Bench::new();
    bench.write("shadow", "precious");
    bench.link("f", bench.at("shadow"));
    let changes = bench.changed(&bench.file("f").content("mine").mode(0o644));
    assert_eq!(changes[0], format!("type: symlink to {} → regular file", bench.path("shadow")));
    assert_eq!(bench.read("shadow"), "precious");
    assert_eq!(bench.read("f"), "mine");
    assert!(fs::symlink_metadata(bench.at("f")).unwrap().is_file());
}

#[test]
fn a_symlink_to_the_same_content_is_replaced_too() {
    let bench = Bench::new();
    bench.write("other", "mine");
    bench.link("f", "other");
    assert_eq!(bench.fields(&bench.file("f").content("mine")), ["type", "content"]);
    assert!(fs::symlink_metadata(bench.at("f")).unwrap().is_file());
}

#[test]
fn a_symlink_where_no_content_is_declared_needs_force() {
    let bench = Bench::new();
    bench.write("other", "theirs");
    bench.link("f", "other");
    let error = bench.refused(&bench.file("f").mode(0o600));
    assert!(error.contains("is a symlink to other, and a regular file is wanted"), "{error}");
    assert_eq!(bench.mode("other"), 0o644, "nothing was followed");
    bench.changed(&bench.file("f").mode(0o600).force(true));
    assert_eq!((bench.read("f"), bench.read("other")), (String::new(), "theirs".to_owned()));
}

#[test]
fn a_directory_in_the_place_of_a_file_needs_force() {
    let bench = Bench::new();
    bench.write("f/a/b", "theirs");
    let file = bench.file("f").content("mine");
    let error = bench.refused(&file);
    assert!(error.contains("is a directory, and a regular file is wanted"), "{error}");
    assert!(error.contains("`force` to replace it with all that is in it"), "{error}");
    assert!(bench.is_there("f/a/b"));
    let changes = bench.converge(&file.force(true)).unwrap();
    assert_eq!(changes[0].to_string(), "type: directory with 2 entries → regular file");
    assert!(changes[0].diff.as_deref().unwrap().contains("f/a/b\n"), "what goes is listed");
    assert_eq!(bench.read("f"), "mine");
}

#[test]
fn a_file_in_the_place_of_a_directory_needs_force() {
    let bench = Bench::new();
    bench.write("d", "theirs");
    let error = bench.refused(&bench.file("d/"));
    assert!(error.contains("is a regular file, and a directory is wanted"), "{error}");
    assert_eq!(bench.read("d"), "theirs");
    assert_eq!(bench.changed(&bench.file("d/").force(true)), ["type: regular file → directory"]);
    assert_eq!(bench.names("d"), [""; 0]);
}

#[test]
fn a_symlink_in_the_place_of_a_directory_needs_force_wherever_it_leads() {
    let bench = Bench::new();
    bench.write("real/f", "theirs");
    bench.link("d", "real");
    let error = bench.refused(&bench.file("d/"));
    assert!(error.contains("is a symlink to real, and a directory is wanted"), "{error}");
    bench.changed(&bench.file("d/").force(true));
    assert_eq!(bench.names(""), ["d", "real", "real/f"]);
}

#[test]
fn a_file_or_a_directory_in_the_place_of_a_symlink_needs_force() {
    let bench = Bench::new();
    bench.write("f", "theirs");
    bench.write("d/x", "theirs");
    for name in ["f", "d"] {
        let link = bench.file(name).symlink("/target");
        assert!(bench.refused(&link).contains("and a symlink is wanted"));
        bench.changed(&link.force(true));
        assert_eq!(fs::read_link(bench.at(name)).unwrap().to_str(), Some("/target"));
    }
}

#[test]
fn special_files_need_force_and_are_never_opened() {
    let bench = Bench::new();
    fifo(&bench, "f");
    let error = bench.refused(&bench.file("f").content("mine"));
    assert!(error.contains("is a named pipe, and a regular file is wanted"), "{error}");
    bench.changed(&bench.file("f").content("mine").force(true));
    assert_eq!(bench.read("f"), "mine");
    fifo(&bench, "d");
    assert!(bench.refused(&bench.file("d/")).contains("is a named pipe, and a directory is wanted"));
    bench.changed(&bench.file("d/").force(true));
    let _socket = std::os::unix::net::UnixListener::bind(bench.at("s")).unwrap();
    assert!(bench.refused(&bench.file("s").content("mine")).contains("is a socket"));
}

#[test]
fn a_symlink_is_made_and_led_elsewhere_and_may_dangle() {
    let bench = Bench::new();
    assert_eq!(bench.changed(&bench.file("l").symlink("no/where")), ["state: absent → symlink to no/where"]);
    assert_eq!(bench.changed(&bench.file("l").symlink("no/where")), [""; 0]);
    assert_eq!(bench.changed(&bench.file("l").symlink("/else")), ["symlink: no/where → /else"]);
    assert_eq!(fs::read_link(bench.at("l")).unwrap().to_str(), Some("/else"));
}

#[test]
fn an_empty_directory_is_made_without_a_source() {
    let bench = Bench::new();
    assert_eq!(bench.changed(&bench.file("d/")), ["state: absent → directory"]);
    assert_eq!(bench.mode("d"), 0o755);
    bench.write("d/theirs", "x");
    assert_eq!(bench.changed(&bench.file("d/")), [""; 0]);
    assert!(bench.is_there("d/theirs"));
}

#[test]
fn what_was_swapped_between_check_and_apply_is_not_touched() {
    let bench = Bench::new();
    bench.write("shadow", "precious");
    bench.write("f", "old");
    let file = bench.file("f").content("mine");
    let drift = bench.check(&file).unwrap().unwrap();
    fs::remove_file(bench.at("f")).unwrap();
    bench.link("f", bench.at("shadow"));
    let error = bench.apply(&file, drift).unwrap_err().to_string();
    assert!(error.contains(&format!("symlink at {}", bench.path("f"))), "{error}");
    assert_eq!(bench.read("shadow"), "precious");
    // The next check finds the link itself.
    assert_eq!(bench.fields(&file), ["type", "content"]);
    assert_eq!(bench.read("shadow"), "precious");
}

#[test]
fn attributes_are_not_set_on_what_was_swapped_in() {
    let bench = Bench::new();
    bench.write("shadow", "precious");
    bench.write("f", "mine");
    let file = bench.file("f").content("mine").mode(0o666);
    let drift = bench.check(&file).unwrap().unwrap();
    fs::remove_file(bench.at("f")).unwrap();
    bench.link("f", bench.at("shadow"));
    assert!(bench.apply(&file, drift).unwrap_err().to_string().contains("changed by another program"));
    assert_eq!(bench.mode("shadow"), 0o644);
}

#[test]
fn a_directory_swapped_in_after_the_check_is_not_removed() {
    let bench = Bench::new();
    fifo(&bench, "f");
    let file = bench.file("f").content("mine").force(true);
    let drift = bench.check(&file).unwrap().unwrap();
    fs::remove_file(bench.at("f")).unwrap();
    bench.write("f/precious", "x");
    assert!(bench.apply(&file, drift).is_err());
    assert!(bench.is_there("f/precious"));
    let absent = bench.file("g").absent();
    bench.write("g", "x");
    let drift = bench.check(&absent).unwrap().unwrap();
    fs::remove_file(bench.at("g")).unwrap();
    bench.write("g/precious", "x");
    assert!(bench.apply(&absent, drift).is_err());
    assert!(bench.is_there("g/precious"));
}

#[test]
fn a_planted_symlink_in_the_path_is_not_followed_unless_that_is_meant() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.mkdir("real");
    fs::set_permissions(bench.mkdir("public"), fs::Permissions::from_mode(0o777)).unwrap();
    bench.link("public/link", bench.at("real"));
    let file = bench.file("public/link/f").content("x");
    if rustix::process::geteuid().is_root() {
        let error = bench.refused(&file);
        assert!(error.contains(&format!("symlink at {}", bench.path("public/link"))), "{error}");
        assert!(error.contains("set `follow_symlinks`"), "{error}");
        let source = bench.file("f").source(bench.path("public/link/s"));
        assert!(bench.refused(&source).contains("set `follow_symlinks`"));
        assert_eq!(bench.names("real"), [""; 0]);
    }
    let changes = bench.changed(&file.follow_symlinks(true));
    assert!(!changes.iter().any(|change| change.contains("follow_symlinks")), "that is no change: {changes:?}");
    assert_eq!(bench.read("real/f"), "x");
}

#[test]
fn a_file_swapped_for_a_symlink_again_and_again_never_leads_to_what_it_names() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let bench = Bench::new();
    let shadow = bench.write("shadow", "precious");
    let (done, path, other) = (AtomicBool::new(false), bench.at("f"), bench.at("swap"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = std::os::unix::fs::symlink(&shadow, &other);
                let _ = fs::rename(&other, &path);
                let _ = fs::write(&other, "theirs");
                let _ = fs::rename(&other, &path);
            }
        });
        for n in 0..300 {
            let file = bench.file("f").content(format!("mine {n}")).mode(if n % 2 == 0 { 0o640 } else { 0o600 });
            // Whether it wins a round does not matter here.
            if let Ok(Some(drift)) = bench.check(&file) {
                let _ = bench.apply(&file, drift);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!((bench.read("shadow").as_str(), bench.mode("shadow")), ("precious", 0o644));
    bench.changed(&bench.file("f").content("mine").mode(0o600));
    assert_eq!((bench.read("f").as_str(), bench.mode("f")), ("mine", 0o600));
}

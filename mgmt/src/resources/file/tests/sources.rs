//! A file copied from a file, or put together from several (S08.2, S08.10, S08.12).

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::harness::{Bench, EOPNOTSUPP};
use crate::sys::fs::{At, Call};

#[test]
fn a_source_works_alone_and_gives_its_mode_to_a_new_file() {
    let bench = Bench::new();
    let source = bench.write("s", "copied");
    fs::set_permissions(&source, fs::Permissions::from_mode(0o4755)).unwrap();
    let file = bench.file("f").source(bench.path("s"));
    let changes = bench.converge(&file).unwrap();
    assert_eq!(changes[1].diff.as_deref(), Some("@@ -0,0 +1 @@\n+copied\n\\ No newline at end of file\n"));
    assert_eq!(bench.read("f"), "copied");
    assert_eq!(bench.mode("f"), 0o755, "without the set-user-id bit");
    fs::set_permissions(bench.at("f"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(bench.fields(&file), [""; 0], "an old file keeps its mode");
    bench.write("s", "changed");
    assert_eq!(bench.fields(&file), ["content"]);
    assert_eq!((bench.read("f").as_str(), bench.mode("f")), ("changed", 0o600));
}

#[test]
fn a_missing_source_is_an_error_and_the_target_stays() {
    let bench = Bench::new();
    bench.write("f", "precious");
    let error = bench.refused(&bench.file("f").source(bench.path("s")));
    assert!(error.contains(&format!("the source {} does not exist", bench.path("s"))), "{error}");
    assert_eq!(bench.read("f"), "precious");
}

#[test]
fn a_source_of_another_type_is_named() {
    let bench = Bench::new();
    bench.mkdir("d");
    bench.link("l", "d");
    let _socket = std::os::unix::net::UnixListener::bind(bench.at("socket")).unwrap();
    for (name, says) in [
        ("d", "is a directory: write it as"),
        ("l", "is a symlink to d: name what it leads to"),
        ("socket", "is a socket"),
    ] {
        let error = bench.refused(&bench.file("f").source(bench.path(name)));
        assert!(error.contains(&bench.path(name)) && error.contains(says), "{error}");
    }
}

#[test]
fn a_second_name_of_the_source_is_in_sync() {
    let bench = Bench::new();
    bench.write("s", "x");
    fs::hard_link(bench.at("s"), bench.at("f")).unwrap();
    assert!(bench.check(&bench.file("f").source(bench.path("s"))).unwrap().is_none());
    assert_eq!(bench.faults.count(Call::Read), 0);
}

#[test]
fn a_source_that_the_kernel_makes_up_is_copied_once() {
    let bench = Bench::new();
    let file = bench.file("f").source("/proc/version");
    assert_eq!(bench.fields(&file), ["state", "content"]);
    assert_eq!(bench.read("f"), fs::read_to_string("/proc/version").unwrap());
    assert_eq!(bench.fields(&file), [""; 0]);
}

#[test]
fn a_source_written_while_it_is_copied_leaves_the_old_target() {
    let bench = Bench::new();
    let source = bench.write("s", vec![b'x'; 300_000]);
    bench.write("f", "old");
    let file = bench.file("f").source(bench.path("s"));
    let drift = bench.check(&file).unwrap().unwrap();
    bench.faults.reset();
    bench.faults.fail(At::Every(Call::Clone), EOPNOTSUPP);
    bench.faults.hook(At::Nth(Call::Copy, 2), move || {
        fs::OpenOptions::new().append(true).open(&source).unwrap().write_all(b"more").unwrap();
    });
    let error = bench.apply(&file, drift).unwrap_err().to_string();
    assert!(error.contains("/s was changed by another program"), "{error}");
    assert_eq!(bench.read("f"), "old");
    bench.faults.reset();
    bench.changed(&file);
    assert_eq!(bench.read("f").len(), 300_004);
}

#[test]
fn fragments_are_put_together_in_their_order_and_those_of_a_directory_by_name() {
    let bench = Bench::new();
    bench.write("head", "# head\n");
    bench.write("parts.d/20-b", "b\n");
    bench.write("parts.d/10-a", "a\n");
    bench.write("parts.d/deeper/c", "not this\n");
    bench.write("parts.d/.mgmt-0123456789abcdef01234567.tmp", "nor this\n");
    bench.write("tail", "# tail\n");
    let file = bench.file("f").fragments([bench.path("head"), bench.path("parts.d/"), bench.path("tail")]);
    assert_eq!(bench.fields(&file), ["state", "content"]);
    assert_eq!(bench.read("f"), "# head\na\nb\n# tail\n");
    bench.write("parts.d/15-x", "x\n");
    let changes = bench.converge(&file).unwrap();
    assert_eq!(changes[0].diff.as_deref(), Some("@@ -1,4 +1,5 @@\n # head\n a\n+x\n b\n # tail\n"));
    fs::remove_file(bench.at("parts.d/10-a")).unwrap();
    bench.changed(&file);
    assert_eq!(bench.read("f"), "# head\nx\nb\n# tail\n");
    assert_eq!(bench.mode("f"), 0o644);
}

#[test]
fn a_missing_or_odd_fragment_is_an_error_and_the_target_stays() {
    let bench = Bench::new();
    bench.write("f", "precious");
    bench.write("a", "a");
    let error = bench.refused(&bench.file("f").fragments([bench.path("a"), bench.path("b")]));
    assert!(error.contains(&format!("{} does not exist", bench.path("b"))), "{error}");
    bench.mkdir("d");
    bench.link("d/link", "../a");
    let error = bench.refused(&bench.file("f").fragments([bench.path("d/")]));
    assert!(error.contains("/d/link is a symlink to ../a"), "{error}");
    assert_eq!(bench.read("f"), "precious");
}

const CHILD: &str = "MGMT_TEST_BIG_FILE_CHILD";

fn high_water_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// In a process of its own: the memory that is measured belongs to all tests of a process.
#[test]
fn a_big_file_is_copied_in_pieces() {
    if std::env::var_os(CHILD).is_none() {
        let name = format!("{}::a_big_file_is_copied_in_pieces", module_path!().split_once("::").unwrap().1);
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--test-threads", "1"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && output.contains("1 passed"), "{output}");
        return;
    }
    const MIB: usize = 100;
    let bench = Bench::new();
    let mut source = fs::OpenOptions::new().append(true).open(bench.write("s", "")).unwrap();
    for n in 0..MIB {
        source.write_all(&vec![u8::try_from(n).unwrap(); 1 << 20]).unwrap();
    }
    // The code that copies is paged in before memory is measured.
    bench.write("small", vec![b'x'; 3 << 20]);
    bench.changed(&bench.file("f").source(bench.path("small")));
    fs::remove_file(bench.at("f")).unwrap();
    let before = high_water_kib();
    let file = bench.file("f").source(bench.path("s"));
    let drift = bench.check(&file).unwrap().unwrap();
    assert_eq!(drift.changes[1].to_string(), "content: nothing → 104857600 bytes");
    bench.apply(&file, drift).unwrap();
    let cmp = Command::new("cmp").args([bench.at("s"), bench.at("f")]).status().unwrap();
    assert!(cmp.success());
    let grown = high_water_kib() - before;
    assert!(grown < 8 << 10, "{grown} KiB more for a file of {MIB} MiB");
}

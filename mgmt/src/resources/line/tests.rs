//! Lines in real files: what is kept of a file, what other programs do meanwhile, and what can't be edited.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::resource::{Change, Error, ObstacleKind};
use crate::resources::line::{Line, LineBuilder};
use crate::sys::fs::{At, Call};
use crate::testing::{Fake, Watching};

/// A host with a file.
struct Bench {
    host: Fake,
    file: PathBuf,
}

impl Bench {
    fn new(text: impl AsRef<[u8]>) -> Bench {
        let host = Fake::new().unwrap();
        let file = host.path("f");
        fs::write(&file, text).unwrap();
        Bench { host, file }
    }

    fn line(&self, text: &str) -> LineBuilder {
        Line::new(text, self.file.to_str().unwrap())
    }

    fn text(&self) -> String {
        String::from_utf8(fs::read(&self.file).unwrap()).unwrap()
    }

    /// The changes that were made; the next check must be in sync.
    async fn settle(&self, line: LineBuilder) -> Vec<Change> {
        let line = self.host.put(line);
        let outcome = line.settle().await.unwrap();
        assert!(line.check().await.unwrap().in_sync());
        outcome.changes
    }

    async fn refused(&self, line: LineBuilder) -> Error {
        self.host.put(line).settle().await.unwrap_err()
    }
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn a_line_is_added_and_removed_and_every_other_byte_stays() {
    for (before, with, without) in [
        ("a\nb\n", "a\nb\nx\n", "a\nb\n"),
        ("a\r\nb\r\n", "a\r\nb\r\nx\r\n", "a\r\nb\r\n"),
        ("a\nb", "a\nb\nx\n", "a\nb\n"),
        ("", "x\n", ""),
        ("\u{feff}\t a \n\n\n", "\u{feff}\t a \n\n\nx\n", "\u{feff}\t a \n\n\n"),
    ] {
        let bench = Bench::new(before);
        let changes = bench.settle(bench.line("x")).await;
        assert_eq!(changes, [Change::new("content", "absent", "in the file").with_diff("+x\n")], "{before:?}");
        assert_eq!(bench.text(), with);
        let changes = bench.settle(bench.line("x").absent()).await;
        assert_eq!(changes, [Change::new("content", "in the file", "absent").with_diff("-x\n")]);
        assert_eq!(bench.text(), without);
        assert!(bench.settle(bench.line("x").absent()).await.is_empty());
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_kept_and_a_line_goes_every_time() {
    let bench = Bench::new(b"\xff\xfd\nx\n\0\x80\r\nx\r\n#x\nx");
    let changes = bench.settle(bench.line("x").absent()).await;
    assert_eq!(changes[0].from, "3 times in the file");
    assert_eq!(fs::read(&bench.file).unwrap(), b"\xff\xfd\n\0\x80\r\n#x\n");
}

#[tokio::test]
async fn the_name_or_the_content_is_the_line_trimmed_if_asked() {
    let bench = Bench::new("");
    bench.settle(bench.line("a name").content(" x \n").trim(true)).await;
    bench.settle(bench.line(" y ")).await;
    assert_eq!(bench.text(), "x\n y \n");
}

#[test]
fn what_is_no_line_or_no_file_is_refused() {
    let host = Fake::new().unwrap();
    let said = |line: LineBuilder| host.put(line).refusal();
    for (text, problem) in [
        ("", "`content` is empty"),
        ("x\n", "`content` has a line end"),
        ("x\r", "`content` has a line end"),
        ("x\ny", "`content` has several lines"),
        ("x\ny\n", "`content` has several lines"),
        ("x\0", "`content` has a NUL byte"),
        (&"x".repeat(65_537), "`content` has 65537 bytes"),
    ] {
        let found = said(Line::new("n", "/f").content(text));
        assert!(found.starts_with(problem) && found.lines().count() == 1, "{text:.20?}: {found}");
        assert_eq!(said(Line::new("n", "/f").content(text).trim(true)).is_empty(), text.trim() == "x", "{text:.20?}");
    }
    assert!(said(Line::new("x\n", "/f")).starts_with("`content` (taken from the name) has a line end"));
    for file in ["", "f", "/a/../f", "/f/", "/\0"] {
        assert!(said(Line::new("n", file)).starts_with("`file`"), "{file:?}");
    }
    let line = host.put(Line::new("n", "").content(""));
    assert_eq!(line.validate().len(), 2, "all at once");
    assert!(line.validate_without(["file", "content"]).is_empty(), "what will be received is not judged");
}

#[tokio::test]
async fn a_missing_file_is_made_only_if_asked_and_a_missing_directory_never() {
    let host = Fake::new().unwrap();
    let file = host.path("d/f");
    let line = || Line::new("x", file.to_str().unwrap());
    let refused = async |line| host.put(line).settle().await.unwrap_err();
    assert!(host.put(line().absent()).settle().await.unwrap().in_sync(), "it is not in a file that is not there");
    let error = refused(line()).await;
    assert!(error.to_string().contains("d/f does not exist: declare it as a `file`, or set `create`"), "{error}");
    assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::Missing);
    let error = refused(line().create(true)).await;
    assert!(error.to_string().contains("can't be made: the directory"), "{error}");
    let plan = host.put(line().create(true));
    let drift = plan.check().await.unwrap().drift.unwrap();
    assert_eq!(drift.changes[0].to_string(), "file: absent → created");
    fs::create_dir(host.path("d")).unwrap();
    plan.apply(drift).await.unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "x\n");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o644);
    assert!(plan.check().await.unwrap().in_sync());
}

#[tokio::test]
async fn a_file_keeps_its_mode_and_its_other_names_keep_the_old_text() {
    let bench = Bench::new("a\n");
    fs::set_permissions(&bench.file, fs::Permissions::from_mode(0o640)).unwrap();
    fs::hard_link(&bench.file, bench.host.path("other")).unwrap();
    bench.settle(bench.line("x")).await;
    assert_eq!(fs::metadata(&bench.file).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(fs::read_to_string(bench.host.path("other")).unwrap(), "a\n");
    assert_eq!(bench.text(), "a\nx\n");
}

#[tokio::test]
async fn a_symlink_is_not_edited_and_one_on_the_way_leads_to_the_file() {
    let bench = Bench::new("a\n");
    symlink(&bench.file, bench.host.path("link")).unwrap();
    let at = |name: &str| Line::new("x", bench.host.path(name).to_str().unwrap());
    let error = bench.refused(at("link")).await;
    assert!(error.to_string().contains("link is a symlink to ") && error.to_string().contains("name what it leads to"));
    assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::InTheWay);
    assert_eq!(bench.text(), "a\n");
    symlink(bench.host.dir(), bench.host.path("via")).unwrap();
    bench.settle(at("via/f")).await;
    assert_eq!(bench.text(), "a\nx\n");
}

#[tokio::test]
async fn what_is_no_text_file_is_an_error_that_waits_for_one() {
    let bench = Bench::new("");
    let at = |name: &str| Line::new("x", bench.host.path(name).to_str().unwrap());
    fs::create_dir(bench.host.path("dir")).unwrap();
    let huge = fs::File::create(bench.host.path("huge")).unwrap();
    huge.set_len((16 << 20) + 1).unwrap();
    fs::write(bench.host.path("wide"), b"\xff\xfex\0\n\0").unwrap();
    for (name, problem) in [
        ("dir", "is a directory, not a regular file"),
        ("huge", "is larger than 16 MiB"),
        ("wide", "is text in UTF-16"),
    ] {
        let error = bench.refused(at(name)).await;
        assert!(error.to_string().contains(problem), "{error}");
        assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::InTheWay, "{name}");
    }
    huge.set_len((16 << 20) - 4).unwrap();
    bench.settle(at("huge")).await;
}

#[tokio::test]
async fn the_engines_own_files_are_not_edited() {
    let bench = Bench::new("");
    let own = bench.host.prefix().join("pgraph/password/x/password");
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::write(&own, "secret\n").unwrap();
    let (line, cx) = (Line::new("x", own.to_str().unwrap()), bench.host.put(bench.line("y")).check_cx());
    cx.owned_paths().set_own(bench.host.prefix().to_owned(), Vec::new());
    let error = bench.refused(line).await.to_string();
    assert!(error.contains("belongs to the engine itself"), "{error}");
    assert_eq!(fs::read_to_string(own).unwrap(), "secret\n");
}

#[tokio::test]
async fn what_is_appended_just_before_the_file_is_replaced_is_there_afterwards() {
    for call in [Call::Create, Call::Write, Call::Sync, Call::Rename] {
        let bench = Bench::new("a\n");
        let (file, mut n) = (bench.file.clone(), 0);
        bench.host.faults().hook(At::Every(call), move || {
            n += 1;
            if n <= 3 {
                append(&file, &format!("foreign {n}\n"));
            }
        });
        bench.settle(bench.line("x")).await;
        let text = bench.text();
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        assert!(lines.starts_with(&["a", "foreign 1"]) && lines.ends_with(&["x"]), "{call}: {text}");
        let appended = lines.iter().filter(|line| line.starts_with("foreign")).count();
        assert_eq!(lines.len(), appended + 2, "{call}: nothing twice: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_late_to_the_file_that_was_replaced_is_carried_over() {
    let bench = Bench::new("a\n");
    let line = bench.host.put(bench.line("x"));
    let mut watch = line.listen();
    next(&mut watch).await;
    let mut opened = OpenOptions::new().append(true).open(&bench.file).unwrap();
    line.settle().await.unwrap();
    assert!(line.check().await.unwrap().in_sync());
    opened.write_all(b"late\n").unwrap();
    next(&mut watch).await;
    let settled = line.settle().await.unwrap();
    assert_eq!(settled.changes[0].from, "lacks what was written to it while it was replaced");
    assert_eq!(bench.text(), "a\nx\nlate\n");
    opened.write_all(b"later\n").unwrap();
    // The file was replaced again: both former ones are looked at.
    line.settle().await.unwrap();
    assert_eq!(bench.text(), "a\nx\nlate\nlater\n");
    assert!(line.check().await.unwrap().in_sync());
}

/// Waits for the next event of the watch.
async fn next(watch: &mut Watching) {
    let event = tokio::time::timeout(std::time::Duration::from_secs(60), watch.next());
    event.await.expect("it reports something").unwrap().unwrap();
}

#[tokio::test]
async fn a_file_that_was_rewritten_late_wins_and_the_line_is_added_to_it() {
    let bench = Bench::new("a\nb\n");
    let line = bench.host.put(bench.line("x"));
    let mut opened = OpenOptions::new().write(true).open(&bench.file).unwrap();
    line.settle().await.unwrap();
    opened.set_len(0).unwrap();
    opened.write_all(b"new\n").unwrap();
    line.settle().await.unwrap();
    assert_eq!(bench.text(), "new\nx\n");
    assert!(line.check().await.unwrap().in_sync());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_lines_of_one_file_and_a_program_that_appends_all_get_through() {
    let bench = Arc::new(Bench::new("first\n"));
    let (file, done) = (bench.file.clone(), Arc::new(AtomicBool::new(false)));
    let is_done = Arc::clone(&done);
    let foreign = std::thread::spawn(move || {
        let mut n = 0;
        while !is_done.load(Ordering::Relaxed) {
            append(&file, &format!("foreign {n}\n"));
            n += 1;
            std::thread::sleep(std::time::Duration::from_micros(300));
        }
        n
    });
    let put = |n: u32| bench.host.put(bench.line(&format!("line {n}")));
    let lines: Vec<_> = (0..24).map(put).collect();
    let kept = lines.clone().into_iter().map(|line| {
        tokio::spawn(async move {
            // As the engine does: what was outdated is tried again.
            for _ in 0..1000 {
                match line.settle().await {
                    Ok(_) => return,
                    Err(error) if error.is_outdated() => tokio::time::sleep(std::time::Duration::from_millis(2)).await,
                    Err(error) => panic!("{error}"),
                }
            }
            panic!("it never got through");
        })
    });
    for kept in kept.collect::<Vec<_>>() {
        kept.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let appended: u32 = foreign.join().unwrap();
    // What came late is carried over by the next checks.
    for line in &lines {
        line.settle().await.unwrap();
    }
    let text = bench.text();
    let times = |wanted: &str| text.lines().filter(|line| *line == wanted).count();
    assert!(appended > 0);
    for n in 0..appended {
        assert_eq!(times(&format!("foreign {n}")), 1, "foreign {n} of {appended}");
    }
    for n in 0..24 {
        assert_eq!(times(&format!("line {n}")), 1, "line {n}");
    }
    assert_eq!(text.lines().count(), 1 + 24 + appended as usize);
    assert!(text.starts_with("first\n"));
}

#[tokio::test]
async fn whichever_call_fails_the_file_is_the_old_one_or_the_new_one() {
    const EIO: i32 = 5;
    let mut failed = 0;
    for n in 1.. {
        let bench = Bench::new("a\n");
        bench.host.faults().fail(At::Change(n), EIO);
        let outcome = bench.host.put(bench.line("x")).settle().await;
        assert!(["a\n", "a\nx\n"].contains(&bench.text().as_str()), "{}", bench.text());
        if bench.host.faults().changes().len() < n {
            outcome.unwrap();
            break;
        }
        failed += usize::from(outcome.is_err());
        bench.host.faults().reset();
        bench.settle(bench.line("x")).await;
        assert_eq!(bench.text(), "a\nx\n");
        assert_eq!(fs::read_dir(bench.host.dir()).unwrap().count(), 1, "nothing is left over");
    }
    assert!(failed >= 4, "create, write, fsync, rename: {failed}");
}

const KILLED: &str = "MGMT_LINE_KILLED";

/// The part of the next test that is killed, in a process of its own.
#[tokio::test]
async fn killed_before_a_call() {
    let Ok(given) = std::env::var(KILLED) else { return };
    let (n, file) = given.split_once(' ').unwrap();
    let host = Fake::new().unwrap();
    host.faults().kill_before(At::Change(n.parse().unwrap()));
    host.put(Line::new("x", file)).settle().await.unwrap();
}

#[tokio::test]
async fn killed_before_any_call_the_file_is_whole_and_the_next_run_tidies_up() {
    let mut killed = 0;
    for n in 1..20 {
        // What the process needs for a moment remains when it is killed.
        let (bench, scratch) = (Bench::new("a\n"), tempfile::tempdir().unwrap());
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "resources::line::tests::killed_before_a_call", "--nocapture", "--test-threads=1"])
            .env("TMPDIR", scratch.path())
            .env(KILLED, format!("{n} {}", bench.file.display()))
            .output()
            .unwrap()
            .status;
        let text = bench.text();
        assert!(["a\n", "a\nx\n"].contains(&text.as_str()), "{text}");
        if status.success() {
            break;
        }
        killed += 1;
        bench.settle(bench.line("x")).await;
        assert_eq!(bench.text(), "a\nx\n");
        assert_eq!(fs::read_dir(bench.host.dir()).unwrap().count(), 1, "killed before call {n}, something stays");
    }
    assert!((4..19).contains(&killed), "{killed}");
}

//! Writes that end early: whichever call fails, and before whichever the process is killed, the files are the old ones
//! or the new ones, and nothing else stays.

use std::fs;
use std::path::Path;

use tar::{Builder, Header};

use crate::resource::Declare;
use crate::resources::archive::{Gzip, GzipBuilder, Tar, TarBuilder, Unpack, UnpackBuilder};
use crate::sys::fs::At;
use crate::testing::Fake;

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A compressed file that differs from its input, below a directory.
fn gzip(dir: &Path) -> GzipBuilder {
    fs::write(dir.join("in"), "new").unwrap();
    fs::write(dir.join("out.gz"), "old").unwrap();
    Gzip::new(text(&dir.join("out.gz"))).input(text(&dir.join("in")))
}

/// An archive of two files, in whose place is something else.
fn tar(dir: &Path) -> TarBuilder {
    fs::create_dir(dir.join("in")).unwrap();
    fs::write(dir.join("in/x"), "one").unwrap();
    fs::write(dir.join("in/y"), "two").unwrap();
    fs::write(dir.join("out.tar"), "old").unwrap();
    Tar::new(text(&dir.join("out.tar")), [text(&dir.join("in"))])
}

/// An archive of three files, one of which is on disk with another content.
fn unpack(dir: &Path) -> UnpackBuilder {
    let mut archive = Builder::new(fs::File::create(dir.join("archive")).unwrap());
    for name in ["a", "b/c", "b/d"] {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(3);
        archive.append_data(&mut header, name, &b"new"[..]).unwrap();
    }
    archive.into_inner().unwrap();
    fs::create_dir(dir.join("d")).unwrap();
    fs::write(dir.join("d/a"), "old").unwrap();
    Unpack::new(text(&dir.join("d")), text(&dir.join("archive")))
}

/// The names of all files below a directory, and that each is whole.
fn files(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(files(&path));
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if ["a", "c", "d"].contains(&name.as_str()) {
            let content = fs::read_to_string(&path).unwrap();
            assert!(content == "new" || content == "old" && name == "a", "{name}: {content}");
        }
        names.push(name);
    }
    names.sort();
    names
}

/// Whichever call fails; returns how many did.
async fn failing<D: Declare>(make: fn(&Path) -> D, all: &[&str]) -> usize {
    const EIO: i32 = 5;
    let mut failed = 0;
    for n in 1.. {
        let host = Fake::new().unwrap();
        let resource = host.put(make(host.dir()));
        host.faults().fail(At::Change(n), EIO);
        let outcome = resource.settle().await;
        let left = files(host.dir());
        assert!(left.iter().all(|name| all.contains(&name.as_str())), "call {n}: {left:?}");
        if host.faults().changes().len() < n {
            outcome.unwrap();
            break;
        }
        failed += usize::from(outcome.is_err());
        host.faults().reset();
        resource.settle().await.unwrap();
        assert!(resource.check().await.unwrap().in_sync());
        assert_eq!(files(host.dir()), all);
    }
    failed
}

const GZIP: [&str; 2] = ["in", "out.gz"];
const TAR: [&str; 3] = ["out.tar", "x", "y"];
const UNPACK: [&str; 4] = ["a", "archive", "c", "d"];

#[tokio::test]
async fn whichever_call_fails_nothing_is_half_written() {
    assert!(failing(gzip, &GZIP).await >= 4);
    assert!(failing(tar, &TAR).await >= 4);
    assert!(failing(unpack, &UNPACK).await >= 12);
}

const KILLED: &str = "MGMT_ARCHIVE_KILLED";

/// The part of the next test that is killed, in a process of its own.
#[tokio::test]
async fn killed_before_a_call() {
    let Ok(given) = std::env::var(KILLED) else { return };
    let [kind, n, dir] = given.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{given}") };
    let (host, dir) = (Fake::new().unwrap(), Path::new(dir));
    host.faults().kill_before(At::Change(n.parse().unwrap()));
    let resource = match kind {
        "gzip" => host.put(gzip(dir)),
        "tar" => host.put(tar(dir)),
        _ => host.put(unpack(dir)),
    };
    resource.settle().await.unwrap();
}

/// Before whichever call the process is killed; returns how often it was.
async fn killing(kind: &str, all: &[&str]) -> usize {
    let mut killed = 0;
    for n in 1..60 {
        // What the process needs for a moment remains when it is killed.
        let (dir, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "resources::archive::tests::killed::killed_before_a_call", "--nocapture"])
            .env(KILLED, format!("{kind} {n} {}", dir.path().display()))
            .env("TMPDIR", scratch.path())
            .output()
            .unwrap()
            .status;
        files(dir.path());
        if status.success() {
            break;
        }
        killed += 1;
        let host = Fake::new().unwrap();
        // The same resource on what the killed process has left.
        let resource = match kind {
            "gzip" => host.put(Gzip::new(text(&dir.path().join("out.gz"))).input(text(&dir.path().join("in")))),
            "tar" => host.put(Tar::new(text(&dir.path().join("out.tar")), [text(&dir.path().join("in"))])),
            _ => host.put(Unpack::new(text(&dir.path().join("d")), text(&dir.path().join("archive")))),
        };
        resource.settle().await.unwrap();
        assert!(resource.check().await.unwrap().in_sync());
        assert_eq!(files(dir.path()), all, "killed before call {n}");
    }
    killed
}

#[tokio::test]
async fn killed_before_any_call_the_next_run_finds_whole_files_and_tidies_up() {
    let killed = killing("gzip", &GZIP).await;
    assert!((4..59).contains(&killed), "{killed}");
    let killed = killing("tar", &TAR).await;
    assert!((4..59).contains(&killed), "{killed}");
    let killed = killing("unpack", &UNPACK).await;
    assert!((12..59).contains(&killed), "{killed}");
}

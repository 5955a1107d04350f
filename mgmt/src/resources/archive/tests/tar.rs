//! Archives: what is in them, when they are written, and what other programs make of them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::resources::archive::{Tar, TarBuilder, TarCompress, TarFormat, Unpack};
use crate::sys::fs::{At, Call};
use crate::testing::{Fake, Trial};

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn chmod(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A tree of a few files in `in`, and what it is in.
fn tree(dir: &Path) -> PathBuf {
    let top = dir.join("in");
    fs::create_dir_all(top.join("sub/empty")).unwrap();
    for (name, content) in [("b", "two"), ("a", ""), ("a-b", "dash"), ("sub/c", "three")] {
        fs::write(top.join(name), content).unwrap();
        chmod(top.join(name), 0o644);
    }
    chmod(&top, 0o755);
    chmod(top.join("sub"), 0o750);
    chmod(top.join("sub/empty"), 0o755);
    chmod(top.join("b"), 0o4751);
    symlink("sub/c", top.join("link")).unwrap();
    symlink("/nowhere/at/all", top.join("sub/out")).unwrap();
    top
}

/// An archive of these inputs below the directory of the host.
fn archive(host: &Fake, inputs: &[&str]) -> (PathBuf, TarBuilder) {
    let output = host.path("out.tar");
    let inputs: Vec<_> = inputs.iter().map(|name| format!("{}/{name}", host.dir().display())).collect();
    (output.clone(), Tar::new(text(&output), inputs))
}

/// What GNU tar prints about an archive.
fn listed(archive: &Path, options: &[&str]) -> Vec<String> {
    let output = Command::new("tar").args(options).arg(archive).env("TZ", "UTC").env("LC_ALL", "C").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The names, types and contents of what is below a directory.
fn below(dir: &Path) -> Vec<(PathBuf, u32, String)> {
    let (mut found, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(at) = dirs.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let stat = fs::symlink_metadata(&path).unwrap();
            let content = match stat.file_type() {
                kind if kind.is_symlink() => text(&fs::read_link(&path).unwrap()),
                kind if kind.is_file() => fs::read_to_string(&path).unwrap(),
                _ => {
                    dirs.push(path.clone());
                    String::new()
                }
            };
            found.push((path.strip_prefix(dir).unwrap().to_owned(), stat.mode() & 0o170_777, content));
        }
    }
    found.sort();
    found
}

async fn made(host: &Fake, tar: TarBuilder) -> Trial {
    let tar = host.put(tar);
    tar.settle().await.unwrap();
    assert!(tar.check().await.unwrap().in_sync());
    tar
}

#[tokio::test]
async fn gnu_tar_lists_the_members_sorted_and_of_root_with_their_modes_and_targets() {
    let host = Fake::new().unwrap();
    tree(host.dir());
    for format in [TarFormat::Pax, TarFormat::Gnu, TarFormat::Ustar] {
        let (output, tar) = archive(&host, &["in"]);
        made(&host, tar.format(format)).await;
        let lines = listed(&output, &["--numeric-owner", "--full-time", "-tvf"]);
        let lines: Vec<_> = lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let wanted = [
            ("drwxr-xr-x", 0, "in/"),
            ("-rw-r--r--", 0, "in/a"),
            ("-rw-r--r--", 4, "in/a-b"),
            ("-rwxr-x--x", 3, "in/b"),
            ("lrwxrwxrwx", 0, "in/link -> sub/c"),
            ("drwxr-x---", 0, "in/sub/"),
            ("-rw-r--r--", 5, "in/sub/c"),
            ("drwxr-xr-x", 0, "in/sub/empty/"),
            ("lrwxrwxrwx", 0, "in/sub/out -> /nowhere/at/all"),
        ];
        let wanted = wanted.map(|(mode, size, name)| format!("{mode} 0/0 {size} 1980-01-01 00:00:00 {name}"));
        assert_eq!(lines, wanted, "{format:?}");
        fs::remove_file(&output).unwrap();
    }
}

#[tokio::test]
async fn the_same_tree_in_another_place_at_another_time_has_the_same_bytes() {
    let mut all = Vec::new();
    for seconds in [0, 1_000_000_000] {
        let host = Fake::new().unwrap();
        let top = tree(host.dir());
        let time = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::open(top.join("a")).unwrap().set_modified(time).unwrap();
        if seconds > 0 {
            // A hard link is a file of its own.
            fs::remove_file(top.join("a-b")).unwrap();
            fs::write(host.path("elsewhere"), "dash").unwrap();
            chmod(host.path("elsewhere"), 0o644);
            fs::hard_link(host.path("elsewhere"), top.join("a-b")).unwrap();
        }
        let (output, tar) = archive(&host, &["in"]);
        made(&host, tar).await;
        let names = ["in/", "in/a", "in/a-b", "in/b", "in/link", "in/sub/", "in/sub/c", "in/sub/empty/", "in/sub/out"];
        assert_eq!(listed(&output, &["-tf"]), names);
        all.push(fs::read(&output).unwrap());
        let squeezed = host.put(Tar::new(text(&host.path("out.tgz")), [text(&top)]));
        squeezed.settle().await.unwrap();
        assert_eq!(listed(&host.path("out.tgz"), &["-tzf"]), names);
        all.push(fs::read(host.path("out.tgz")).unwrap());
    }
    assert!(all[0] == all[2] && all[1] == all[3]);
}

#[tokio::test]
async fn what_is_unpacked_again_is_the_same_tree() {
    let host = Fake::new().unwrap();
    let top = tree(host.dir());
    fs::remove_file(top.join("sub/out")).unwrap();
    let long = top.join("d".repeat(90)).join("e".repeat(200));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("f".repeat(120)), vec![b'x'; 100_000]).unwrap();
    symlink(format!("{}/x", "t".repeat(150)), long.join("link")).unwrap();
    for (format, compress) in [
        (TarFormat::Pax, TarCompress::None),
        (TarFormat::Gnu, TarCompress::None),
        (TarFormat::Pax, TarCompress::Gzip),
        (TarFormat::Gnu, TarCompress::Gzip),
    ] {
        let (output, tar) = archive(&host, &["in/"]);
        made(&host, tar.format(format).compress(compress)).await;
        let by = [host.path("by gnu tar"), host.path("by unpack")];
        fs::create_dir(&by[0]).unwrap();
        let dir = text(&by[0]);
        let options = ["-C", &dir, "-xpf"];
        listed(&output, &options);
        host.put(Unpack::new(text(&by[1]), text(&output))).settle().await.unwrap();
        for by in by {
            assert_eq!(below(&by), below(&top), "{format:?}, {compress:?}, {}", by.display());
            fs::remove_dir_all(by).unwrap();
        }
        fs::remove_file(&output).unwrap();
    }
    // What does not fit is refused before anything is there.
    let (output, tar) = archive(&host, &["in/"]);
    let error = host.put(tar.format(TarFormat::Ustar)).settle().await.unwrap_err();
    assert!(error.to_string().contains("does not fit into an archive of the format ustar: its name"), "{error}");
    assert!(error.obstacle().is_some() && !output.exists());
}

#[tokio::test]
async fn whatever_changes_in_the_tree_leads_to_a_new_archive() {
    let host = Fake::new().unwrap();
    let top = tree(host.dir());
    let (output, tar) = archive(&host, &["in"]);
    let tar = made(&host, tar).await;
    let mut seen = vec![fs::read(&output).unwrap()];
    for n in 0.. {
        match n {
            0 => fs::write(top.join("sub/c"), "THREE").unwrap(),
            1 => chmod(top.join("sub/c"), 0o640),
            2 => fs::rename(top.join("a"), top.join("z")).unwrap(),
            3 => fs::remove_dir(top.join("sub/empty")).unwrap(),
            4 => {
                fs::remove_file(top.join("link")).unwrap();
                symlink("elsewhere", top.join("link")).unwrap();
            }
            5 => fs::write(&output, "other").unwrap(),
            _ => break,
        }
        let applied = tar.settle().await.unwrap();
        assert!(applied.changed, "{n}");
        assert!(applied.changes[0].to.as_str().starts_with("files: 4 ("), "{}", applied.changes[0].to.as_str());
        assert!(tar.check().await.unwrap().in_sync(), "{n}");
        let bytes = fs::read(&output).unwrap();
        assert_eq!(seen.contains(&bytes), n == 5, "{n}");
        seen.push(bytes);
    }
    // Neither the time of a file nor its owner is in it.
    fs::File::open(top.join("z")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert!(tar.check().await.unwrap().in_sync());
    let found = tar.check().await.unwrap();
    let sum = <sha2::Sha256 as sha2::Digest>::digest(fs::read(&output).unwrap());
    assert_eq!(found.value(Tar::SHA256).unwrap(), crate::resources::digests::hex(&sum.into()));
}

#[tokio::test]
async fn a_new_archive_is_as_private_as_what_is_in_it() {
    for (path, mode, wanted) in [("a", 0o644, 0o644), ("a", 0o640, 0o600), ("sub", 0o750, 0o600), ("sub", 0o751, 0o600)]
    {
        let host = Fake::new().unwrap();
        let top = tree(host.dir());
        chmod(top.join("sub"), 0o755);
        chmod(top.join("b"), 0o755);
        chmod(top.join("sub/empty"), 0o755);
        chmod(top.join(path), mode);
        let (output, tar) = archive(&host, &["in"]);
        made(&host, tar).await;
        assert_eq!(fs::metadata(&output).unwrap().mode() & 0o7777, wanted, "{path} {mode:o}");
    }
}

#[tokio::test]
async fn what_can_not_be_in_an_archive_is_refused_by_its_path_or_left_out() {
    let host = Fake::new().unwrap();
    let top = tree(host.dir());
    let _socket = std::os::unix::net::UnixListener::bind(top.join("socket")).unwrap();
    let (output, tar) = archive(&host, &["in/"]);
    let tar = made(&host, tar).await;
    assert!(!listed(&output, &["-tf"]).contains(&"socket".to_owned()));
    let before = fs::read(&output).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, top.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let error = tar.settle().await.unwrap_err();
    assert!(error.obstacle().is_some() && error.to_string().contains("in/pipe is a named pipe"), "{error}");
    fs::remove_file(top.join("pipe")).unwrap();
    fs::hard_link(&output, top.join("itself")).unwrap();
    let error = tar.settle().await.unwrap_err().to_string();
    assert!(error.contains("in/itself is the archive itself by another name"), "{error}");
    assert_eq!(fs::read(&output).unwrap(), before);
}

#[tokio::test]
async fn an_archive_that_lies_in_an_input_through_a_symlink_is_refused() {
    let host = Fake::new().unwrap();
    let top = tree(host.dir());
    symlink(top.join("sub"), host.path("via")).unwrap();
    let tar = host.put(Tar::new(text(&host.path("via/out.tar")), [text(&top)]));
    let error = tar.settle().await.unwrap_err();
    assert!(error.obstacle().is_some() && error.to_string().contains("which goes into it"), "{error}");
    assert!(!top.join("sub/out.tar").exists());
}

#[tokio::test]
async fn inputs_that_are_missing_or_links_or_that_collide_are_refused() {
    let host = Fake::new().unwrap();
    let top = tree(host.dir());
    symlink("in", host.path("current")).unwrap();
    fs::create_dir(host.path("other")).unwrap();
    fs::write(host.path("other/a"), "").unwrap();
    for (inputs, problem) in [
        (&["in", "gone"][..], "gone does not exist: nothing is changed until it does"),
        (&["current"], "current is a symlink to in: name what it leads to"),
        (&["in/a/"], "in/a is a regular file: leave the slash at its end out"),
        (&["in/", "other/"], "/in/ and from "),
        (&["in/", "other/a"], "`a` would be in the archive twice: from "),
    ] {
        let (output, tar) = archive(&host, inputs);
        let error = host.put(tar).settle().await.unwrap_err();
        assert!(error.obstacle().is_some() && error.to_string().contains(problem), "{problem}: {error}");
        assert!(!output.exists());
    }
    fs::remove_dir_all(top).unwrap();
}

#[tokio::test]
async fn files_that_rested_are_read_once_and_only_the_changed_one_again() {
    let host = Fake::new().unwrap();
    let top = tree(host.dir());
    let big = fs::File::create(top.join("big")).unwrap();
    big.set_len(64 << 20).unwrap();
    let (output, tar) = archive(&host, &["in"]);
    let tar = made(&host, tar).await;
    std::thread::sleep(Duration::from_millis(2100));
    assert!(tar.check().await.unwrap().in_sync());
    let reads = || host.faults().count(Call::Read);
    let before = reads();
    assert!(tar.check().await.unwrap().in_sync());
    assert_eq!(reads(), before);
    // A change that a time alone announces costs one file, and the archive is not made to be compared.
    fs::write(top.join("b"), "two").unwrap();
    assert!(tar.check().await.unwrap().in_sync());
    assert!(reads() - before < 10, "{}", reads() - before);
    fs::write(top.join("b"), "TWO").unwrap();
    let before = reads();
    assert!(!tar.check().await.unwrap().in_sync());
    assert!(reads() - before < 10, "{}", reads() - before);
    tar.settle().await.unwrap();
    assert!(fs::metadata(&output).unwrap().len() > 64 << 20);
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_gives_no_archive() {
    for (name, change) in [
        ("longer", (|path| fs::write(path, "two and more")) as fn(PathBuf) -> std::io::Result<()>),
        ("shorter", |path| fs::write(path, "t")),
        ("same length", |path| fs::write(path, "TWO")),
        ("gone", |path| fs::remove_file(path)),
    ] {
        let host = Fake::new().unwrap();
        let top = tree(host.dir());
        let (output, tar) = archive(&host, &["in"]);
        let tar = host.put(tar);
        let found = tar.check().await.unwrap();
        assert!(!found.in_sync());
        // At the first write of the archive its members have been collected, and `b` not been read yet.
        host.faults().hook(At::Nth(Call::Write, 1), move || change(top.join("b")).unwrap());
        let error = tar.settle().await.unwrap_err();
        assert!(error.is_outdated(), "{name}: {error}");
        assert_eq!(fs::read_dir(host.dir()).unwrap().count(), 1, "{name}");
        tar.settle().await.unwrap();
        assert!(tar.check().await.unwrap().in_sync());
        assert_eq!(listed(&output, &["-tf"]).contains(&"in/b".to_owned()), name != "gone");
    }
}

#[tokio::test]
async fn the_state_of_the_engine_and_temporary_files_are_left_out() {
    let host = Fake::new().unwrap();
    let top = tree(host.dir());
    fs::write(top.join(".mgmt-0123456789abcdef01234567.tmp"), "half").unwrap();
    let (output, tar) = archive(&host, &["in"]);
    made(&host, tar).await;
    let names = listed(&output, &["-tf"]);
    assert!(!names.iter().any(|name| name.contains("tmp")), "{names:?}");
}

#[tokio::test]
async fn what_is_only_sent_is_the_same_as_what_would_be_written_and_has_a_limit() {
    let host = Fake::new().unwrap();
    let top = tree(host.dir());
    let (output, tar) = archive(&host, &["in"]);
    made(&host, tar).await;
    let written = fs::read(&output).unwrap();
    fs::remove_file(&output).unwrap();
    let sent = host.put(Tar::new("no path", [text(&top)]).sendonly(true));
    let found = sent.check().await.unwrap();
    assert!(found.in_sync() && fs::read_dir(host.dir()).unwrap().count() == 1);
    assert_eq!(found.value(Tar::CONTENT).unwrap(), written);
    fs::write(top.join("b"), "other").unwrap();
    assert_ne!(sent.check().await.unwrap().value(Tar::CONTENT).unwrap(), written);
    fs::File::options().write(true).open(top.join("b")).unwrap().set_len(16 << 20).unwrap();
    let error = sent.check().await.unwrap_err();
    assert!(error.to_string().contains("more than 16 MiB, the most that is sent as a value"), "{error}");
    let squeezed = host.put(Tar::new("x.tgz", [text(&top)]).sendonly(true)).check().await.unwrap();
    assert_eq!(squeezed.value(Tar::CONTENT).unwrap()[..2], [0x1f, 0x8b]);
}

#[tokio::test]
async fn wrong_fields_are_reported() {
    let host = Fake::new().unwrap();
    let none: [&str; 0] = [];
    for (tar, problem) in [
        (Tar::new("/a.tar", none), "has no path"),
        (Tar::new("/a.tar", ["b"]), "is not absolute"),
        (Tar::new("/b/a.tar", ["/c", "/b"]), "has /b, in which the archive itself lies"),
        (Tar::new("/b/a.tar", ["/b/a.tar"]), "has /b/a.tar, in which the archive itself lies"),
        (Tar::new("/b/a.tar", ["/"]), "has /, in which the archive itself lies"),
        (Tar::new("/a.tar", ["/c/x", "/b/x"]), "has two paths that end in `x`"),
        (Tar::new("/a.tar", ["/b"]).level(10), "is 10"),
        (Tar::new("/a.tar", ["/b"]).level(9), "is given for an archive that is not compressed"),
        (Tar::new("/a.tar.xz", ["/b"]), "ends in `.xz`, which can't be made"),
        (Tar::new("/a/", ["/b"]), "ends in `/`"),
        (Tar::new("a", ["/b"]).path("/a").sendonly(true), "are both given"),
    ] {
        let found = host.put(tar).validate();
        assert!(found.iter().any(|found| found.to_string().contains(problem)), "{problem}: {found:?}");
    }
    for right in [
        Tar::new("/a.tar.gz", ["/b", "/c/"]).level(9),
        Tar::new("/a", ["/b"]).level(9).compress(TarCompress::Gzip),
        Tar::new("/a.xz", ["/b"]).compress(TarCompress::None),
        Tar::new("/a.tar", ["/b/x/", "/c/x/"]),
        // There is no file that could lie in an input.
        Tar::new("/b/a.tar", ["/b"]).sendonly(true),
    ] {
        assert!(host.put(right).validate().is_empty());
    }
}

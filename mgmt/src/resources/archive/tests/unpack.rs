//! Unpacked archives: what is written, what is left alone, and what is refused before anything is written.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

use crate::resources::archive::{Unpack, UnpackBuilder};
use crate::sys::fs::{At, Call};
use crate::testing::Fake;

/// An archive in memory, with any names and types.
#[derive(Default)]
struct Made(Vec<u8>);

impl Made {
    fn member(mut self, name: &str, kind: EntryType, mode: u32, link: &str, content: &[u8]) -> Made {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &str) -> Made {
        self.member(name, EntryType::Regular, 0o640, "", content.as_bytes())
    }

    fn dir(self, name: &str, mode: u32) -> Made {
        self.member(name, EntryType::Directory, mode, "", b"")
    }

    fn symlink(self, name: &str, to: &str) -> Made {
        self.member(name, EntryType::Symlink, 0o777, to, b"")
    }

    fn bytes(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }

    fn squeezed(self) -> Vec<u8> {
        let mut to = GzEncoder::new(Vec::new(), Compression::fast());
        to.write_all(&self.bytes()).unwrap();
        to.finish().unwrap()
    }
}

fn usual() -> Made {
    Made::default().dir("./", 0o700).dir("bin/", 0o750).file("./bin/tool", "run\n").symlink("bin/t", "tool").member(
        "same",
        EntryType::Link,
        0,
        "bin/tool",
        b"",
    )
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// The directory, and the resource for an archive of these bytes.
fn unpack(host: &Fake, bytes: &[u8]) -> (PathBuf, UnpackBuilder) {
    let source = host.path("archive");
    fs::write(&source, bytes).unwrap();
    (host.path("d"), Unpack::new(text(&host.path("d")), text(&source)))
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// The error with which an archive of these bytes is refused. Nothing was written.
async fn refusal(bytes: &[u8]) -> String {
    let host = Fake::new().unwrap();
    let (dir, resource) = unpack(&host, bytes);
    let error = host.put(resource).settle().await.unwrap_err();
    assert!(error.obstacle().is_some(), "{error}");
    assert!(!dir.exists());
    assert_eq!(fs::read_dir(host.dir()).unwrap().count(), 1, "only the archive: {error}");
    error.to_string()
}

#[tokio::test]
async fn every_member_is_written_and_repaired_and_other_files_are_left_alone() {
    for bytes in [usual().bytes(), usual().squeezed()] {
        let host = Fake::new().unwrap();
        let (dir, resource) = unpack(&host, &bytes);
        let resource = host.put(resource);
        assert!(resource.settle().await.unwrap().changed);
        assert_eq!(fs::read(dir.join("bin/tool")).unwrap(), b"run\n");
        assert_eq!(fs::read(dir.join("same")).unwrap(), b"run\n");
        assert_eq!(fs::read_link(dir.join("bin/t")).unwrap(), Path::new("tool"));
        assert_eq!((mode(dir.join("bin")), mode(dir.join("bin/tool")), mode(dir.join("same"))), (0o750, 0o640, 0o640));
        assert!(resource.check().await.unwrap().in_sync());
        fs::write(dir.join("bin/other"), "mine").unwrap();
        assert!(resource.check().await.unwrap().in_sync());
        let ino = fs::metadata(dir.join("same")).unwrap().ino();
        fs::write(dir.join("bin/tool"), "bad\n").unwrap();
        fs::remove_file(dir.join("bin/t")).unwrap();
        symlink("other", dir.join("bin/t")).unwrap();
        fs::set_permissions(dir.join("same"), fs::Permissions::from_mode(0o4777)).unwrap();
        fs::set_permissions(dir.join("bin"), fs::Permissions::from_mode(0o777)).unwrap();
        let fields: Vec<_> = resource.settle().await.unwrap().changes.into_iter().map(|change| change.field).collect();
        assert_eq!(fields, ["bin: mode", "bin/tool", "bin/t", "same: mode"]);
        assert_eq!(fs::read(dir.join("bin/tool")).unwrap(), b"run\n");
        assert_eq!((mode(dir.join("bin")), mode(dir.join("same"))), (0o750, 0o640));
        assert_eq!(fs::metadata(dir.join("same")).unwrap().ino(), ino, "what does not differ is not written");
        assert_eq!(fs::read(dir.join("bin/other")).unwrap(), b"mine");
        assert!(resource.check().await.unwrap().in_sync());
    }
}

#[tokio::test]
async fn a_member_that_could_reach_outside_is_refused_by_its_name_before_anything_is_written() {
    let first = || Made::default().file("first", "1");
    let device = first().member("dev", EntryType::Char, 0o666, "", b"");
    let block = first().member("dev", EntryType::Block, 0o666, "", b"");
    let pipe = first().member("pipe", EntryType::Fifo, 0o666, "", b"");
    let hard = |to| first().member("hard", EntryType::Link, 0, to, b"");
    for (made, wanted) in [
        (first().file("../out", "x"), "its member `../out` has `..` in its name"),
        (first().file("a/../../out", "x"), "its member `a/../../out` has `..` in its name"),
        (first().file("/etc/out", "x"), "its member `/etc/out` has an absolute name"),
        (first().symlink("l", "/etc"), "its member `l` is a symlink to /etc, which is absolute"),
        (first().symlink("a/l", "../../x"), "its member `a/l` is a symlink to ../../x, which is outside"),
        (
            first().symlink("d", ".").symlink("l", "d/.."),
            "its member `l` is a symlink to d/.., with `..` in the middle",
        ),
        (first().symlink("l", "d").file("l/f", "x"), "its member `l/f` lies below l, which is no directory"),
        (first().file("l/f", "x").symlink("l", "d"), "its member `l/f` lies below l, which is no directory"),
        (first().file("first", "2"), "its member `first` is in it twice"),
        (first().symlink("first", "x"), "its member `first` is in it twice"),
        (hard("/etc/passwd"), "is a hard link to a name that has an absolute name"),
        (hard("../x"), "is a hard link to a name that has `..` in its name"),
        (hard("later"), "is a hard link to later, which is no file that comes before it"),
        (device, "its member `dev` is a device"),
        (block, "its member `dev` is a device"),
        (pipe, "its member `pipe` is a pipe"),
        (first().member("what", EntryType::new(b'Z'), 0, "", b""), "has the unknown type 'Z'"),
    ] {
        let error = refusal(&made.bytes()).await;
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
}

#[tokio::test]
async fn what_is_no_whole_archive_is_refused() {
    for (bytes, wanted) in [
        (Vec::new(), "it is empty"),
        (b"hello ".repeat(200), "can't be unpacked"),
        (usual().bytes()[..1100].to_vec(), "can't be unpacked"),
        (
            {
                let all = usual().squeezed();
                all[..all.len() - 6].to_vec()
            },
            "can't be unpacked",
        ),
        (
            {
                let mut all = usual().squeezed();
                let at = all.len() - 6;
                all[at] ^= 1;
                all
            },
            "can't be unpacked",
        ),
    ] {
        let error = refusal(&bytes).await;
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
}

#[tokio::test]
async fn the_limits_hold_and_the_headers_of_a_member_too() {
    let host = Fake::new().unwrap();
    let zeros = vec![0; 8 << 20];
    let bomb = Made::default().member("zeros", EntryType::Regular, 0o644, "", &zeros).squeezed();
    assert!(bomb.len() < 100_000);
    let (dir, resource) = unpack(&host, &bomb);
    let error = host.put(resource.bytes_max(1u64 << 20)).settle().await.unwrap_err().to_string();
    assert!(error.contains("it has more than 1048576 bytes, uncompressed (`bytes_max`)"), "{error}");
    let (_, resource) = unpack(&host, &usual().bytes());
    let error = host.put(resource.members_max(4u32)).settle().await.unwrap_err().to_string();
    assert!(error.contains("it has more than 4 members (`members_max`)"), "{error}");
    // A name of eight megabytes.
    let long = Made::default().member("././@LongLink", EntryType::GNULongName, 0, "", &vec![b'a'; 8 << 20]);
    let (_, resource) = unpack(&host, &long.file("f", "x").squeezed());
    let error = host.put(resource).settle().await.unwrap_err().to_string();
    assert!(error.contains("the headers of a member have more than 1048576 bytes"), "{error}");
    assert!(!dir.exists());
}

#[tokio::test]
async fn a_wrong_sum_and_a_missing_archive_change_nothing() {
    let host = Fake::new().unwrap();
    let bytes = usual().squeezed();
    let (dir, resource) = unpack(&host, &bytes);
    let right: String = <sha2::Sha256 as sha2::Digest>::digest(&bytes).iter().map(|b| format!("{b:02X}")).collect();
    let error = host.put(resource.sha256("0".repeat(64))).settle().await.unwrap_err();
    assert!(error.obstacle().is_some() && error.to_string().contains("its SHA-256 is "), "{error}");
    assert!(!dir.exists());
    let (_, resource) = unpack(&host, &bytes);
    let resource = host.put(resource.sha256(right));
    resource.settle().await.unwrap();
    fs::remove_file(host.path("archive")).unwrap();
    let error = resource.check().await.unwrap_err();
    assert!(error.obstacle().is_some() && error.to_string().contains("does not exist"), "{error}");
    assert!(dir.join("same").exists());
}

#[tokio::test]
async fn a_symlink_on_disk_is_not_followed() {
    let host = Fake::new().unwrap();
    let (dir, resource) = unpack(&host, &usual().bytes());
    fs::create_dir(&dir).unwrap();
    fs::create_dir(host.path("elsewhere")).unwrap();
    symlink(host.path("elsewhere"), dir.join("bin")).unwrap();
    let resource = host.put(resource);
    let error = resource.settle().await.unwrap_err();
    assert!(
        error.obstacle().is_some() && error.to_string().contains("is a symlink where the archive has a"),
        "{error}"
    );
    assert_eq!(fs::read_dir(host.path("elsewhere")).unwrap().count(), 0);
    fs::remove_file(dir.join("bin")).unwrap();
    // In place of a file, the link itself is replaced.
    fs::write(host.path("elsewhere/f"), "kept").unwrap();
    symlink(host.path("elsewhere/f"), dir.join("same")).unwrap();
    resource.settle().await.unwrap();
    assert_eq!(fs::read(host.path("elsewhere/f")).unwrap(), b"kept");
    assert!(fs::symlink_metadata(dir.join("same")).unwrap().is_file());
    fs::remove_file(dir.join("same")).unwrap();
    fs::create_dir(dir.join("same")).unwrap();
    let error = resource.settle().await.unwrap_err().to_string();
    assert!(error.contains("is a directory where the archive has a"), "{error}");
}

#[tokio::test]
async fn a_repair_that_fails_leaves_whole_files_and_no_temporary_one() {
    let host = Fake::new().unwrap();
    let (dir, resource) = unpack(&host, &Made::default().file("a", "1").file("b", "2").file("c", "3").bytes());
    let resource = host.put(resource);
    host.faults().fail(At::Every(Call::Write), 28);
    resource.settle().await.unwrap_err();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    host.faults().reset();
    resource.settle().await.unwrap();
    assert_eq!(fs::read(dir.join("c")).unwrap(), b"3");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 3);
}

#[tokio::test]
async fn another_version_of_the_archive_is_unpacked_over_the_first() {
    let host = Fake::new().unwrap();
    let (dir, resource) = unpack(&host, &Made::default().file("a", "1").file("b", "2").bytes());
    let resource = host.put(resource);
    resource.settle().await.unwrap();
    fs::write(host.path("archive"), Made::default().file("a", "3").dir("x", 0o500).file("x/y/z", "4").squeezed())
        .unwrap();
    resource.settle().await.unwrap();
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    assert_eq!((read("a"), read("b"), read("x/y/z")), ("3".into(), "2".into(), "4".into()));
    assert_eq!((mode(dir.join("x")), mode(dir.join("x/y"))), (0o500, 0o755));
    assert!(resource.check().await.unwrap().in_sync());
}

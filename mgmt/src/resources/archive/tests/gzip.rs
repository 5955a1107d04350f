//! Compressed files: what is in them, when they are written, and what a cancelled or killed write leaves.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::resources::archive::{Gzip, GzipBuilder};
use crate::sys::fs::{At, Call};
use crate::testing::Fake;

fn unpacked(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A compressed file and its input, which holds `bytes`.
fn pair(host: &Fake, bytes: &[u8]) -> (PathBuf, PathBuf, GzipBuilder) {
    let (input, output) = (host.path("in"), host.path("out.gz"));
    fs::write(&input, bytes).unwrap();
    let gzip = Gzip::new(text(&output)).input(text(&input));
    (input, output, gzip)
}

fn names(host: &Fake) -> Vec<String> {
    let dir = host.path("in").parent().unwrap().to_owned();
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_file_holds_its_input_and_nothing_of_the_time_or_the_name() {
    let host = Fake::new().unwrap();
    let (input, output, gzip) = pair(&host, b"hello\n");
    fs::set_permissions(&input, fs::Permissions::from_mode(0o750)).unwrap();
    let gzip = host.put(gzip);
    let applied = gzip.settle().await.unwrap();
    assert!(applied.changed);
    assert_eq!((applied.changes[0].field.as_str(), applied.changes[0].from.as_str()), ("content", "absent"));
    assert_eq!(unpacked(&output), b"hello\n");
    assert_eq!(fs::metadata(&output).unwrap().mode() & 0o777, 0o640, "no wider than its input");
    let bytes = fs::read(&output).unwrap();
    assert_eq!(bytes[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0], "no name, no time");
    let found = gzip.check().await.unwrap();
    assert!(found.in_sync());
    let sum: String = <sha2::Sha256 as sha2::Digest>::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(found.value(Gzip::SHA256).unwrap(), sum);
    let other = host.put(Gzip::new("a name").path(text(&host.path("other"))).content("hello\n"));
    other.settle().await.unwrap();
    assert_eq!(fs::read(host.path("other")).unwrap(), bytes, "the same from a text");
}

#[tokio::test]
async fn content_counts_and_not_the_time() {
    let host = Fake::new().unwrap();
    let (input, output, gzip) = pair(&host, &b"abc ".repeat(1000));
    let gzip = host.put(gzip);
    gzip.settle().await.unwrap();
    fs::write(&input, b"abc ".repeat(1000)).unwrap();
    assert!(gzip.check().await.unwrap().in_sync(), "a newer input with the same content");
    fs::write(&input, b"abd ".repeat(1000)).unwrap();
    assert!(gzip.settle().await.unwrap().changed);
    assert_eq!(unpacked(&output), b"abd ".repeat(1000));
    let at_9 = host.put(Gzip::new(text(&output)).input(text(&input)).level(0));
    assert!(at_9.settle().await.unwrap().changed, "another level has other bytes");
    assert!(fs::metadata(&output).unwrap().len() > 4000);
    fs::write(&output, "x").unwrap();
    assert!(at_9.settle().await.unwrap().changed);
    assert_eq!(unpacked(&output), b"abd ".repeat(1000));
}

#[tokio::test]
async fn a_missing_input_is_waited_for_and_leaves_the_output() {
    let host = Fake::new().unwrap();
    let (input, output, gzip) = pair(&host, b"x");
    let gzip = host.put(gzip);
    gzip.settle().await.unwrap();
    fs::remove_file(&input).unwrap();
    let error = gzip.check().await.unwrap_err();
    assert!(error.obstacle().is_some(), "{error}");
    assert!(error.to_string().contains("the input") && error.to_string().contains("does not exist"), "{error}");
    assert_eq!(unpacked(&output), b"x");
    fs::create_dir(&input).unwrap();
    assert!(gzip.check().await.unwrap_err().to_string().contains("is a directory: name a regular file"));
}

#[tokio::test]
async fn what_is_no_file_at_the_output_is_not_replaced() {
    let host = Fake::new().unwrap();
    let (input, output, gzip) = pair(&host, b"x");
    std::os::unix::fs::symlink(&input, &output).unwrap();
    let error = host.put(gzip).settle().await.unwrap_err();
    assert!(error.obstacle().is_some() && error.to_string().contains("is a symlink, which is not replaced"), "{error}");
    assert_eq!(fs::read(&input).unwrap(), b"x");
}

#[tokio::test]
async fn a_write_that_fails_leaves_the_old_file_and_no_other() {
    let host = Fake::new().unwrap();
    let (input, output, gzip) = pair(&host, b"one");
    let gzip = host.put(gzip);
    gzip.settle().await.unwrap();
    fs::write(&input, b"two").unwrap();
    host.faults().fail(At::Every(Call::Write), 28);
    gzip.settle().await.unwrap_err();
    assert_eq!((unpacked(&output).as_slice(), names(&host)), (&b"one"[..], vec!["in".into(), "out.gz".into()]));
    host.faults().reset();
    gzip.settle().await.unwrap();
    assert_eq!(unpacked(&output), b"two");
}

#[tokio::test]
async fn a_large_input_is_compressed_once() {
    let host = Fake::new().unwrap();
    let (input, output, gzip) = pair(&host, b"");
    let bytes = 64 << 20;
    fs::File::options().write(true).open(&input).unwrap().set_len(bytes).unwrap();
    let gzip = host.put(gzip.level(1));
    gzip.settle().await.unwrap();
    assert!(fs::metadata(&output).unwrap().len() < bytes / 100);
    // Once the files have been quiet for two seconds, a check reads neither of them.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert!(gzip.check().await.unwrap().in_sync());
    let reads = host.faults().count(Call::Read);
    assert!(gzip.check().await.unwrap().in_sync());
    assert_eq!(host.faults().count(Call::Read), reads);
}

#[tokio::test]
async fn what_is_only_sent_is_the_same_as_what_would_be_written_and_has_a_limit() {
    let host = Fake::new().unwrap();
    let (input, output, gzip) = pair(&host, b"hello\n");
    host.put(gzip).settle().await.unwrap();
    let written = fs::read(&output).unwrap();
    fs::remove_file(&output).unwrap();
    let sent = host.put(Gzip::new("no path").input(text(&input)).sendonly(true));
    let found = sent.check().await.unwrap();
    assert!(found.in_sync() && names(&host) == ["in"]);
    assert_eq!(found.value(Gzip::COMPRESSED).unwrap(), written);
    let sum = crate::resources::digests::hex(&<sha2::Sha256 as sha2::Digest>::digest(&written).into());
    assert_eq!(found.value(Gzip::SHA256).unwrap(), sum);
    fs::write(&input, "other").unwrap();
    assert_ne!(sent.check().await.unwrap().value(Gzip::COMPRESSED).unwrap(), written);
    // Not compressed, and larger than the limit with its frame.
    fs::File::options().write(true).open(&input).unwrap().set_len(16 << 20).unwrap();
    sent.check().await.unwrap();
    let error = host.put(Gzip::new("x").input(text(&input)).sendonly(true).level(0)).check().await.unwrap_err();
    assert!(error.to_string().contains("more than 16 MiB, the most that is sent as a value"), "{error}");
}

#[tokio::test]
async fn wrong_fields_are_reported() {
    let host = Fake::new().unwrap();
    for (gzip, problem) in [
        (Gzip::new("/a").input("/a"), "is the compressed file itself"),
        (Gzip::new("/a"), "both or none are given"),
        (Gzip::new("/a").input("/b").content("c"), "both or none are given"),
        (Gzip::new("/a").content("c").level(10), "is 10"),
        (Gzip::new("a/").content("c"), "is not absolute"),
        (Gzip::new("a").path("/a").content("c").sendonly(true), "are both given"),
    ] {
        let found = host.put(gzip).validate();
        assert!(found.iter().any(|found| found.to_string().contains(problem)), "{problem}: {found:?}");
    }
}

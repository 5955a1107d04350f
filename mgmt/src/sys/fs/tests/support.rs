//! Parts that the tests of the doors share.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) use crate::sys::fs::*;

/// A new directory that only we can enter, removed when dropped.
pub(super) fn temp_dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Like [`temp_dir`], but in memory if the machine has a place for that: for thousands of changes that need no disk.
pub(super) fn fast_temp_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| temp_dir())
}

/// The permission bits of the object at `path`; a symlink is not followed.
pub(super) fn mode_of(path: impl AsRef<Path>) -> u32 {
    std::fs::symlink_metadata(path).expect("it exists").mode() & 0o7777
}

/// The names in a directory, sorted.
pub(super) fn names(dir: impl AsRef<Path>) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

pub(super) fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).expect("a readable file")
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A directory that all users can write, like `/tmp`, inside a private one.
pub(super) fn public_dir(below: &Path) -> PathBuf {
    let dir = below.join("public");
    std::fs::create_dir(&dir).expect("a directory");
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o1777)).expect("a mode");
    dir
}

/// A command that runs one test of this binary again, in a process of its own. `test` is its path below these tests.
/// The binary is found even as another user, wherever it is.
pub(super) fn again(test: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args([&format!("sys::fs::tests::{test}"), "--exact", "--include-ignored", "--nocapture"]);
    command
}

/// Runs the command; fails with its output unless it ran one test, which passed.
pub(super) fn must_pass(command: &mut Command) {
    let output = command.output().expect("it starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{}\n{out}\n{err}", output.status);
}

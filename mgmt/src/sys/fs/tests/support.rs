//! What the tests of the doors share.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub(super) use crate::sys::fs::*;

/// A new directory that only we can enter, removed when dropped.
pub(super) fn temp_dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// The permission bits of what is at `path` itself.
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

/// A directory for everybody, as `/tmp` is, below a private one.
pub(super) fn public_dir(below: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let dir = below.join("public");
    std::fs::create_dir(&dir).expect("a directory");
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o1777)).expect("a mode");
    dir
}

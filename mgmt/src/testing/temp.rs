//! A temporary directory that is removed with its value.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::sys::rng;

/// A new directory in the system's directory for temporary files. Only this user can enter it; it is removed with its
/// content when the value is dropped.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Creates a directory.
    ///
    /// # Errors
    /// The error of the system.
    pub fn new() -> io::Result<TempDir> {
        let mut random = [0; 8];
        rng::fill(&mut random)?;
        let path = std::env::temp_dir().join(format!("mgmt-test-{:016x}", u64::from_ne_bytes(random)));
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        // The path must not contain links (`/tmp` is one on some systems), so that it can be compared.
        Ok(TempDir(path.canonicalize()?))
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A test may have removed its own permission to remove its files. What is left is in the system's temporary
        // directory, where that is tolerable.
        drop(fs::remove_dir_all(&self.0));
    }
}

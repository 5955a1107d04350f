//! A directory that goes with its owner.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::sys::rng;

/// A new directory below the system's for temporary files, which only this user can enter; removed with all that is in
/// it when it is dropped.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes one.
    ///
    /// # Errors
    /// What the system said.
    pub fn new() -> io::Result<TempDir> {
        let mut random = [0; 8];
        rng::fill(&mut random)?;
        let path = std::env::temp_dir().join(format!("mgmt-test-{:016x}", u64::from_ne_bytes(random)));
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        // What is compared must not depend on links on the way (`/tmp` is one on some systems).
        Ok(TempDir(path.canonicalize()?))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A test may have taken its own right to remove what it made; what is left is in the system's directory for
        // such things.
        drop(fs::remove_dir_all(&self.0));
    }
}

//! The working directory of an engine, or of a program on the command line.

use std::io;
use std::path::{Path, PathBuf};

use crate::sys::rng;

/// A working directory. A temporary one is removed with its content when this is dropped.
#[derive(Debug)]
pub(crate) struct Prefix {
    path: PathBuf,
    temporary: bool,
}

impl Prefix {
    /// This directory, which stays.
    pub(crate) fn at(path: &Path) -> io::Result<Prefix> {
        Ok(Prefix { path: std::path::absolute(path)?, temporary: false })
    }

    /// A new path for a temporary directory, whose name begins with `name`. Nothing is created.
    pub(crate) fn temporary(name: &str) -> io::Result<Prefix> {
        let letters = rng::letters(16, "abcdefghijklmnopqrstuvwxyz0123456789")?;
        let path = std::env::temp_dir().join(format!("{name}-{}", &*letters).replace('/', "_"));
        Ok(Prefix { path, temporary: true })
    }

    /// The given directory, otherwise a temporary one.
    pub(crate) fn new(given: Option<&Path>) -> io::Result<Prefix> {
        given.map_or_else(|| Prefix::temporary("mgmt"), Prefix::at)
    }

    /// The directory is removed in the end.
    pub(crate) fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// The path of the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Prefix {
    fn drop(&mut self) {
        if self.temporary && self.path.exists() {
            // The directory is below the system's temporary directory: what can't be removed is left to the cleaning of
            // that.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

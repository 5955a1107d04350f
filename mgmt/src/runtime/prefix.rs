//! The working directory of an engine, or of a program on the command line.

use std::io;
use std::path::{Path, PathBuf};

use crate::sys::{if_simulated, rng};

/// A working directory. A temporary one is removed with its content when this is dropped.
#[derive(Debug)]
pub(crate) struct Prefix {
    path: PathBuf,
    sort: Sort,
}

#[derive(Debug, PartialEq, Eq)]
enum Sort {
    Permanent,
    Temporary,
    /// On a simulated host, whose journal is kept elsewhere.
    #[cfg(any(test, feature = "testing"))]
    Simulated,
}

impl Prefix {
    /// This directory, which stays.
    pub(crate) fn at(path: &Path) -> io::Result<Prefix> {
        Ok(Prefix { path: std::path::absolute(path)?, sort: Sort::Permanent })
    }

    /// A new path for a temporary directory, whose name begins with `name`. Nothing is created.
    pub(crate) fn temporary(name: &str) -> io::Result<Prefix> {
        let letters = rng::letters(16, "abcdefghijklmnopqrstuvwxyz0123456789")?;
        let path = std::env::temp_dir().join(format!("{name}-{}", &*letters).replace('/', "_"));
        Ok(Prefix { path, sort: Sort::Temporary })
    }

    /// The given directory, otherwise a temporary one.
    pub(crate) fn new(given: Option<&Path>) -> io::Result<Prefix> {
        if_simulated!(_host => Ok(Prefix {
            path: given.unwrap_or(Path::new("/var/lib/mgmt")).to_owned(),
            sort: Sort::Simulated,
        }));
        given.map_or_else(|| Prefix::temporary("mgmt"), Prefix::at)
    }

    /// The directory does not outlive this.
    pub(crate) fn is_temporary(&self) -> bool {
        self.sort != Sort::Permanent
    }

    /// The path of the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Prefix {
    fn drop(&mut self) {
        if self.sort == Sort::Temporary && self.path.exists() {
            // The directory is below the system's temporary directory: what can't be removed is left to the cleaning of
            // that.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

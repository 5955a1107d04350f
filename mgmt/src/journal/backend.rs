//! The file below the database, and the seam where tests let it fail.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use redb::StorageBackend;

/// A moment at which writing can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The n-th commit is about to begin, counted from 1.
    Commit(u64),
    /// The n-th commit is on disk, but nobody has been told yet.
    Committed(u64),
    /// Something is about to be read from the file.
    Read,
    /// Something is about to be written into the file.
    Write,
    /// The file is about to change its length.
    Resize,
    /// The file is about to be synced.
    Sync,
}

/// For tests: asked at every step; an error it returns is what the disk said.
pub type Fault = Arc<dyn Fn(Step) -> io::Result<()> + Send + Sync>;

/// A database file. It takes no lock of its own: whoever has it open holds the lock of the prefix.
pub(super) struct Backend {
    file: File,
    fault: Option<Fault>,
}

impl Backend {
    pub(super) fn new(file: File, fault: Option<Fault>) -> Backend {
        Backend { file, fault }
    }

    fn at(&self, step: Step) -> io::Result<()> {
        self.fault.as_ref().map_or(Ok(()), |fault| fault(step))
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.at(Step::Read)?;
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.at(Step::Resize)?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.at(Step::Sync)?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.at(Step::Write)?;
        self.file.write_all_at(data, offset)
    }
}

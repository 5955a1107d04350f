//! The file below the database, with a hook through which tests make it fail.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// A point at which writing can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The n-th commit is about to begin, counted from 1.
    Commit(u64),
    /// The n-th commit is on disk, but its waiters have not been notified yet.
    Committed(u64),
    /// The file is about to be read.
    Read,
    /// The file is about to be written.
    Write,
    /// The file is about to be resized.
    Resize,
    /// The file is about to be synced.
    Sync,
}

/// For tests: called at every step; the error that it returns is taken for the disk's.
pub type Fault = Arc<dyn Fn(Step) -> io::Result<()> + Send + Sync>;

/// A database file. It has no lock of its own: opening it requires the lock of the prefix.
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

/// A database file for a journal that is only read: the database's repairs stay in memory, and the file does not
/// change.
pub(super) struct Reading {
    backend: Backend,
    written: Mutex<Written>,
}

struct Written {
    len: u64,
    /// The length of the file that is still visible.
    file_len: u64,
    /// Pieces with their offsets; later pieces overwrite earlier ones.
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Reading {
    pub(super) fn new(backend: Backend) -> io::Result<Reading> {
        let len = backend.len()?;
        Ok(Reading { backend, written: Mutex::new(Written { len, file_len: len, pieces: Vec::new() }) })
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.backend.fmt(f)
    }
}

impl StorageBackend for Reading {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written();
        let end = offset.saturating_add(out.len() as u64);
        if end > written.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // After the end of the file there are the pieces in memory, and zeros elsewhere.
        let there = written.file_len.saturating_sub(offset).min(out.len() as u64) as usize;
        let (from_file, rest) = out.split_at_mut(there);
        if !from_file.is_empty() {
            self.backend.read(offset, from_file)?;
        }
        rest.fill(0);
        for (at, piece) in &written.pieces {
            let (from, to) = ((*at).max(offset), (at + piece.len() as u64).min(end));
            if from < to {
                let size = (to - from) as usize;
                let (out_at, piece_at) = ((from - offset) as usize, (from - at) as usize);
                out[out_at..out_at + size].copy_from_slice(&piece[piece_at..piece_at + size]);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut written = self.written();
        written.len = len;
        // Bytes that were cut off must not reappear when the file grows again.
        written.file_len = written.file_len.min(len);
        for (at, piece) in &mut written.pieces {
            piece.truncate(len.saturating_sub(*at) as usize);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written();
        written.len = written.len.max(offset + data.len() as u64);
        written.pieces.retain(|(at, piece)| *at != offset || piece.len() > data.len());
        written.pieces.push((offset, data.to_vec()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_the_file_stays_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        let reading = Reading::new(Backend::new(File::open(&path).unwrap(), None)).unwrap();
        let all = || {
            let mut out = vec![0xff; reading.len().unwrap() as usize];
            reading.read(0, &mut out).unwrap();
            String::from_utf8(out).unwrap().replace('\0', "_")
        };
        reading.write(2, b"abcd").unwrap();
        reading.write(4, b"XY").unwrap();
        reading.write(2, b"ef").unwrap();
        assert_eq!(all(), "01efXY6789");
        reading.write(9, b"behind").unwrap();
        assert_eq!(all(), "01efXY678behind");
        reading.set_len(5).unwrap();
        reading.set_len(8).unwrap();
        assert_eq!(all(), "01efX___");
        let mut out = [0; 4];
        reading.read(3, &mut out).unwrap();
        assert_eq!(&out, b"fX\0\0");
        assert_eq!(reading.read(5, &mut out).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(std::fs::read(&path).unwrap(), b"0123456789");
    }
}

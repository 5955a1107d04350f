//! The executable that is sent to hosts: this very one, or another file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Compression;
use flate2::read::GzEncoder;
use sha2::{Digest as _, Sha256};

use super::elf::Needs;
use crate::sys::task::blocking;

/// The file that this process runs, also when another one has taken its place on disk.
const THIS: &str = "/proc/self/exe";
/// The bytes that are read at once.
const PIECE: usize = 256 << 10;
/// The longest file name that is kept there.
const NAME_BYTES_MAX: usize = 64;

/// An executable that is sent to hosts. A clone is the same one.
#[derive(Clone)]
pub struct Executable(Arc<Inner>);

struct Inner {
    file: File,
    shown: PathBuf,
    name: String,
    bytes: u64,
    sha256: String,
    needs: Needs,
    /// It compressed, made when it is wanted first: for all hosts at once.
    packed: Mutex<Option<Arc<[u8]>>>,
}

impl Executable {
    /// The executable of this process.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn this() -> io::Result<Executable> {
        let shown = std::env::current_exe().unwrap_or_else(|_| THIS.into());
        Executable::open(THIS.into(), shown).await
    }

    /// The executable at this path.
    ///
    /// # Errors
    /// It can't be read, or is no executable of Linux.
    pub async fn at(path: impl Into<PathBuf>) -> io::Result<Executable> {
        let path = path.into();
        Executable::open(path.clone(), path).await
    }

    async fn open(path: PathBuf, shown: PathBuf) -> io::Result<Executable> {
        blocking(move || {
            let file = File::open(path)?;
            if !file.metadata()?.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
            }
            let needs = Needs::of(&file)?;
            let (mut hasher, mut bytes) = (Sha256::new(), 0);
            let mut reader = At { file: &file, at: 0 };
            let mut buffer = vec![0; PIECE];
            loop {
                match reader.read(&mut buffer)? {
                    0 => break,
                    count => {
                        hasher.update(&buffer[..count]);
                        bytes += count as u64;
                    }
                }
            }
            let sha256 = hex(&hasher.finalize());
            let name = file_name(&shown);
            Ok(Executable(Arc::new(Inner { file, shown, name, bytes, sha256, needs, packed: Mutex::new(None) })))
        })
        .await
    }

    /// Its SHA-256, in hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.0.sha256
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// Where it is here.
    pub fn path(&self) -> &Path {
        &self.0.shown
    }

    /// The name of its file there.
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    pub(super) fn needs(&self) -> &Needs {
        &self.0.needs
    }

    /// The bytes as they are, from this place on: at most as many as are read at once, none at the end.
    pub(super) async fn piece(&self, at: u64) -> io::Result<Vec<u8>> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            let mut buffer = vec![0; PIECE];
            let count = inner.file.read_at(&mut buffer, at)?;
            buffer.truncate(count);
            Ok(buffer)
        })
        .await
    }

    /// All of it, compressed as by gzip.
    pub(super) async fn packed(&self) -> io::Result<Arc<[u8]>> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            // Other hosts wait for the first one.
            let mut packed = inner.packed.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(packed) = &*packed {
                return Ok(Arc::clone(packed));
            }
            let mut bytes = Vec::new();
            GzEncoder::new(At { file: &inner.file, at: 0 }, Compression::fast()).read_to_end(&mut bytes)?;
            Ok(Arc::clone(packed.insert(bytes.into())))
        })
        .await
    }
}

impl fmt::Debug for Executable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Executable({}, {})", self.path().display(), self.sha256())
    }
}

/// Reads a file without moving the place that all its users share.
struct At<'a> {
    file: &'a File,
    at: u64,
}

impl io::Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name of the file, with nothing in it that needs care in a shell or a list of processes.
fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(" (deleted)").unwrap_or(&name);
    let name: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(NAME_BYTES_MAX).collect();
    match name.trim_start_matches(['.', '-']) {
        "" => "program".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn a_file_keeps_the_harmless_part_of_its_name() {
        for (path, name) in [
            ("/usr/bin/mgmt", "mgmt"),
            ("/x/my program (deleted)", "myprogram"),
            ("/x/..", "program"),
            ("/x/.-a'b;c", "abc"),
            ("/x/ä", "program"),
        ] {
            assert_eq!(file_name(Path::new(path)), name, "{path}");
        }
    }

    #[tokio::test]
    async fn an_executable_is_packed_once_and_is_the_same_when_it_is_unpacked_or_read_in_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::copy("/bin/sh", &path).unwrap();
        let executable = Executable::at(&path).await.unwrap();
        let content = std::fs::read(&path).unwrap();
        assert_eq!((executable.bytes(), executable.name()), (content.len() as u64, "x"));
        assert_eq!(executable.sha256(), hex(&Sha256::digest(&content)));
        // What happens to the name does not matter any more.
        std::fs::remove_file(&path).unwrap();
        let (packed, again) = (executable.packed().await.unwrap(), executable.packed().await.unwrap());
        assert!(Arc::ptr_eq(&packed, &again));
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == content);
        let mut pieces = Vec::new();
        loop {
            match executable.piece(pieces.len() as u64).await.unwrap() {
                piece if piece.is_empty() => break,
                piece => pieces.extend(piece),
            }
        }
        assert!(pieces == content);
    }

    #[tokio::test]
    async fn this_executable_is_found_and_what_is_none_is_refused() {
        assert!(Executable::this().await.unwrap().bytes() > 0);
        let dir = tempfile::tempdir().unwrap();
        assert!(Executable::at(dir.path()).await.is_err());
        assert!(Executable::at(dir.path().join("none")).await.is_err());
        let mut file = std::fs::File::create(dir.path().join("script")).unwrap();
        file.write_all(b"#!/bin/sh\n").unwrap();
        let error = Executable::at(dir.path().join("script")).await.unwrap_err();
        assert!(error.to_string().contains("no executable of Linux"));
    }
}

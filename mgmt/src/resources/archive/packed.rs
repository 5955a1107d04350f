//! The bytes of an archive, made piece by piece: the same at any time and on any host.

use std::io::{self, Read};
use std::path::PathBuf;

use crate::resource::{Digest, Stopping};
use crate::resources::archive::contents::{Contents, Input};
use crate::resources::archive::format::{BLOCK_BYTES, TarFormat};
use crate::resources::archive::member::What;
use crate::resources::archive::original::Original;
use crate::sys::fs::{FsError, ReadFs};

/// Reads an archive that holds these members. Ends with an error if a file is no longer as it was when the members were
/// collected, or if the work must stop.
pub(super) struct Packed<'a> {
    pub(super) fs: &'a ReadFs,
    pub(super) inputs: &'a [Input],
    pub(super) contents: &'a Contents,
    pub(super) format: TarFormat,
    pub(super) stop: &'a Stopping,
    at: At<'a>,
    /// What comes next, before anything else.
    block: io::Cursor<Vec<u8>>,
}

/// What comes after the present block.
enum At<'a> {
    /// The member with this number.
    Member(usize),
    /// The content of a file, and then the member with this number.
    File(Box<File<'a>>, usize),
    End,
}

struct File<'a> {
    from: Original<'a>,
    path: PathBuf,
    /// How many bytes of its content come yet, and how many it has.
    left: u64,
    size: u64,
    digest: Digest,
}

impl<'a> Packed<'a> {
    pub(super) fn new(
        fs: &'a ReadFs,
        inputs: &'a [Input],
        contents: &'a Contents,
        format: TarFormat,
        stop: &'a Stopping,
    ) -> Packed<'a> {
        Packed { fs, inputs, contents, format, stop, at: At::Member(0), block: io::Cursor::default() }
    }

    /// The header of a member comes next, and then its content.
    fn begin(&mut self, number: usize) -> io::Result<At<'a>> {
        if self.stop.is_stopped() {
            return Err(io::Error::other("cancelled"));
        }
        let Some((input, member)) = self.contents.members.get(number) else {
            self.block = io::Cursor::new(vec![0; 2 * BLOCK_BYTES]);
            return Ok(At::End);
        };
        let path = self.inputs[*input as usize].base().join(&member.path);
        let head = self.format.head(member).map_err(io::Error::other)?;
        self.block = io::Cursor::new(head);
        let What::File { size, digest, .. } = member.what else { return Ok(At::Member(number + 1)) };
        let file = self.fs.open(&path).map_err(io::Error::other)?;
        if file.stat().size != size {
            return Err(changed(path));
        }
        let from = Original::file(file, self.stop);
        Ok(At::File(Box::new(File { from, path, left: size, size, digest }), number + 1))
    }
}

fn changed(path: PathBuf) -> io::Error {
    io::Error::other(FsError::Changed { path })
}

impl File<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.from.read(&mut into[..most])?;
        if n == 0 && most > 0 {
            return Err(changed(self.path.clone()));
        }
        self.left -= n as u64;
        Ok(n)
    }

    /// Checks that this was all of the file, and what it must be; returns what fills its last block.
    fn end(mut self) -> io::Result<Vec<u8>> {
        if self.from.read(&mut [0])? != 0 || self.from.digest() != self.digest {
            return Err(changed(self.path));
        }
        let size = self.size % BLOCK_BYTES as u64;
        Ok(vec![0; (BLOCK_BYTES as u64 - size) as usize % BLOCK_BYTES])
    }
}

impl Read for Packed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.block.read(into)?;
            if n > 0 || into.is_empty() {
                return Ok(n);
            }
            match std::mem::replace(&mut self.at, At::End) {
                At::End => return Ok(0),
                At::Member(number) => self.at = self.begin(number)?,
                At::File(mut file, next) if file.left > 0 => {
                    let n = file.read(into)?;
                    self.at = At::File(file, next);
                    return Ok(n);
                }
                At::File(file, next) => {
                    self.block = io::Cursor::new(file.end()?);
                    self.at = At::Member(next);
                }
            }
        }
    }
}

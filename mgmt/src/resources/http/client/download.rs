//! A download into the private directory of the resource, which continues where an earlier one was interrupted.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::resource::{ApplyCx, Context as _, Error, Result};
use crate::resources::digests::hex;
use crate::resources::http::client::request::{Answer, Body, Clients, Route, ask};
use crate::resources::http::client::version::{Fetched, Version};
use crate::sys::fs::{Attributes, FsError, WriteOptions};

/// What has come so far.
const PART: &str = "part";
/// Which version that is.
const PART_OF: &str = "part.json";
/// The number of bytes that are written and made durable at once. At most this many come twice if the engine is killed.
const PIECE: usize = 8 << 20;
const CHUNK: usize = 128 << 10;

/// Which body is being received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PartOf {
    url: String,
    version: Version,
}

/// What an earlier download has left.
struct Begun {
    version: Version,
    size: u64,
    hash: Sha256,
}

/// One download.
pub(super) struct Download<'a> {
    pub(super) cx: &'a ApplyCx,
    pub(super) route: Arc<Route>,
    /// The most bytes that may come.
    pub(super) size_max: u64,
}

impl Download<'_> {
    /// Fetches the whole body. Returns where it is, and what it is.
    pub(super) async fn run(&self) -> Result<(PathBuf, Fetched)> {
        let clients = self.cx.shared::<Clients>();
        let begun = self.begun().await.context("the part of an earlier download")?;
        let rest = begun.as_ref().map(|begun| (begun.size, &begun.version));
        let mut answer = ask(&clients, &self.route, None, rest).await?;
        if let Answer::NoRest = answer {
            answer = ask(&clients, &self.route, None, None).await?;
        }
        let (body, hash, size) = match (answer, begun) {
            (Answer::Rest(body), Some(begun)) => (body, begun.hash, begun.size),
            (Answer::Whole(body), _) => {
                self.start(&body.version).await?;
                (body, Sha256::new(), 0)
            }
            _ => return Err(no_body(&self.route.url)),
        };
        let version = body.version.clone();
        let sha256 = hex(&self.receive(body, hash, size).await?);
        Ok((self.part(), Fetched { url: self.route.url.clone(), version, sha256 }))
    }

    /// Receives a body. What has come remains if the rest does not.
    async fn receive(&self, mut body: Body, mut hash: Sha256, mut size: u64) -> Result<[u8; 32]> {
        self.fits(size.saturating_add(body.length.unwrap_or(0)))?;
        let mut piece = Vec::new();
        loop {
            let next = body.next().await;
            if let Ok(Some(bytes)) = &next {
                let bytes = bytes.as_ref();
                size += bytes.len() as u64;
                self.fits(size)?;
                hash.update(bytes);
                piece.extend_from_slice(bytes);
            }
            if piece.len() >= PIECE || !matches!(next, Ok(Some(_))) {
                self.append(std::mem::take(&mut piece)).await?;
            }
            if next?.is_none() {
                return Ok(hash.finalize().into());
            }
        }
    }

    fn fits(&self, size: u64) -> Result<()> {
        match size > self.size_max {
            true => Err(too_large(&self.route.url, self.size_max)),
            false => Ok(()),
        }
    }

    fn part(&self) -> PathBuf {
        self.cx.var_dir().join(PART)
    }

    /// What an earlier download of the same URL has left, if the server can continue it.
    async fn begun(&self) -> Result<Option<Begun>> {
        let (part, part_of, url) = (self.part(), self.cx.var_dir().join(PART_OF), self.route.url.clone());
        let look = self.cx.look(move |fs, stop| {
            let about = match fs.read_file(part_of, 64 << 10) {
                Ok(bytes) => serde_json::from_slice::<PartOf>(&bytes).ok(),
                Err(error) if error.is_missing() => None,
                Err(error) => return Err(error.into()),
            };
            let Some(about) = about.filter(|about| about.url == url && about.version.strong().is_some()) else {
                return Ok(None);
            };
            let mut file = match fs.open(part) {
                Ok(file) => file,
                Err(error) if error.is_missing() => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let (mut hash, mut size, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
            loop {
                stop.check()?;
                match file.read(&mut chunk)? {
                    0 => break,
                    n => {
                        hash.update(&chunk[..n]);
                        size += n as u64;
                    }
                }
            }
            Ok((size > 0).then_some(Begun { version: about.version, size, hash }))
        });
        look.await
    }

    /// Another body begins. What there is of a former one goes first, so that never a part of one has the name of
    /// another.
    async fn start(&self, version: &Version) -> Result<()> {
        let about = serde_json::to_vec(&PartOf { url: self.route.url.clone(), version: version.clone() })?;
        let (dir, part) = (self.cx.var_dir(), self.part());
        let started = self.cx.change(move |fs, _| -> Result<(), FsError> {
            fs.make_dirs(&dir, &Attributes::new().mode(0o700))?;
            fs.remove_file(&part)?;
            fs.write_file(dir.join(PART_OF), &about, &WriteOptions::new().mode(0o600))?;
            fs.write_file(&part, "", &WriteOptions::new().mode(0o600))?;
            Ok(())
        });
        started.await.context("the private directory")
    }

    async fn append(&self, piece: Vec<u8>) -> Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        let part = self.part();
        self.cx.change(move |fs, _| fs.append(part, &piece)).await.context("the private directory")
    }

    /// The part is not needed any more.
    pub(super) async fn discard(&self) -> Result<()> {
        let (part, part_of) = (self.part(), self.cx.var_dir().join(PART_OF));
        let removed = self.cx.change(move |fs, _| fs.remove_file(part).and_then(|_| fs.remove_file(part_of)));
        removed.await.map(drop).context("the private directory")
    }
}

/// The body is larger than declared.
pub(super) fn too_large(url: &str, size_max: u64) -> Error {
    Error::new(format!("`{url}`: the body has more than {size_max} bytes; if it may be larger, set `size_max`"))
}

/// The answer is one that only a request for a part or for another version allows.
pub(super) fn no_body(url: &str) -> Error {
    Error::new(format!("`{url}`: the server does not send the body"))
}

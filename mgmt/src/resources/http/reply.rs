//! Replies: a status, a text, or a file, with the headers that a browser needs to keep a copy.

use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::resource::{OwnState, OwnedPaths};
use crate::resources::http::body::{Body, CHUNK_BYTES};
use crate::resources::http::path::{RequestPath, encode};
use crate::sys::clock::wall;
use crate::sys::fs::{FileReader, FsError, ReadFs, Stat};
use crate::sys::listen::Activity;
use crate::sys::task::blocking;

/// A reply.
pub(super) type Reply = Response<Body>;

/// How long ago a file must have last changed for its times to identify its content for good.
const SETTLED: Duration = Duration::from_secs(2);
/// The file that is served for a directory.
const INDEX: &str = "index.html";

/// A reply with a status and its text.
pub(super) fn status(code: StatusCode) -> Reply {
    let text = format!("{} {}\n", code.as_u16(), code.canonical_reason().unwrap_or_default());
    let mut reply = Response::new(Body::Whole(text.into()));
    *reply.status_mut() = code;
    set(&mut reply, header::CONTENT_TYPE, "text/plain; charset=utf-8");
    reply
}

/// A reply with a status, its text and one more header.
pub(super) fn status_with(code: StatusCode, name: HeaderName, value: &str) -> Reply {
    let mut reply = status(code);
    set(&mut reply, name, value);
    reply
}

fn set(reply: &mut Reply, name: HeaderName, value: &str) {
    // A value that a header can't hold is not sent.
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}

/// Identifies a version, so that a client can ask whether its copy is still valid.
struct Version {
    etag: Option<String>,
    modified: Option<String>,
}

impl Version {
    /// Whether the client of this request has this version.
    fn is_known(&self, asked: &HeaderMap) -> bool {
        if let Some(tags) = asked.get(header::IF_NONE_MATCH) {
            let tags = tags.to_str().unwrap_or_default().split(',').map(str::trim);
            return tags
                .map(|tag| tag.strip_prefix("W/").unwrap_or(tag))
                .any(|tag| tag == "*" || Some(tag) == self.etag.as_deref());
        }
        // Clients send back the value that they were given: no need to parse the date.
        let since = asked.get(header::IF_MODIFIED_SINCE).and_then(|since| since.to_str().ok());
        since.is_some() && since == self.modified.as_deref()
    }

    fn reply(&self, asked: &HeaderMap, content_type: &str, body: Body) -> Reply {
        let mut reply = Response::new(body);
        if self.is_known(asked) {
            reply = Response::new(Body::empty());
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            set(&mut reply, header::CONTENT_TYPE, content_type);
            set(&mut reply, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        }
        for (name, value) in [(header::ETAG, &self.etag), (header::LAST_MODIFIED, &self.modified)] {
            if let Some(value) = value {
                set(&mut reply, name, value);
            }
        }
        reply
    }
}

/// A reply with a text.
pub(super) fn text(data: &Arc<str>, path: &Path, asked: &HeaderMap) -> Reply {
    let version = Version { etag: Some(digest_tag(data.as_bytes())), modified: None };
    let content_type = content_type(path).unwrap_or("text/plain; charset=utf-8");
    version.reply(asked, content_type, Body::Whole(data.as_bytes().to_vec().into()))
}

/// What is at a path of the file system.
enum Found {
    /// A small file, with its content.
    Small(Stat, Vec<u8>),
    Large(FileReader),
    /// A directory, asked for without the slash that its relative links need.
    NoSlash,
    Nothing,
    Forbidden,
    /// Only for users who may see what is protected.
    Closed,
}

/// The file at `base`, or at `rest` below it. `url` is the requested path. Anything that is, with symlinks resolved, at
/// or below `closed` in `base` is not served: 401. What the engine keeps in its working directory is not served
/// either: 404.
pub(super) async fn file(
    owned: Arc<OwnedPaths>,
    base: PathBuf,
    rest: PathBuf,
    url: &RequestPath,
    asked: &HeaderMap,
    closed: Option<PathBuf>,
    activity: Arc<Activity>,
) -> Reply {
    let (slash, source) = (url.slash, base.clone());
    let found = blocking(move || {
        let own = owned.own_state(&ReadFs::new());
        look(&own, (&base, &rest), slash, closed.as_deref())
    })
    .await;
    let (stat, etag, body) = match found {
        Ok(Found::Small(stat, bytes)) => (stat, Some(digest_tag(&bytes)), Body::Whole(bytes.into())),
        Ok(Found::Large(file)) => (file.stat().clone(), stat_tag(file.stat()), Body::file(file, activity)),
        Ok(Found::NoSlash) => {
            let place = format!("{}/", encode(&url.path));
            return status_with(StatusCode::MOVED_PERMANENTLY, header::LOCATION, &place);
        }
        Ok(Found::Nothing) => return status(StatusCode::NOT_FOUND),
        Ok(Found::Closed) => return status(StatusCode::UNAUTHORIZED),
        Ok(Found::Forbidden) => return status(StatusCode::FORBIDDEN),
        Err(error) => {
            tracing::warn!(target: "mgmt::http", %error, "a file can't be served");
            return status(StatusCode::INTERNAL_SERVER_ERROR);
        }
    };
    let modified = u64::try_from(stat.mtime_ns).ok().map(|ns| UNIX_EPOCH + Duration::from_nanos(ns));
    // The file may change once more within the second that the date names.
    let modified = modified.filter(|modified| is_settled(*modified)).map(httpdate::fmt_http_date);
    let content_type = match slash {
        true => content_type(Path::new(INDEX)),
        false => content_type(&url.path).or_else(|| content_type(&source)),
    };
    Version { etag, modified }.reply(asked, content_type.unwrap_or("application/octet-stream"), body)
}

/// A tag that identifies a content.
fn digest_tag(bytes: &[u8]) -> String {
    let digest: String = Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digest}\"")
}

/// A tag that identifies a version of a large file: any write changes the time of its last change, which no program can
/// set. While another write may come within the same tick of the clock, there is no such tag.
fn stat_tag(stat: &Stat) -> Option<String> {
    let changed = UNIX_EPOCH + Duration::from_nanos(u64::try_from(stat.ctime_ns).ok()?);
    is_settled(changed).then(|| format!("\"{:x}-{:x}-{:x}-{:x}\"", stat.mtime_ns, stat.ctime_ns, stat.size, stat.ino))
}

/// The moment is long enough ago.
fn is_settled(moment: SystemTime) -> bool {
    wall().duration_since(moment).is_ok_and(|since| since >= SETTLED)
}

/// Finds the file, and maps errors to replies. Blocks.
fn look(own: &OwnState, at: (&Path, &Path), slash: bool, closed: Option<&Path>) -> Result<Found, FsError> {
    match look_plainly(own, at, slash, closed) {
        Err(error) if error.is_missing() => Ok(Found::Nothing),
        // A path that continues beyond a file, that is invalid, or that leads to something other than a file. Symlinks
        // that are not trusted are not followed.
        Err(FsError::BadPath { .. } | FsError::WrongType { .. } | FsError::Symlink { .. }) => Ok(Found::Nothing),
        Err(error) => match error.errno().map(|errno| io::Error::from_raw_os_error(errno).kind()) {
            Some(ErrorKind::NotADirectory | ErrorKind::InvalidFilename | ErrorKind::CrossesDevices) => {
                Ok(Found::Nothing)
            }
            Some(ErrorKind::PermissionDenied) => Ok(Found::Forbidden),
            _ => Err(error),
        },
        found => found,
    }
}

fn look_plainly(
    own: &OwnState,
    (base, rest): (&Path, &Path),
    slash: bool,
    closed: Option<&Path>,
) -> Result<Found, FsError> {
    let system = ReadFs::new();
    let base = system.real_path(base)?;
    if is_in(own, &system, &base)? {
        return Ok(Found::Nothing);
    }
    let is_dir = system.stat(&base)?.is_some_and(|stat| stat.is_dir());
    if !is_dir {
        let whole = rest.as_os_str().is_empty() && !slash;
        return if whole { open(&system, &base) } else { Ok(Found::Nothing) };
    }
    // From here on, no symlink leads out of the directory.
    let below = ReadFs::below(&base)?;
    let path = below.real_path(Path::new("/").join(rest))?;
    let closed = closed.map(|closed| Path::new("/").join(closed));
    let really = closed.as_ref().and_then(|closed| below.real_path(closed).ok());
    let is_closed = |path: &Path| closed.iter().chain(&really).any(|closed| path.starts_with(closed));
    let stat = below.stat(&path)?;
    let is_dir = stat.as_ref().is_some_and(Stat::is_dir);
    let path = if is_dir && slash { below.real_path(path.join(INDEX))? } else { path };
    match stat {
        _ if is_in(own, &below, &path)? => Ok(Found::Nothing),
        _ if is_closed(&path) => Ok(Found::Closed),
        None => Ok(Found::Nothing),
        Some(_) if is_dir && !slash => Ok(Found::NoSlash),
        Some(_) if !is_dir && slash => Ok(Found::Nothing),
        Some(_) => open(&below, &path),
    }
}

/// Whether the path, which has no symlinks, leads to what belongs to the engine in its working directory. Other files
/// there may be served: a program can keep its site beside what its engine keeps.
fn is_in(own: &OwnState, fs: &ReadFs, path: &Path) -> Result<bool, FsError> {
    if own.is_empty() {
        return Ok(false);
    }
    for above in path.ancestors().take_while(|above| *above != Path::new("/")) {
        if fs.stat(above)?.is_some_and(|stat| own.is_part(&stat)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn open(fs: &ReadFs, path: &Path) -> Result<Found, FsError> {
    let mut file = fs.open(path)?;
    if file.stat().size > CHUNK_BYTES as u64 {
        return Ok(Found::Large(file));
    }
    let mut content = Vec::with_capacity(CHUNK_BYTES);
    // Some files, as in /proc, have the size 0 but are not empty.
    (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut content).map_err(|error| {
        match error.downcast::<FsError>() {
            Ok(error) => error,
            Err(_) => FsError::Changed { path: path.to_path_buf() },
        }
    })?;
    Ok(Found::Small(file.stat().clone(), content))
}

/// The content type by the end of the file name; `None`: unknown.
fn content_type(path: &Path) -> Option<&'static str> {
    Some(match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "log" | "conf" | "cfg" | "ini" | "toml" | "sh" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "xml" => "text/xml; charset=utf-8",
        "json" | "map" => "application/json",
        "yaml" | "yml" => "application/yaml",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "gz" | "tgz" => "application/gzip",
        "zip" => "application/zip",
        "tar" => "application/x-tar",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/vnd.microsoft.icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => return None,
    })
}

//! The kind `http:client`: its fields, and the functions that the engine calls.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;
use sha2::{Digest as _, Sha256};

use crate::resource::{
    ApplyCx, Change, CheckCx, Context as _, Converge, Drift, Error, FieldProblem, Known, Need, Result, Secret, Uid,
    Watch, WatchCx, every,
};
use crate::resources::digests::{Digests, hex};
use crate::resources::http::client::download::{Download, no_body, too_large};
use crate::resources::http::client::request::{Answer, Body, Clients, Route, ask};
use crate::resources::http::client::version::{Fetched, Version};
use crate::resources::paths::{declared, missing_dir, shown};
use crate::sys::fs::{Content, CopySource, FsError, WriteFs, WriteOptions, normal_form};
use mgmt_macros::Resource;

/// The largest body that is sent as a value, unless `size_max` is set, in bytes.
const VALUE_BYTES_MAX: u64 = 16 << 20;
/// The largest body that is kept in a file, unless `size_max` is set, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 30;
/// The largest file of certificates, in bytes.
const CA_BYTES_MAX: u64 = 16 << 20;

/// Fetches what a URL leads to, by GET over HTTP or HTTPS: into a file, or as a value for other resources.
///
/// No event reports that something has changed on a server: the server is asked at the start, and then as often as the
/// metaparameter `poll` requires (default: never again). A server that names its versions (`ETag`, `Last-Modified`) is
/// asked only for another one; if it does not, every check fetches the body again and compares. With `sha256` nothing
/// is asked once the right content is there.
///
/// A file is received into the private directory of the resource, and put in place when it is complete and has the
/// declared digest, as `file` writes one: readers see the old content or the new one. If the connection breaks or the
/// engine is killed, the next download continues where this one ended, if the server supports that (ranges, and a
/// strong `ETag`). A file that another program changes is fetched again. A file that is replaced keeps its owner and
/// its mode; a new one has the mode 0644.
///
/// A server that can't be reached, that breaks off, or that answers with 401, 403, 404, 408, 410, 429 or 5xx, is waited
/// for; other answers are failures. A connection may take 10 seconds to be made, and be silent for 30. At most 10
/// redirects are followed, none from HTTPS to HTTP; `token` is sent to no other host. Proxies of the environment
/// (`http_proxy`) are not used.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("fetch");
/// g.add(
///     HttpClient::new("https://example.org/tool.tar.gz")
///         .file("/opt/tool.tar.gz")
///         .sha256("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
/// );
/// let motd = g.add(HttpClient::new("https://example.org/motd").poll(std::time::Duration::from_secs(600)));
/// g.add(File::new("/etc/motd").content(motd.body()));
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "http:client")]
pub struct HttpClient {
    /// The name of the resource. It is the URL, unless `url` is given.
    #[resource(name)]
    name: String,
    /// The URL: `http://…` or `https://…`, without a user, a password or a fragment. Default: the name.
    url: Option<String>,
    /// The file for the body, an absolute path. Its directory must exist. Default: none; the body is sent as a value.
    file: Option<PathBuf>,
    /// The SHA-256 that the body must have: 64 hexadecimal digits. Default: whatever the server sends is taken.
    sha256: Option<String>,
    /// A token that is sent as `Authorization: Bearer …`. Default: none.
    token: Option<Secret<String>>,
    /// The most bytes of a body. Default: 16 MiB for a value, 16 GiB for a file.
    size_max: Option<u64>,
    /// A file with the certificates that may vouch for the server, in PEM. Default: those of the system.
    ca: Option<PathBuf>,
    /// The URL of a proxy for all requests (`http://proxy.example:3128`). Default: none, not
    /// even one that the environment names.
    proxy: Option<String>,

    /// The body as a text. Not sent if `file` is given.
    #[resource(send)]
    body: String,
    /// The same text as `body`, as a secret.
    #[resource(send)]
    secret: Secret<String>,
    /// The SHA-256 of the body, in hexadecimal.
    #[resource(send)]
    digest: String,
}

/// What must be fetched.
#[derive(Clone, Debug)]
pub struct HttpClientDrift(Change);

impl Drift for HttpClientDrift {
    fn changes(&self) -> Vec<Change> {
        vec![self.0.clone()]
    }
}

/// The last value.
#[derive(Debug, Default)]
struct Kept(Mutex<Option<(Fetched, String)>>);

impl Kept {
    fn of(&self, url: &str) -> Option<(Fetched, String)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(fetched, _)| fetched.url == url).cloned()
    }

    fn put(&self, fetched: Fetched, content: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((fetched, content));
    }
}

impl Converge for HttpClient {
    type Drift = HttpClientDrift;

    const LASTS: bool = false;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let is_digest = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let sha256 = known.require(
            "sha256",
            self.sha256.as_ref().is_none_or(is_digest),
            "is no SHA-256",
            "give 64 hexadecimal digits, as `sha256sum` prints them",
        );
        let size = known.require("size_max", self.size_max != Some(0), "is 0", "give the most bytes of a body");
        let path = |field, path: &Option<PathBuf>| path.as_ref().and_then(|path| FieldProblem::of_path(field, path));
        let proxy = self.proxy.as_deref().and_then(|proxy| wrong_url("proxy", proxy));
        every([self.wrong_url(), sha256, size, path("file", &self.file), path("ca", &self.ca), proxy])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<HttpClientDrift>> {
        match self.path()? {
            Some(file) => self.check_file(cx, &file).await,
            None => self.check_value(cx).await.map(|()| None),
        }
    }

    async fn apply(&self, cx: &ApplyCx, _: HttpClientDrift) -> Result<()> {
        let Some(file) = self.path()? else { return Ok(()) };
        let download = Download { cx, route: self.route(cx).await?, size_max: self.size_max(FILE_BYTES_MAX) };
        let (part, fetched) = download.run().await?;
        if let Err(error) = self.has_digest(&fetched.sha256) {
            download.discard().await?;
            return Err(error);
        }
        let found = self.digest_of(cx, &file).await?;
        if found.as_deref() == Some(&*fetched.sha256) {
            // Another version with the same content.
            cx.unchanged();
        } else {
            place(cx, part, file).await?;
        }
        cx.set_mark(Some(serde_json::to_vec(&fetched)?)).await?;
        download.discard().await?;
        cx.send(HttpClient::DIGEST, fetched.sha256);
        Ok(())
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        match &self.file {
            Some(file) => cx.fs().path(file),
            None => Watch::none(),
        }
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        if !known.is_known("file") {
            return Vec::new();
        }
        self.path().ok().flatten().map(Uid::path).into_iter().collect()
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        let path = |field, path: &Option<PathBuf>| {
            path.as_ref().filter(|_| known.is_known(field)).and_then(|path| normal_form(path).ok())
        };
        let dir = path("file", &self.file).and_then(|file| file.parent().map(Path::to_owned));
        let dir = dir.map(|dir| Need::after(Uid::path(dir)).because("its directory"));
        let ca = path("ca", &self.ca).map(|ca| Need::after(Uid::path(ca)).because("its certificates"));
        dir.into_iter().chain(ca).collect()
    }
}

impl HttpClient {
    fn url(&self) -> &str {
        self.url.as_deref().unwrap_or(&self.name)
    }

    fn size_max(&self, default: u64) -> u64 {
        self.size_max.unwrap_or(default)
    }

    fn path(&self) -> Result<Option<PathBuf>> {
        self.file.as_ref().map(|file| declared("file", file)).transpose()
    }

    fn wrong_url(&self) -> Option<FieldProblem> {
        wrong_url("url", self.url()).map(|problem| match self.url {
            Some(_) => problem,
            None => FieldProblem::new("url", "is not given, and the name is no URL", "give one, as https://host/path"),
        })
    }

    async fn route(&self, cx: &CheckCx) -> Result<Arc<Route>> {
        let ca = match self.ca.clone() {
            Some(path) => Some(cx.look(move |fs, _| fs.read_file(path, CA_BYTES_MAX)).await.context("`ca`")?),
            None => None,
        };
        let (url, token, proxy) = (self.url().to_owned(), self.token.clone(), self.proxy.clone());
        Ok(Arc::new(Route { url, token, proxy, ca }))
    }

    /// The body has the declared digest.
    fn has_digest(&self, sha256: &str) -> Result<()> {
        match &self.sha256 {
            Some(wanted) if !wanted.eq_ignore_ascii_case(sha256) => {
                Err(Error::new(format!("`{}`: its SHA-256 is {sha256}, not {wanted} as declared", self.url())))
            }
            _ => Ok(()),
        }
    }

    async fn check_value(&self, cx: &CheckCx) -> Result<()> {
        let (kept, clients, route) = (cx.local::<Kept>(), cx.shared::<Clients>(), self.route(cx).await?);
        let known = kept.of(&route.url);
        let is_right =
            |(fetched, _): &(Fetched, String)| self.sha256.is_some() && self.has_digest(&fetched.sha256).is_ok();
        if let Some((fetched, content)) = known.clone().filter(is_right) {
            send(cx, fetched.sha256, content);
            return Ok(());
        }
        let version = known.as_ref().map(|(fetched, _)| &fetched.version).filter(|version| version.is_named());
        let body = match (ask(&clients, &route, version, None).await?, known) {
            (Answer::Whole(body), _) => body,
            (Answer::Same, Some((fetched, content))) => {
                self.has_digest(&fetched.sha256)?;
                send(cx, fetched.sha256, content);
                return Ok(());
            }
            _ => return Err(no_body(&route.url)),
        };
        let version = body.version.clone();
        let mut bytes = Vec::new();
        let sha256 = self.receive(body, VALUE_BYTES_MAX, |piece| bytes.extend_from_slice(piece)).await?;
        self.has_digest(&sha256)?;
        let not_text = || format!("`{}`: the body is not text in UTF-8; `file` takes anything", route.url);
        let content = String::from_utf8(bytes).map_err(|_| Error::new(not_text()))?;
        kept.put(Fetched { url: route.url.clone(), version, sha256: sha256.clone() }, content.clone());
        send(cx, sha256, content);
        Ok(())
    }

    /// Receives a body without writing it. Returns its digest.
    async fn receive(&self, mut body: Body, default: u64, mut take: impl FnMut(&[u8])) -> Result<String> {
        let size_max = self.size_max(default);
        let (mut hash, mut size) = (Sha256::new(), 0);
        if body.length.is_some_and(|length| length > size_max) {
            return Err(too_large(self.url(), size_max));
        }
        while let Some(piece) = body.next().await? {
            let piece = piece.as_ref();
            size += piece.len() as u64;
            if size > size_max {
                return Err(too_large(self.url(), size_max));
            }
            hash.update(piece);
            take(piece);
        }
        Ok(hex(&hash.finalize().into()))
    }

    async fn check_file(&self, cx: &CheckCx, file: &Path) -> Result<Option<HttpClientDrift>> {
        let found = self.digest_of(cx, file).await?;
        let drift = |from: &str, to: &str| Ok(Some(HttpClientDrift(Change::new("content", from, to))));
        let Some(found) = found else { return drift("missing", &self.coming()) };
        let there = format!("sha256 {found}");
        if self.sha256.is_some() {
            return match self.has_digest(&found) {
                Ok(()) => in_sync(cx, found),
                Err(_) => drift(&there, &self.coming()),
            };
        }
        let (clients, route) = (cx.shared::<Clients>(), self.route(cx).await?);
        let mark = cx.mark().and_then(|mark| serde_json::from_slice::<Fetched>(&mark).ok());
        let known = mark.filter(|fetched| fetched.url == route.url && fetched.sha256 == found);
        let version = known.map(|fetched| fetched.version).filter(Version::is_named);
        match ask(&clients, &route, version.as_ref(), None).await? {
            Answer::Same if version.is_some() => in_sync(cx, found),
            // A server that does not compare versions.
            Answer::Whole(body) if version.as_ref() == Some(&body.version) => in_sync(cx, found),
            // There is nothing to be known by: the content decides.
            Answer::Whole(body) if version.is_none() => {
                let sha256 = self.receive(body, FILE_BYTES_MAX, |_| ()).await?;
                if sha256 == found { in_sync(cx, found) } else { drift(&there, &format!("sha256 {sha256}")) }
            }
            Answer::Whole(_) => drift(&there, &format!("another version of {}", route.url)),
            _ => Err(no_body(&route.url)),
        }
    }

    /// What a download brings.
    fn coming(&self) -> String {
        match &self.sha256 {
            Some(sha256) => format!("sha256 {}", sha256.to_ascii_lowercase()),
            None => format!("what {} leads to", self.url()),
        }
    }

    /// The SHA-256 of the file; `None` if there is none.
    async fn digest_of(&self, cx: &CheckCx, file: &Path) -> Result<Option<String>> {
        let (path, digests) = (file.to_owned(), cx.local::<Digests>());
        let look = cx.look(move |fs, stop| {
            let Some(stat) = fs.stat(&path)? else { return Ok(None) };
            if !stat.is_file() {
                let what = shown(&path);
                return Err(
                    Error::from(FsError::Changed { path: path.clone() }).context(format_args!("{what} is no file"))
                );
            }
            digests.digest(fs, &path, &stat, stop).map(|digest| Some(hex(&digest)))
        });
        look.await
    }
}

fn send(cx: &CheckCx, sha256: String, body: String) {
    cx.send(HttpClient::SECRET, Secret::new(body.clone()));
    cx.send(HttpClient::BODY, body);
    cx.send(HttpClient::DIGEST, sha256);
}

fn in_sync(cx: &CheckCx, sha256: String) -> Result<Option<HttpClientDrift>> {
    cx.send(HttpClient::DIGEST, sha256);
    Ok(None)
}

/// Puts a complete file in its place.
async fn place(cx: &ApplyCx, part: PathBuf, file: PathBuf) -> Result<()> {
    let owned = cx.owned_paths();
    let (batch, placed) = cx
        .change(move |fs: &WriteFs, stop| {
            let batch = fs.batch();
            let fs = batch.fs();
            let placed = fs.open(&part).and_then(|mut source| {
                let source = CopySource { file: &mut source, is_stopped: &|| stop.is_stopped() };
                fs.write_file(&file, Content::File(source), &WriteOptions::new())
            });
            let placed = placed.map_err(|error| missing_dir(fs, &owned, &file).unwrap_or_else(|| error.into()));
            (batch, placed)
        })
        .await;
    let durable = cx.commit(batch).await;
    placed.and(durable).map(drop)
}

fn wrong_url(field: &str, text: &str) -> Option<FieldProblem> {
    let problem = match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => format!("has the scheme `{}`", url.scheme()),
        Ok(url) if !url.has_host() => "names no host".to_owned(),
        Ok(url) if field == "url" && (!url.username().is_empty() || url.password().is_some()) => {
            "has a user or a password in it, which errors and logs would show".to_owned()
        }
        Ok(url) if url.fragment().is_some() => "has a fragment (`#`), which is never sent".to_owned(),
        Ok(_) => return None,
        Err(error) => format!("`{}` is no URL: {error}", text.escape_debug()),
    };
    Some(FieldProblem::new(field, problem, "give a URL, as https://host/path"))
}

//! One request: connections, redirects, and what the answers mean.

use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, Proxy, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::resource::{Context as _, Error, Obstacle, ObstacleKind, Result, Secret};
use crate::resources::http::client::version::Version;
use crate::sys::task::blocking;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the other side may send nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// At most this many redirects are followed.
const REDIRECTS_MAX: usize = 10;

/// How requests are made.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) url: String,
    pub(super) token: Option<Secret<String>>,
    pub(super) proxy: Option<String>,
    /// The certificates to trust, in PEM, instead of those of the system.
    pub(super) ca: Option<Vec<u8>>,
}

/// Clients by what distinguishes them: each keeps its connections open for a while.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<Vec<(Key, Client)>>);

/// The proxy, and the digest of the certificates.
type Key = (Option<String>, Option<[u8; 32]>);

/// At most this many clients are kept.
const CLIENTS_MAX: usize = 16;

impl Clients {
    /// Blocks: may read the certificates of the system.
    fn client(&self, route: &Route) -> Result<Client> {
        let key = (route.proxy.clone(), route.ca.as_ref().map(|ca| Sha256::digest(ca).into()));
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(other, _)| *other == key) {
            return Ok(client.clone());
        }
        let client = build(route)?;
        if clients.len() == CLIENTS_MAX {
            clients.remove(0);
        }
        clients.push((key, client.clone()));
        Ok(client)
    }
}

fn build(route: &Route) -> Result<Client> {
    static PROVIDER: Once = Once::new();
    // The program may have installed another one, which is then used.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let builder = Client::builder()
        .user_agent(concat!("mgmt/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .referer(false)
        .redirect(Policy::custom(redirect))
        // None from the environment.
        .no_proxy();
    let builder = match &route.proxy {
        Some(proxy) => builder.proxy(Proxy::all(proxy).context("`proxy`")?),
        None => builder,
    };
    let builder = match &route.ca {
        Some(pem) => {
            let certificates = Certificate::from_pem_bundle(pem).context("`ca`")?;
            if certificates.is_empty() {
                return Err(Error::new("`ca`: there is no certificate in the file; it must be PEM"));
            }
            builder.tls_certs_only(certificates)
        }
        None => builder,
    };
    builder.build().context("making a client for HTTP")
}

fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let was_secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if was_secure && attempt.url().scheme() != "https" {
        let url = attempt.url().clone();
        return attempt.error(format!("it leads from https to `{url}`, which is not protected"));
    }
    if attempt.previous().len() > REDIRECTS_MAX {
        return attempt.error(format!("there are more than {REDIRECTS_MAX} redirects"));
    }
    attempt.follow()
}

/// What the server answered.
pub(super) enum Answer {
    /// What is known is still the same.
    Same,
    /// A whole body.
    Whole(Body),
    /// The rest of a body of which the beginning is there.
    Rest(Body),
    /// The beginning that is there belongs to no version any more.
    NoRest,
}

/// A body that is being received.
pub(super) struct Body {
    response: Response,
    pub(super) version: Version,
    /// The bytes that the body will have, if the server has announced that.
    pub(super) length: Option<u64>,
    url: String,
}

impl Body {
    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>> {
        self.response.chunk().await.map_err(|error| broken(error, &self.url))
    }
}

/// Asks for the URL: for the whole body unless it is still the `known` version, or for what follows the first bytes of
/// a version.
pub(super) async fn ask(
    clients: &Arc<Clients>,
    route: &Arc<Route>,
    known: Option<&Version>,
    rest: Option<(u64, &Version)>,
) -> Result<Answer> {
    let client = {
        let (clients, route) = (Arc::clone(clients), Arc::clone(route));
        blocking(move || clients.client(&route)).await?
    };
    let mut headers = HeaderMap::new();
    if let Some(token) = &route.token {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.declassify()))
            .map_err(|_| Error::new("`token` has a character that no header may have, such as a line end"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    known.into_iter().for_each(|version| version.unless(&mut headers));
    if let Some((from, version)) = rest {
        version.rest(from, &mut headers);
    }
    let url = route.url.clone();
    let response = client.get(&url).headers(headers).send().await.map_err(|error| failure(error, &url))?;
    answer(response, url, rest.map(|(from, _)| from))
}

fn answer(response: Response, url: String, from: Option<u64>) -> Result<Answer> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let version = Version { etag: header(ETAG), modified: header(LAST_MODIFIED) };
    let length = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let status = response.status();
    let range = header(reqwest::header::CONTENT_RANGE);
    let body = Body { response, version, length, url };
    match (status, from) {
        (StatusCode::NOT_MODIFIED, _) => Ok(Answer::Same),
        (StatusCode::PARTIAL_CONTENT, Some(from)) => {
            let begins = range.as_deref().and_then(|range| range.strip_prefix("bytes "));
            let begins = begins.and_then(|range| range.split('-').next()?.parse::<u64>().ok());
            Ok(if begins == Some(from) { Answer::Rest(body) } else { Answer::NoRest })
        }
        (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => Ok(Answer::NoRest),
        (StatusCode::OK, _) => Ok(Answer::Whole(body)),
        _ => Err(refused(status, &body.url)),
    }
}

/// The server does not give what was asked for.
fn refused(status: StatusCode, url: &str) -> Error {
    let error = Error::new(format!("`{url}`: the server answers {status}"));
    let kind = match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => ObstacleKind::Missing,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            ObstacleKind::NoPermission
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => ObstacleKind::Busy,
        _ if status.is_server_error() => ObstacleKind::NoComponent,
        _ => return error,
    };
    error.waiting_for(Obstacle::new(kind))
}

/// There is no answer. If the other side can't be reached, that may be over at any time.
fn failure(error: reqwest::Error, url: &str) -> Error {
    match error.is_redirect() || error.is_builder() {
        true => Error::from(error.without_url()).context(format_args!("`{url}`")),
        false => broken(error, url),
    }
}

/// The other side can't be reached, or has stopped in the middle.
fn broken(error: reqwest::Error, url: &str) -> Error {
    let error = Error::from(error.without_url()).context(format_args!("`{url}`"));
    error.waiting_for(Obstacle::new(ObstacleKind::NoComponent))
}

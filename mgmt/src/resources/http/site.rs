//! How a server answers a request.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode};

use crate::resource::OwnedPaths;
use crate::resources::http::auth::Auth;
use crate::resources::http::body::Body;
use crate::resources::http::path::{RequestPath, requested};
use crate::resources::http::reply::{self, Reply};
use crate::resources::http::table::{Source, Table};
use crate::sys::listen::{Activity, Answers};

/// The settings with which requests are answered now.
#[derive(Debug)]
pub(super) struct Live {
    /// The directory that is served where no route leads.
    pub(super) root: Option<PathBuf>,
    pub(super) timeout: Duration,
    pub(super) auth: Option<Auth>,
}

/// Everything that a server needs to answer.
#[derive(Debug)]
pub(super) struct Site {
    name: String,
    table: Arc<Table>,
    owned: Arc<OwnedPaths>,
    live: RwLock<Arc<Live>>,
}

impl Answers for Site {
    type Body = Body;

    /// The body of the request is ignored.
    async fn answer(&self, request: Request<Incoming>, activity: Arc<Activity>) -> Reply {
        let reply = self.reply(&request, activity).await;
        // Escaped: the client can write anything.
        let path = request.uri().path().escape_debug().to_string();
        tracing::debug!(target: "mgmt::http", server = %self.name, method = %request.method(), path, status = reply.status().as_u16());
        reply
    }

    fn refuse(&self) -> Reply {
        reply::status(StatusCode::BAD_REQUEST)
    }

    fn patience(&self) -> Duration {
        self.live().timeout
    }
}

impl Site {
    pub(super) fn new(name: String, table: Arc<Table>, owned: Arc<OwnedPaths>, live: Live) -> Site {
        Site { name, table, owned, live: RwLock::new(Arc::new(live)) }
    }

    pub(super) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Requests are answered with these settings from now on.
    pub(super) fn set(&self, live: Live) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
    }

    async fn reply<B>(&self, request: &Request<B>, activity: Arc<Activity>) -> Reply {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return reply::status_with(StatusCode::METHOD_NOT_ALLOWED, ALLOW, "GET, HEAD");
        }
        let Ok(url) = requested(request.uri().path()) else { return reply::status(StatusCode::BAD_REQUEST) };
        let live = self.live();
        let asked = request.headers();
        let mut closed = live.auth.as_ref();
        if let Some(auth) = closed.filter(|auth| url.path.starts_with(&auth.protected.path)) {
            if !is_allowed(auth, asked).await {
                return challenge();
            }
            closed = None;
        }
        match self.table.find(&self.name, &url.path) {
            Some((Source::Data(_), _)) if url.slash && url.path != Path::new("/") => {
                reply::status(StatusCode::NOT_FOUND)
            }
            Some((Source::Data(data), _)) => reply::text(&data, &url.path, asked),
            Some((Source::Path(base), rest)) => self.file(base, rest, &url, asked, closed, activity).await,
            None => match &live.root {
                Some(root) => {
                    let rest = url.path.strip_prefix("/").unwrap_or(Path::new("")).to_owned();
                    self.file(root.clone(), rest, &url, asked, closed, activity).await
                }
                None => reply::status(StatusCode::NOT_FOUND),
            },
        }
    }

    /// A file, or the request for a password: a symlink may lead into the protected path, or the protected path may be
    /// one.
    async fn file(
        &self,
        base: PathBuf,
        rest: PathBuf,
        url: &RequestPath,
        asked: &HeaderMap,
        closed: Option<&Auth>,
        activity: Arc<Activity>,
    ) -> Reply {
        // The position of the directory on the server: the path without the part behind it.
        let depth = url.path.iter().count() - rest.iter().count();
        let at: PathBuf = url.path.iter().take(depth).collect();
        let closed = closed.and_then(|auth| {
            let below = auth.protected.path.strip_prefix(&at).ok()?;
            Some((auth, below.to_owned()))
        });
        let owned = Arc::clone(&self.owned);
        let Some((auth, below)) = closed else {
            return reply::file(owned, base, rest, url, asked, None, activity).await;
        };
        let open = (base.clone(), rest.clone(), Arc::clone(&activity));
        let found = reply::file(Arc::clone(&owned), base, rest, url, asked, Some(below), activity).await;
        if found.status() != StatusCode::UNAUTHORIZED {
            return found;
        }
        match is_allowed(auth, asked).await {
            true => reply::file(owned, open.0, open.1, url, asked, None, open.2).await,
            false => challenge(),
        }
    }
}

async fn is_allowed(auth: &Auth, asked: &HeaderMap) -> bool {
    auth.allows(asked.get(AUTHORIZATION).map(|header| header.as_bytes())).await
}

fn challenge() -> Reply {
    let challenge = "Basic realm=\"mgmt\", charset=\"UTF-8\"";
    reply::status_with(StatusCode::UNAUTHORIZED, WWW_AUTHENTICATE, challenge)
}

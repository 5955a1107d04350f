//! What a server does with a request.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hyper::header::{ALLOW, AUTHORIZATION, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode};

use crate::resources::http::activity::Activity;
use crate::resources::http::auth::Auth;
use crate::resources::http::path::requested;
use crate::resources::http::reply::{self, Reply};
use crate::resources::http::table::{Source, Table};

/// The settings under which requests are answered now.
#[derive(Debug)]
pub(super) struct Live {
    /// What is served where no route leads.
    pub(super) root: Option<PathBuf>,
    pub(super) timeout: Duration,
    pub(super) auth: Option<Auth>,
}

/// All that a server needs to answer.
#[derive(Debug)]
pub(super) struct Site {
    name: String,
    table: Arc<Table>,
    live: RwLock<Arc<Live>>,
}

impl Site {
    pub(super) fn new(name: String, table: Arc<Table>, live: Live) -> Site {
        Site { name, table, live: RwLock::new(Arc::new(live)) }
    }

    pub(super) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on requests are answered under these settings.
    pub(super) fn set(&self, live: Live) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
    }

    /// The reply to a request; what it carries is not looked at.
    pub(super) async fn answer<B>(&self, request: Request<B>, activity: Arc<Activity>) -> Reply {
        let reply = self.reply(&request, activity).await;
        // Escaped: whoever asks writes what he likes.
        let path = request.uri().path().escape_debug().to_string();
        tracing::debug!(target: "mgmt::http", server = %self.name, method = %request.method(), path, status = reply.status().as_u16());
        reply
    }

    async fn reply<B>(&self, request: &Request<B>, activity: Arc<Activity>) -> Reply {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return reply::status_with(StatusCode::METHOD_NOT_ALLOWED, ALLOW, "GET, HEAD");
        }
        let Ok(url) = requested(request.uri().path()) else { return reply::status(StatusCode::BAD_REQUEST) };
        let live = self.live();
        if let Some(auth) = live.auth.as_ref().filter(|auth| url.path.starts_with(&auth.protected.path)) {
            let header = request.headers().get(AUTHORIZATION).map(|header| header.as_bytes());
            if !auth.allows(header).await {
                let challenge = "Basic realm=\"mgmt\", charset=\"UTF-8\"";
                return reply::status_with(StatusCode::UNAUTHORIZED, WWW_AUTHENTICATE, challenge);
            }
        }
        let asked = request.headers();
        match self.table.find(&self.name, &url.path) {
            Some((Source::Data(_), _)) if url.slash && url.path != Path::new("/") => {
                reply::status(StatusCode::NOT_FOUND)
            }
            Some((Source::Data(data), _)) => reply::text(&data, &url.path, asked),
            Some((Source::Path(base), rest)) => reply::file(base, rest, &url, asked, activity).await,
            None => match &live.root {
                Some(root) => {
                    let rest = url.path.strip_prefix("/").unwrap_or(Path::new("")).to_owned();
                    reply::file(root.clone(), rest, &url, asked, activity).await
                }
                None => reply::status(StatusCode::NOT_FOUND),
            },
        }
    }
}

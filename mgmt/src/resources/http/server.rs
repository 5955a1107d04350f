//! The kind `http:server`.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::resource::{
    ApplyCx, Change, CheckCx, Context as _, Converge, Error, FieldProblem, IntoInput, Known, Leave, Need, Result,
    Seconds, Secret, Uid, Watch, WatchCx, WatchEvent, every,
};
use crate::resources::http::auth::{Auth, Protected};
use crate::resources::http::keys::{Address, ServedBy};
use crate::resources::http::listener::{Listener, bind};
use crate::resources::http::path::plain;
use crate::resources::http::site::{Live, Site};
use crate::resources::http::table::{Entry, Table};
use crate::sys::fs::normal_form;
use mgmt_macros::Resource;

/// A small web server inside the engine. It answers `GET` and `HEAD` requests from a directory and from the `http:file`
/// resources that name it.
///
/// It listens as long as it is in the graph and the engine runs. Directories are not listed; `index.html` is served for
/// them. No symlink leads out of what is served, and what the engine keeps in its working directory is not served, by
/// whatever path. At most 256 connections are served at once, 128 from one address; if
/// another one arrives, the one that has been idle for longest is closed. There is no encryption: use a proxy in front
/// of it where other users can listen.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "http:server", inline = watch)]
pub struct HttpServer {
    /// The name of the resource; also the address unless `address` is given.
    #[resource(name)]
    name: String,
    /// The address to listen at, as `host:port`: `127.0.0.1:8080` for this machine alone, `0.0.0.0:8080` for all
    /// networks. Port 0: any free port. Default: the name.
    address: Option<String>,
    /// A directory to serve wherever no `http:file` is: an absolute path. Default: none.
    root: Option<PathBuf>,
    /// The time without progress after which a connection is closed, in seconds. Default: 60.
    #[resource(default = Seconds(std::time::Duration::from_secs(60)))]
    timeout: Seconds,
    /// The path that only `auth_user` may read, with everything below it. Default: nothing is protected.
    auth_path: Option<String>,
    /// The user who may read `auth_path`.
    auth_user: Option<String>,
    /// The bcrypt hash of that user's password, as the output `hash` of a `password` sends it.
    auth_hash: Option<Secret<String>>,

    /// The URL of the server: `http://127.0.0.1:8080`, without a slash at the end.
    #[resource(send)]
    url: String,
}

impl HttpServerBuilder {
    /// Protects `path` and everything below it: only `user` may read it, with the password of this bcrypt hash, which
    /// is a text or the output `hash` of a `password`.
    #[track_caller]
    pub fn basic_auth<M>(
        self,
        path: impl Into<String>,
        user: impl Into<String>,
        hash: impl IntoInput<Secret<String>, M>,
    ) -> Self {
        self.auth_path(path.into()).auth_user(user.into()).auth_hash(hash)
    }
}

/// The result of the fields.
#[derive(Clone, Debug, PartialEq)]
struct Settings {
    address: String,
    root: Option<PathBuf>,
    timeout: Seconds,
    protected: Option<Protected>,
}

impl Settings {
    fn live(&self) -> Result<Live> {
        let auth = self.protected.clone().map(Auth::new).transpose()?;
        Ok(Live { root: self.root.clone(), timeout: self.timeout.0, auth })
    }

    /// The differences from the settings `from`.
    fn changes(&self, from: &Settings) -> Vec<Change> {
        let mut changes = Vec::new();
        let shown = |root: &Option<PathBuf>| root.as_ref().map_or("none".to_owned(), |root| root.display().to_string());
        if self.address != from.address {
            changes.push(Change::new("address", &from.address, &self.address));
        }
        if self.root != from.root {
            changes.push(Change::new("root", shown(&from.root), shown(&self.root)));
        }
        if self.timeout != from.timeout {
            changes.push(Change::new("timeout", from.timeout, self.timeout));
        }
        let of = |settings: &Settings| settings.protected.as_ref().map(|p| (p.path.clone(), p.user.clone()));
        let said = |who: Option<(PathBuf, String)>| match who {
            None => "nothing is protected".to_owned(),
            Some((path, user)) => format!("{} is open to {user}", path.display()),
        };
        if of(self) != of(from) {
            changes.push(Change::new("auth_path", said(of(from)), said(of(self))));
        } else if self.protected != from.protected {
            changes.push(Change::secret("auth_hash"));
        }
        changes
    }
}

/// The server of a resource.
#[derive(Default)]
struct State {
    running: Mutex<Option<Running>>,
    /// Shared with the watch, which must not keep the server alive.
    ended: Arc<Notify>,
}

struct Running {
    settings: Settings,
    site: Arc<Site>,
    listener: Listener,
    _entry: Entry,
}

impl State {
    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpServer {
    fn wrong_address(&self) -> Option<FieldProblem> {
        let address = self.address();
        let good = address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        let from = if self.address.is_some() { "" } else { "(taken from the name) " };
        let problem = format_args!("{from}is `{}`", address.escape_debug());
        let remedy = "give host and port, as 127.0.0.1:8080, or 0.0.0.0:8080 for all that can reach this machine";
        (!good).then(|| FieldProblem::new("address", problem, remedy))
    }

    fn wrong_auth(&self) -> Option<FieldProblem> {
        let fields = ["auth_path", "auth_user", "auth_hash"];
        match (&self.auth_path, &self.auth_user, &self.auth_hash) {
            (Some(_), None, _) => {
                Some(FieldProblem::new(fields, "without `auth_user`", "name the user for whom it is open"))
            }
            (None, Some(_), _) | (None, _, Some(_)) => {
                let problem = "and `auth_hash` without `auth_path`";
                Some(FieldProblem::new(
                    ["auth_user", "auth_hash", "auth_path"],
                    problem,
                    "give the path that they protect; `/` is all",
                ))
            }
            (_, Some(user), _) if user.contains(':') => {
                let problem = "has a colon, which no user name in HTTP can have";
                Some(FieldProblem::new("auth_user", problem, "take another name"))
            }
            _ => None,
        }
    }
}

impl Converge for HttpServer {
    type Drift = Vec<Change>;

    const LASTS: bool = false;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let root = self.root.as_ref().and_then(|root| FieldProblem::of_path("root", root));
        let remedy = "give the time after which an idle connection is closed";
        let timeout = known.require("timeout", !self.timeout.0.is_zero(), "is 0", remedy);
        let auth_path = self.auth_path.as_ref().and_then(|path| {
            let error = plain(path).err()?;
            Some(FieldProblem::new("auth_path", format_args!(": `{}`: {error}", path.escape_debug()), ""))
        });
        every([self.wrong_address(), root, timeout, auth_path, self.wrong_auth()])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Vec<Change>>> {
        let settings = self.settings()?;
        let state = cx.local::<State>();
        let running = state.running();
        let Some(running) = running.as_ref().filter(|running| running.listener.is_running()) else {
            return Ok(Some(vec![Change::new(
                "address",
                "not listening",
                format_args!("listening at {}", settings.address),
            )]));
        };
        let changes = settings.changes(&running.settings);
        if changes.is_empty() {
            cx.send(HttpServer::URL, running.url());
        }
        Ok((!changes.is_empty()).then_some(changes))
    }

    async fn apply(&self, cx: &ApplyCx, _: Vec<Change>) -> Result<()> {
        let settings = self.settings()?;
        let live = settings.live().context("randomness for `auth_hash`")?;
        let state = cx.local::<State>();
        let in_place =
            |running: &&mut Running| running.listener.is_running() && running.settings.address == settings.address;
        if let Some(running) = state.running().as_mut().filter(in_place) {
            running.site.set(live);
            running.settings = settings;
            cx.send(HttpServer::URL, running.url());
            return Ok(());
        }
        // The old server is in the way only if it has the same port by another spelling; otherwise it serves until the
        // new one does.
        let port = settings.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let in_the_way = |running: &mut Running| Some(running.listener.address.port()) == port;
        let old = state.running().take_if(in_the_way);
        if let Some(old) = old {
            old.listener.stop().await;
        }
        let socket = bind(&settings.address).await?;
        let table = cx.shared::<Table>();
        let site = Arc::new(Site::new(self.name.clone(), Arc::clone(&table), cx.owned_paths(), live));
        let listener = Listener::start(socket, Arc::clone(&site), Arc::clone(&state.ended))?;
        let running = Running { settings, site, listener, _entry: table.add_server(&self.name) };
        cx.send(HttpServer::URL, running.url());
        let old = state.running().replace(running);
        drop(old);
        Ok(())
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let ended = Arc::clone(&cx.local::<State>().ended);
        Watch::unfold(false, move |ready| {
            let ended = Arc::clone(&ended);
            async move {
                if !ready {
                    return Ok((WatchEvent::Ready, true));
                }
                ended.notified().await;
                Ok((WatchEvent::Changed, true))
            }
        })
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        let address = self.address();
        if !known.is_known("address") || address.ends_with(":0") {
            return Vec::new();
        }
        vec![Uid::of(Address(address.to_owned()))]
    }

    fn provides(&self, _: &Known<'_>) -> Vec<Uid> {
        [Some(self.name.clone()), None].map(|name| Uid::of(ServedBy(name))).into()
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        let root = self.root.as_deref().filter(|_| known.is_known("root"));
        let root = root.and_then(|root| normal_form(root).ok()).map(Uid::Path);
        root.map(|root| Need::after(root).because("the directory that it serves")).into_iter().collect()
    }
}

/// The server stops listening, and its connections end.
impl Leave for HttpServer {
    async fn leave(&self, cx: &ApplyCx) -> Result<()> {
        let running = cx.local::<State>().running().take();
        if let Some(running) = running {
            running.listener.stop().await;
        }
        Ok(())
    }
}

impl Running {
    fn url(&self) -> String {
        format!("http://{}", self.listener.address)
    }
}

impl HttpServer {
    fn address(&self) -> &str {
        self.address.as_deref().unwrap_or(&self.name)
    }

    /// Missing fields are errors: a protected path must never be open because one is missing.
    fn settings(&self) -> Result<Settings> {
        let protected = match (&self.auth_path, &self.auth_user, &self.auth_hash) {
            (None, None, None) => None,
            (Some(path), Some(user), Some(hash)) => {
                if hash.satisfies(|hash| bcrypt::HashParts::from_str(hash).is_err()) {
                    return Err(Error::new("`auth_hash` is not a bcrypt hash: take the output `hash` of a `password`"));
                }
                let path = plain(path).context("`auth_path`")?;
                Some(Protected { path, user: user.clone(), hash: hash.clone() })
            }
            _ => {
                return Err(Error::new("`auth_path`, `auth_user` and `auth_hash` go together: one of them is missing"));
            }
        };
        let (root, timeout) = (self.root.clone(), self.timeout);
        Ok(Settings { address: self.address().to_owned(), root, timeout, protected })
    }
}

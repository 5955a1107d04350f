//! The kind `http:file`.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::resource::{
    ApplyCx, Change, CheckCx, Context as _, Converge, Error, FieldProblem, Known, Leave, Need, Result, Uid, every,
};
use crate::resources::http::keys::{ServedBy, UrlPath};
use crate::resources::http::path::plain;
use crate::resources::http::table::{Entry, Place, Source, Table};
use crate::sys::fs::normal_form;
use mgmt_macros::Resource;

/// Serves a file, a directory with everything below it, or a text on an `http:server`, as long as the resource is in
/// the graph.
///
/// Files are read at each request, so their changes need no event. What the engine keeps in its working directory is
/// not served, by whatever path. Any value that can be received can be served, except
/// secrets.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "http:file", unwatched, inline)]
pub struct HttpFile {
    /// The name of the resource; also the path of the URL unless `path` is given.
    #[resource(name)]
    name: String,
    /// The name of the `http:server`. Must be given where a graph has several. Default: the only one.
    server: Option<String>,
    /// The path of the URL, not encoded: `/a b` for what a browser requests as `/a%20b`. The files of a directory are
    /// below it. Default: the name.
    path: Option<String>,
    /// The file or the directory to serve, an absolute path. It need not exist yet. This or `data` must be given.
    source: Option<PathBuf>,
    /// The text to serve. This or `source` must be given.
    data: Option<String>,
}

/// The route of a resource.
#[derive(Default)]
struct State(Mutex<Option<(Place, Entry)>>);

impl State {
    fn route(&self) -> MutexGuard<'_, Option<(Place, Entry)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Converge for HttpFile {
    type Drift = Change;

    const LASTS: bool = false;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let path = plain(self.path()).err().map(|error| {
            let from = if self.path.is_some() { "" } else { "(taken from the name) " };
            let problem = format_args!("{from}is `{}`: {error}", self.path().escape_debug());
            FieldProblem::new("path", problem, "give the path of a URL, as /index.html")
        });
        let both = self.source.is_some() && self.data.is_some();
        let problem = "and `data`: only one of them can be served";
        let source = self.source.as_ref().and_then(|source| FieldProblem::of_path("source", source));
        let some = self.source.is_some() || self.data.is_some();
        let none =
            known.require(["source", "data"], some, "and `data` are missing: there is nothing to serve", "give one");
        every([path, known.require(["source", "data"], !both, problem, "leave out the other"), none, source])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let (place, source) = self.route()?;
        let table = cx.shared::<Table>();
        if self.server.is_none() && table.servers().len() > 1 {
            let names = table.servers().join("`, `");
            return Err(Error::new(format!(
                "there are several servers, `{names}`: name with `server` the one that serves it"
            )));
        }
        let now = table.route(&place);
        let is_ours = cx.local::<State>().route().as_ref().is_some_and(|(ours, _)| *ours == place);
        if is_ours && now.as_ref() == Some(&source) {
            return Ok(None);
        }
        let from = now.as_ref().filter(|_| is_ours).map_or_else(|| "not served".to_owned(), shown);
        Ok(Some(Change::new(place.1.display().to_string(), from, shown(&source))))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        let (place, source) = self.route()?;
        let entry = cx.shared::<Table>().add_route(place.clone(), source);
        let old = cx.local::<State>().route().replace((place, entry));
        // Only now, so that there is always a route.
        drop(old);
        Ok(())
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        if !known.are_known(["path", "server"]) {
            return Vec::new();
        }
        let Ok(path) = plain(self.path()) else { return Vec::new() };
        vec![Uid::of(UrlPath { server: self.server.clone(), path })]
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        let server =
            known.is_known("server").then(|| Need::after(Uid::of(ServedBy(self.server.clone()))).because("its server"));
        let source = self.source.as_deref().filter(|_| known.is_known("source"));
        let source = source
            .and_then(|source| normal_form(source).ok())
            .map(|source| Need::after(Uid::Path(source)).because("its source"));
        server.into_iter().chain(source).collect()
    }
}

/// The route ends.
impl Leave for HttpFile {
    async fn leave(&self, cx: &ApplyCx) -> Result<()> {
        drop(cx.local::<State>().route().take());
        Ok(())
    }
}

fn shown(source: &Source) -> String {
    match source {
        // Not looked at: that could block.
        Source::Path(path) => format!("what is at {}", path.display()),
        Source::Data(data) => format!("a text of {} bytes", data.len()),
    }
}

impl HttpFile {
    fn path(&self) -> &str {
        self.path.as_deref().unwrap_or(&self.name)
    }

    fn route(&self) -> Result<(Place, Source)> {
        let path = plain(self.path()).context("`path`")?;
        let source = match (&self.source, &self.data) {
            (Some(source), None) => Source::Path(source.clone()),
            (None, Some(data)) => Source::Data(data.as_str().into()),
            (None, None) => return Err(Error::new("there is nothing to serve: give `source` or `data`")),
            (Some(_), Some(_)) => return Err(Error::new("`source` and `data`: only one of them can be served")),
        };
        Ok(((self.server.clone(), path), source))
    }
}

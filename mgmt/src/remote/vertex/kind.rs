//! The kind `remote`: its fields, and the functions that the engine calls.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::graph::{Graph, files_read, validate};
use crate::remote::error::RemoteError;
use crate::remote::hosts::Address;
use crate::remote::vertex::ends::Ends;
use crate::remote::vertex::graph::RemoteGraph;
use crate::remote::vertex::live::{Live, State};
use crate::remote::vertex::place::EnginePlace;
use crate::remote::vertex::text;
use crate::remote::vertex::wanted::Wanted;
use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Drift, Error, FieldProblem, Known, Leave, Need, Reading, Refresh, Result, Uid,
    Watch, WatchCx, WatchEvent, every,
};
use crate::sys::fs::normal_form;
use mgmt_macros::Resource;

/// A graph that runs on another host, over SSH, by the same code as the command `remote`. Nothing must be installed
/// there: the program copies itself.
///
/// The resource is settled when the graph there has converged. The run stays as long as the resource is in the graph
/// and the engine runs: what drifts there is repaired there, and reported here as a change of this resource. A graph
/// that changes is put in force there, and only the difference is touched. When the resource leaves the graph, or the
/// engine ends, the run there ends, and nothing of it is left running.
///
/// What fails there is a failure of this resource, and each of its tries begins the run again. A host that can't be
/// reached, or whose connection was lost, is waited for, and so is a graph that waits for a cause there. A host whose
/// key is not known, or has changed, is a failure. A plan is made there too, and its changes are those of this
/// resource; in noop, nothing runs there.
///
/// If the resource is refreshed, the run there ends and begins again, so that everything there is checked.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("site");
/// let db = g.add(Remote::new("root@db1").declare(|g| {
///     g.add(Pkg::new("postgresql"));
/// }));
/// g.add(Remote::new("web1").r#become("root").yaml("/srv/graphs/web.yaml").after(&db));
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "remote")]
pub struct Remote {
    /// The name of the resource; also the host unless `host` is given.
    #[resource(name)]
    name: String,
    /// The host, as `ssh` takes it: `web1`, `root@web1` or `ssh://root@web1:2222`, with a name of its own before it if
    /// wished (`db=root@10.0.0.7`); or `local:test`, a process of its own on this host. Default: the name.
    host: Option<String>,
    /// The graph that runs there: the text of a graph file in YAML, or a graph as data. Default: that in the file
    /// `yaml`, or else the one that the program makes there by itself, for the name of that host.
    pub(super) graph: Option<RemoteGraph>,
    /// A file of this host with the graph in YAML, an absolute path. When it changes, the new graph is sent.
    pub(super) yaml: Option<PathBuf>,
    /// The user to become there, by `sudo` without a password. Default: that of the login.
    pub(super) r#become: Option<String>,
    /// A private key of ssh on this host, an absolute path. Default: those of ssh's own configuration.
    pub(super) identity: Option<PathBuf>,
    /// The configuration file of ssh on this host, an absolute path. Default: `~/.ssh/config`.
    pub(super) ssh_config: Option<PathBuf>,
    /// The program to run there, a file of this host that was built for that kind of machine. Default: this program.
    pub(super) program: Option<PathBuf>,
    /// The command line of the program there, which other users of that host can see. Default: `remote run HOST`, which
    /// all programs with mgmt's command line understand.
    pub(super) arguments: Option<Vec<String>>,
    /// The working directory of the engine there, an absolute path. Default: that of the user there.
    pub(super) prefix: Option<PathBuf>,
    /// The name of the host in the graph there. Default: that of the address.
    pub(super) hostname: Option<String>,

    /// The name of the host, as its own system has it.
    #[resource(send)]
    nodename: String,
    /// How many repairs and refreshes there were since the run there began.
    #[resource(send)]
    changed: u64,
}

impl RemoteBuilder {
    /// The graph that this function declares runs there. What it names of this host, such as the `source` of a file,
    /// travels with it.
    #[track_caller]
    pub fn declare(self, declare: impl FnOnce(&mut Graph)) -> Self {
        self.graph(RemoteGraph::declare(declare))
    }
}

/// What differs from the declared run.
#[derive(Debug)]
pub struct RemoteDrift {
    changes: Vec<Change>,
    /// `None`: only a plan, which nothing is done for.
    wanted: Option<Box<Wanted>>,
}

impl Drift for RemoteDrift {
    fn changes(&self) -> Vec<Change> {
        self.changes.clone()
    }
}

impl Converge for Remote {
    type Drift = RemoteDrift;

    /// A run on another host, with whatever rights this host has there.
    const COLLECTED_ON_TRUST: bool = true;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let paths = [
            ("yaml", &self.yaml),
            ("identity", &self.identity),
            ("ssh_config", &self.ssh_config),
            ("program", &self.program),
            ("prefix", &self.prefix),
        ];
        let wrong_path = |(field, path): (&str, &Option<PathBuf>)| FieldProblem::of_path(field, path.as_deref()?);
        let is_named = self.r#become.as_deref() != Some("");
        let user = known.require("become", is_named, "is empty", "name the user, or leave it out");
        let hostname = self.hostname.as_deref().and_then(|name| crate::sys::facts::check_hostname(name).err());
        let hostname = hostname.map(|why| FieldProblem::new("hostname", format_args!(": {why}"), ""));
        every(paths.map(wrong_path).into_iter().chain([
            user,
            hostname,
            self.wrong_host(),
            self.wrong_local(),
            self.wrong_graph(),
        ]))
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<RemoteDrift>> {
        let wanted = Wanted::of(self, cx).await?;
        if cx.is_noop() || cx.is_planning() {
            return planned(wanted, cx).await;
        }
        let state = cx.local::<State>();
        let change = match state.live() {
            None => Change::new("run", "not running", format_args!("running on {}", wanted.name()?)),
            Some(live) => match self.compared(&live, &wanted, &state, cx).await? {
                Compared::InSync => return Ok(None),
                Compared::Repaired(changes) => {
                    return Ok(Some(RemoteDrift { changes, wanted: Some(Box::new(wanted)) }));
                }
                Compared::Differs(change) => change,
            },
        };
        Ok(Some(RemoteDrift { changes: vec![change], wanted: Some(Box::new(wanted)) }))
    }

    async fn apply(&self, cx: &ApplyCx, drift: RemoteDrift) -> Result<()> {
        // Nothing is applied after a plan.
        let Some(wanted) = drift.wanted else { return Ok(()) };
        cx.by_event();
        if !self.run(*wanted, false, cx).await? {
            cx.unchanged();
        }
        Ok(())
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let wake = Arc::clone(&cx.local::<State>().wake);
        let run = Watch::unfold(false, move |is_ready| {
            let wake = Arc::clone(&wake);
            async move {
                if !is_ready {
                    return Ok((WatchEvent::Ready, true));
                }
                wake.notified().await;
                Ok((WatchEvent::Changed, true))
            }
        });
        self.files().into_iter().fold(run, |watch, path| {
            let is_dir = path.ends_with('/');
            watch.and(if is_dir { cx.fs().tree(path) } else { cx.fs().path(path) })
        })
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        if !known.is_known("host") || !known.is_known("prefix") {
            return Vec::new();
        }
        let host = match Address::parse(self.address()) {
            Ok(Address::Ssh(endpoint)) => endpoint.address().to_ascii_lowercase(),
            Ok(Address::Local(name)) => format!("local:{name}"),
            Err(_) => return Vec::new(),
        };
        vec![Uid::of(EnginePlace { host, prefix: self.prefix.clone() })]
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        let fields = [
            ("yaml", &self.yaml, "its graph"),
            ("identity", &self.identity, "its key"),
            ("ssh_config", &self.ssh_config, "its configuration of ssh"),
            ("program", &self.program, "its program"),
        ];
        let need = |(field, path, why): (&str, &Option<PathBuf>, &'static str)| {
            let path = path.as_deref().filter(|_| known.is_known(field)).and_then(|path| normal_form(path).ok())?;
            Some(Need::after(Uid::path(path)).because(why))
        };
        fields.into_iter().filter_map(need).collect()
    }

    fn reads(&self, known: &Known<'_>) -> Vec<Reading> {
        let fields = [("yaml", &self.yaml), ("program", &self.program)];
        let text = |path: &Path| path.to_str().map(str::to_owned);
        let reading = |(field, path): (&'static str, &Option<PathBuf>)| {
            let path = path.as_deref().filter(|_| known.is_known(field)).and_then(text)?;
            Some(Reading { field, path, levels: None })
        };
        fields.into_iter().filter_map(reading).collect()
    }

    fn remarks(&self) -> Vec<String> {
        let local = matches!(Address::parse(self.address()), Ok(Address::Local(_)));
        local.then(|| "runs as a process of its own on this host".to_owned()).into_iter().collect()
    }
}

/// The run there ends and begins again.
impl Refresh for Remote {
    async fn refresh(&self, cx: &ApplyCx) -> Result<bool> {
        let wanted = Wanted::of(self, cx).await?;
        self.run(wanted, true, cx).await
    }
}

/// The run there ends; the resource has left when its process has.
impl Leave for Remote {
    async fn leave(&self, cx: &ApplyCx) -> Result<()> {
        if let Some(live) = cx.local::<State>().take() {
            live.stop().await;
        }
        Ok(())
    }
}

/// The run there in comparison to the declared one.
enum Compared {
    InSync,
    /// As declared, and converged; but it has repaired something since it was looked at last.
    Repaired(Vec<Change>),
    Differs(Change),
}

/// The plan of the host.
async fn planned(wanted: Wanted, cx: &CheckCx) -> Result<Option<RemoteDrift>> {
    if let Some(live) = cx.local::<State>().take() {
        // The resource was put in noop.
        live.stop().await;
    }
    let host = wanted.host(cx).await?;
    let job = wanted.job(host.name()).await?;
    let planned = host.plan(&job).await.map_err(|error| text::failed(host.name(), &error))?;
    let changes = text::planned(&planned.plan);
    if let Some(there) = planned.there {
        cx.send(Remote::NODENAME, there.hostname);
    }
    cx.send(Remote::CHANGED, 0);
    Ok((!planned.plan.is_empty()).then_some(RemoteDrift { changes, wanted: None }))
}

impl Remote {
    pub(super) fn address(&self) -> &str {
        self.host.as_deref().unwrap_or(&self.name)
    }

    /// The same resource without a graph.
    pub(super) fn without_graph(&self) -> Remote {
        Remote { graph: None, yaml: None, ..self.clone() }
    }

    fn wrong_host(&self) -> Option<FieldProblem> {
        let error = Address::parse(self.address()).err()?;
        Some(match self.host {
            Some(_) => FieldProblem::new("host", format_args!(": {error}"), ""),
            None => FieldProblem::new("host", format_args!("(taken from the name): {error}"), ""),
        })
    }

    /// A process of its own on this host needs no login.
    fn wrong_local(&self) -> Option<FieldProblem> {
        let is_local = matches!(Address::parse(self.address()), Ok(Address::Local(_)));
        let fields = [
            ("become", self.r#become.is_some()),
            ("identity", self.identity.is_some()),
            ("ssh_config", self.ssh_config.is_some()),
        ];
        let (field, _) = fields.into_iter().find(|(_, is_given)| is_local && *is_given)?;
        let problem = "has no meaning for a process of its own on this host";
        Some(FieldProblem::new([field, "host"], problem, "leave it out, or name a host that ssh knows"))
    }

    fn wrong_graph(&self) -> Option<FieldProblem> {
        let Some(graph) = &self.graph else { return None };
        if self.yaml.is_some() {
            let remedy = "leave one of them out";
            return Some(FieldProblem::new(["graph", "yaml"], "are two graphs for one run", remedy));
        }
        let problems = match graph.config() {
            Ok(config) => validate(config).err()?,
            Err(problems) => problems.clone(),
        };
        let all: Vec<_> = problems.0.iter().map(|problem| problem.message.as_str()).collect();
        Some(FieldProblem::new("graph", format_args!(": {}", all.join("; ")), ""))
    }

    /// The files of this host whose change leads to another run.
    fn files(&self) -> Vec<String> {
        let config = self.graph.as_ref().and_then(|graph| graph.config().ok());
        let read = config.map(|config| files_read(config, &[])).unwrap_or_default();
        let yaml = self.yaml.iter().filter_map(|path| path.to_str().map(str::to_owned));
        yaml.chain(read.into_iter().map(|read| read.reading.path)).collect()
    }

    async fn compared(&self, live: &Arc<Live>, wanted: &Wanted, state: &State, cx: &CheckCx) -> Result<Compared> {
        let differs = |from: &str, to: &str| Ok(Compared::Differs(Change::new("run", from, to)));
        if let Some(ended) = live.ended() {
            drop(state.take());
            return match text::ended(&wanted.name()?, &ended) {
                Some(error) => Err(error),
                None => differs("ended", "running"),
            };
        }
        if !live.has(&wanted.settings) {
            return differs("running with other settings", "running as declared");
        }
        if live.shape() != wanted.shape {
            return Ok(Compared::Differs(Change::new("graph", "another one", "as declared")));
        }
        let status = live.status().await.map_err(|error| text::failed(&wanted.name().unwrap_or_default(), &error))?;
        if status.converged {
            live.set_failed(false);
            let changes = live.seen.changes();
            if !changes.is_empty() {
                return Ok(Compared::Repaired(changes));
            }
            report(live, cx);
            return Ok(Compared::InSync);
        }
        if !status.hopeless {
            return differs("repairing", "converged");
        }
        let error = text::hopeless(&wanted.name()?, &status);
        let is_for_good = error.obstacle().is_none();
        if live.has_failed() && is_for_good {
            return differs("failed", "running");
        }
        live.set_failed(is_for_good);
        Err(error)
    }

    /// Lets the run there be as declared, and waits until it has converged. `again`: it begins again in any case.
    /// Returns whether anything was changed there.
    async fn run(&self, wanted: Wanted, again: bool, cx: &ApplyCx) -> Result<bool> {
        let state = cx.local::<State>();
        let name = wanted.name()?;
        let failed = |error: &RemoteError| text::failed(&name, error);
        let is_kept = |live: &Live| {
            let shape = live.shape();
            let is_good = match shape == wanted.shape {
                true => !live.has_failed(),
                // Only a graph that was sent can be replaced by one that is sent.
                false => shape.graph.is_some() && wanted.parcel.is_some(),
            };
            !again && is_good && live.has(&wanted.settings)
        };
        let live = match state.live().filter(|live| live.ended().is_none()) {
            Some(live) if is_kept(&live) => {
                if let Some(parcel) = wanted.parcel.as_ref().filter(|_| live.shape() != wanted.shape) {
                    live.swap(parcel, wanted.shape.clone()).await.map_err(|error| failed(&error))?;
                }
                live
            }
            former => {
                if let Some(former) = former {
                    former.stop().await;
                }
                drop(state.take());
                let host = wanted.host(cx).await?;
                let job = wanted.job(&name).await?;
                let ends = cx.door::<Ends>(&()).await?;
                let live =
                    state.start(&host, &job, wanted.settings, wanted.shape).await.map_err(|error| failed(&error))?;
                ends.add(&live.run);
                live
            }
        };
        let status = match live.settled().await {
            Ok(status) => status,
            Err(error) => return Err(self.cut_off(&live, &state, &name, &error)),
        };
        if status.hopeless {
            let error = text::hopeless(&name, &status);
            live.set_failed(error.obstacle().is_none());
            return Err(error);
        }
        live.set_failed(false);
        let has_changed = live.seen.take_changes();
        report(&live, cx);
        Ok(has_changed)
    }

    /// The error of a run that ended while it was waited for.
    fn cut_off(&self, live: &Live, state: &State, name: &str, error: &RemoteError) -> Error {
        drop(state.take());
        live.ended().and_then(|ended| text::ended(name, &ended)).unwrap_or_else(|| text::failed(name, error))
    }
}

/// Sends the outputs.
fn report(live: &Live, cx: &CheckCx) {
    if let Some(there) = live.seen.there() {
        cx.send(Remote::NODENAME, there.hostname);
    }
    cx.send(Remote::CHANGED, live.seen.changed());
}

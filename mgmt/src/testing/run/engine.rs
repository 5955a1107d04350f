//! An engine on a simulated host, in simulated time.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::runtime::{Builder as RuntimeBuilder, Runtime};

use crate::gapi::Fixed;
use crate::graph::{Graph, GraphConfig, Problems};
use crate::id::ResourceId;
use crate::resource::Result as ResourceResult;
use crate::runtime::{Builder, Engine, Event, EventKind, Events, Stage, Standing, Status};
use crate::sys::simulated::{Host, Life};

/// The time of the host that a graph may take to converge.
const DAY: Duration = Duration::from_secs(86_400);
/// When nothing has happened for this time, nothing is under way.
const MOMENT: Duration = Duration::from_millis(2);
/// How often a graph may begin again to work after it has converged, until it is left alone.
const AGAIN_MAX: usize = 100;

/// A graph for a test: one that is finished, or a function that declares it, such as the one that a program gives to
/// `mgmt::main`.
pub trait IntoGraph {
    /// The graph.
    ///
    /// # Errors
    /// What is wrong with it.
    fn into_graph(self) -> Result<GraphConfig, String>;
}

impl IntoGraph for GraphConfig {
    fn into_graph(self) -> Result<GraphConfig, String> {
        Ok(self)
    }
}

impl IntoGraph for Result<GraphConfig, Problems> {
    fn into_graph(self) -> Result<GraphConfig, String> {
        self.map_err(|problems| problems.to_string())
    }
}

impl<F: FnOnce(&mut Graph) -> ResourceResult<()>> IntoGraph for F {
    fn into_graph(self) -> Result<GraphConfig, String> {
        let mut graph = Graph::new("tested");
        self(&mut graph).map_err(|error| error.to_string())?;
        graph.finish().map_err(|problems| problems.to_string())
    }
}

/// How [`Run::settle`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settled {
    /// All resources are as declared, and nothing is under way.
    Converged,
    /// The graph can't converge by itself: see [`EventKind::Hopeless`].
    Hopeless,
    /// The process was killed.
    Killed,
    /// The engine has ended by itself.
    Ended,
    /// The graph has not converged in a day of the host's time. These resources are not as declared.
    Late(Vec<ResourceId>),
}

/// An engine that runs a graph on a simulated host. Its time is simulated: it passes only in the functions of this type
/// that wait, and as fast as nothing happens. When this is dropped, the process is killed.
///
/// The engine has a runtime of its own: use it in plain `#[test]` functions, not in asynchronous ones.
#[derive(Debug)]
pub struct Run {
    host: Host,
    life: Life,
    config: GraphConfig,
    edges: Vec<(ResourceId, ResourceId)>,
    engine: Option<Engine>,
    events: Events,
    recorded: Vec<Event>,
    is_hopeless: bool,
    // Dropped last.
    runtime: Option<Runtime>,
}

impl Host {
    /// Starts an engine with this graph. What runs on the host so far is killed.
    ///
    /// # Panics
    /// The graph is wrong, or a failure is arranged for a resource that is not in it.
    #[track_caller]
    pub fn start(&self, graph: impl IntoGraph) -> Run {
        self.start_with(graph, |builder| builder)
    }

    /// Like [`Host::start`], with settings of the engine.
    ///
    /// # Panics
    /// As [`Host::start`].
    #[track_caller]
    pub fn start_with(&self, graph: impl IntoGraph, settings: impl FnOnce(Builder<Fixed>) -> Builder<Fixed>) -> Run {
        match self.try_start(graph, settings) {
            Ok(run) => run,
            Err(error) => panic!("the graph does not run: {error}"),
        }
    }

    /// Like [`Host::start_with`], for a graph that may be wrong.
    ///
    /// # Errors
    /// The graph is wrong.
    pub fn try_start(
        &self,
        graph: impl IntoGraph,
        settings: impl FnOnce(Builder<Fixed>) -> Builder<Fixed>,
    ) -> Result<Run, String> {
        self.on(|| {
            let config = self.cast(graph.into_graph()?, false)?;
            let runtime = paused_runtime()?;
            let life = self.new_life();
            let (sender, ready) = std::sync::mpsc::channel();
            let started = runtime.block_on(async {
                self.begin_time();
                let builder = settings(Engine::builder().graph(config.clone()));
                let builder = builder.inspect(move |prepared| {
                    // The receiver is gone after the first graph.
                    let _ = sender.send(prepared);
                    std::future::ready(())
                });
                let events = builder.events();
                let started = builder.start().await.map(|engine| (engine, events));
                self.pause_time();
                started
            });
            let (engine, events) = started.map_err(|error| error.to_string())?;
            let prepared = ready.try_recv().map_err(|error| error.to_string())?;
            let config = GraphConfig::clone(prepared.config());
            let id = |at: u32| config.vertices.get(at as usize).map(|vertex| vertex.id());
            let edges = config.edges.iter().filter_map(|edge| Some((id(edge.from)?, id(edge.to)?))).collect();
            if let Some(unknown) = self.part::<Stage>().unknown(|id| config.get(id).is_some()) {
                return Err(format!("a failure is arranged for {unknown}, which is not in the graph"));
            }
            let (engine, runtime, host) = (Some(engine), Some(runtime), self.clone());
            let (recorded, is_hopeless) = (Vec::new(), false);
            Ok(Run { host, life, config, edges, engine, events, recorded, is_hopeless, runtime })
        })
    }
}

/// A runtime in which time passes only while nothing else happens.
pub(super) fn paused_runtime() -> Result<Runtime, String> {
    let runtime = RuntimeBuilder::new_current_thread().enable_all().start_paused(true).build();
    runtime.map_err(|error| error.to_string())
}

impl Run {
    /// The host on which the graph runs.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The graph as it runs, with its automatic edges.
    pub fn graph(&self) -> &GraphConfig {
        &self.config
    }

    /// The edges of the graph: the first resource comes before the second one.
    pub(crate) fn edges(&self) -> &[(ResourceId, ResourceId)] {
        &self.edges
    }

    /// Everything that the engine has reported, since the start or since [`Run::forget`].
    pub fn events(&self) -> &[Event] {
        &self.recorded
    }

    /// Forgets what was reported so far: what follows is compared by itself.
    pub fn forget(&mut self) {
        self.recorded.clear();
    }

    /// Waits until the graph has converged and nothing is under way.
    ///
    /// # Panics
    /// It does not: the message names the resources that are not as declared, with the last errors.
    #[track_caller]
    pub fn converge(&mut self) {
        match self.settle() {
            Settled::Converged => {}
            other => panic!("{}", self.complaint(&other)),
        }
    }

    /// Waits until the graph has converged and nothing is under way, or can't converge by itself, or a day of the
    /// host's time has passed, or the process was killed.
    pub fn settle(&mut self) -> Settled {
        for _ in 0..AGAIN_MAX {
            // What has just happened on the host is noticed within a moment.
            self.pass(MOMENT);
            let before = self.activity();
            let Some(engine) = self.engine.clone().filter(|_| !self.life.is_over()) else { return self.end() };
            if self.is_hopeless {
                return Settled::Hopeless;
            }
            let is_late = self.follow(async {
                let converged = async { _ = engine.idle().await.is_ok() && engine.converged().await.is_ok() };
                tokio::time::timeout(DAY, converged).await.is_err()
            });
            if self.life.is_over() {
                return self.end();
            }
            if self.is_hopeless {
                return Settled::Hopeless;
            }
            if is_late == Some(true) {
                return Settled::Late(self.unsettled());
            }
            self.pass(MOMENT);
            if engine.is_converged() && self.activity() == before {
                return Settled::Converged;
            }
            if self.recorded.last().is_some_and(|event| event.kind == EventKind::Stopped) {
                return self.end();
            }
        }
        Settled::Late(self.unsettled())
    }

    /// Lets time of the host pass.
    pub fn pass(&mut self, time: Duration) {
        self.follow(async move { tokio::time::sleep(time).await });
    }

    /// The state of the engine and of its resources; `None`: the process is over.
    pub fn status(&mut self) -> Option<Status> {
        let engine = self.engine.clone()?;
        self.follow(async move { engine.status().await.ok() }).flatten()
    }

    /// Puts another graph in force.
    ///
    /// # Panics
    /// The graph is wrong.
    #[track_caller]
    pub fn swap(&mut self, graph: impl IntoGraph) {
        let config = match self.host.on(|| self.host.cast(graph.into_graph()?, false)) {
            Ok(config) => config,
            Err(error) => panic!("the next graph is wrong: {error}"),
        };
        let Some(engine) = self.engine.clone() else { panic!("no engine runs any more") };
        let swapped = self.follow({
            let config = config.clone();
            async move { engine.swap(config).await.map_err(|error| error.to_string()) }
        });
        if let Some(Err(error)) = swapped {
            panic!("the next graph is wrong: {error}");
        }
        let id = |at: u32| config.vertices.get(at as usize).map(|vertex| vertex.id());
        self.edges = config.edges.iter().filter_map(|edge| Some((id(edge.from)?, id(edge.to)?))).collect();
        self.config = config;
    }

    /// Stops the engine in order, and returns the host.
    pub fn stop(mut self) -> Host {
        if let Some(engine) = self.engine.take() {
            // If it can't stop, it is killed.
            self.follow(async move { drop(engine.stop().await) });
        }
        self.host.clone()
    }

    /// Kills the process, as `kill -9` or a power cut would: nothing that it had begun has any effect from now on. Its
    /// journal stays on the host, where the next engine finds it.
    pub fn kill(mut self) -> Host {
        self.life.end();
        self.end();
        self.host.clone()
    }

    /// Runs until the future is ready, and records what is reported meanwhile. `None`: the process was killed, or the
    /// graph has become hopeless.
    fn follow<T>(&mut self, until: impl Future<Output = T>) -> Option<T> {
        let runtime = self.runtime.as_ref()?;
        let Run { host, life, events, recorded, is_hopeless, .. } = self;
        let was_hopeless = *is_hopeless;
        host.on(|| {
            runtime.block_on(async {
                // Outside of the runtime, its clock can't be read.
                host.begin_time();
                let mut until = pin!(until);
                let mut is_open = true;
                let value = loop {
                    tokio::select! {
                        biased;
                        () = life.over() => break None,
                        event = events.next(), if is_open => match event {
                            Some(event) => {
                                match event.kind {
                                    EventKind::Hopeless => *is_hopeless = true,
                                    EventKind::Hopeful | EventKind::Swapped { .. } => *is_hopeless = false,
                                    _ => {}
                                }
                                recorded.push(event);
                                if *is_hopeless && !was_hopeless {
                                    break None;
                                }
                            }
                            None => is_open = false,
                        },
                        value = &mut until => break Some(value),
                    }
                };
                host.pause_time();
                value
            })
        })
    }

    /// The process is over: what it held in memory is dropped, without any effect.
    fn end(&mut self) -> Settled {
        let is_killed = self.life.is_over();
        self.life.end();
        let (engine, runtime) = (self.engine.take(), self.runtime.take());
        self.host.on(|| drop((engine, runtime)));
        if is_killed { Settled::Killed } else { Settled::Ended }
    }

    /// How much has been done so far.
    fn activity(&self) -> usize {
        let is_quiet = |event: &&Event| !matches!(event.kind, EventKind::InSync { .. });
        self.recorded.iter().filter(is_quiet).count()
    }

    /// The resources that are not settled.
    fn unsettled(&mut self) -> Vec<ResourceId> {
        let status = self.status();
        let all = status.map(|status| status.notable).unwrap_or_default();
        all.into_iter().filter(|resource| resource.standing != Standing::Settled).map(|resource| resource.id).collect()
    }

    /// The reason why the graph has not converged.
    pub(crate) fn complaint(&mut self, settled: &Settled) -> String {
        let mut text = match settled {
            Settled::Converged => "the graph has converged".to_owned(),
            Settled::Killed => "the process was killed".to_owned(),
            Settled::Ended => "the engine has ended".to_owned(),
            Settled::Hopeless => "the graph can't converge by itself".to_owned(),
            Settled::Late(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                format!("the graph has not converged in a day; not settled: {}", ids.join(", "))
            }
        };
        let errors = self.recorded.iter().filter_map(|event| match &event.kind {
            EventKind::Failed { id, operation, error, .. } | EventKind::Waiting { id, operation, error, .. } => {
                Some(format!("\n  {operation} of {id}: {error}"))
            }
            _ => None,
        });
        let errors: Vec<String> = errors.collect();
        text.extend(errors.iter().rev().take(5).rev().map(String::as_str));
        text
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.end();
    }
}

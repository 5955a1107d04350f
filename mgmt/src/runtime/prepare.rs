//! Makes graphs ready for this host: the only way to what an engine runs, plans, or draws.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::graph::{self, AutoEdges, AutoGroups, Draft, Former, GraphConfig, Prepared, Problem, Problems, Reduction};
use crate::resource::{AnyResource, BoxFuture, Findings, PrepareCx, PrepareFn, Provisions};
use crate::runtime::exchange::Site;
use crate::runtime::places::{RealPlaces, misplaced};
use crate::sys::fs::ReadFs;
use crate::sys::task::{caught_async, side_by_side};

/// How long all resources together may look at the system before the passes. The default of `Builder::prepare_timeout`.
const TIMEOUT: Duration = Duration::from_secs(10);
/// At most this many resources look at once.
const LOOKING_MAX: usize = 16;

/// What the program wants to do with each graph before it is put in force.
type Inspect = Arc<dyn Fn(Prepared) -> BoxFuture<()> + Send + Sync>;

/// How an engine makes graphs ready.
#[derive(Clone)]
pub(crate) struct Preparing {
    /// How long all resources together may look at the system.
    pub(crate) timeout: Duration,
    /// The engine's own working directory.
    pub(crate) prefix: Option<PathBuf>,
    fs: ReadFs,
    pub(crate) settings: graph::Settings,
    pub(crate) inspect: Option<Inspect>,
    /// This host among others.
    pub(crate) site: Site,
    /// The previous graph, with which the next one is compared. Clones share it.
    former: Arc<Mutex<Former>>,
}

impl Default for Preparing {
    fn default() -> Preparing {
        Preparing {
            timeout: TIMEOUT,
            prefix: None,
            fs: ReadFs::new(),
            settings: graph::Settings::default()
                .provisions(Provisions::default())
                .hands(side_by_side)
                .pass(AutoEdges)
                .pass(Reduction)
                .grouping(AutoGroups),
            inspect: None,
            site: Site::default(),
            former: Arc::default(),
        }
    }
}

fn lock(former: &Mutex<Former>) -> MutexGuard<'_, Former> {
    former.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Preparing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl Preparing {
    /// The graph, ready for this host. It has what it collects; `warnings`: those about that.
    pub(super) async fn resolved(&self, config: GraphConfig, warnings: Vec<Problem>) -> Result<Prepared, Problems> {
        let former = lock(&self.former).clone();
        let draft = Draft::new(config, &self.settings, &former)?.warn(warnings);
        let (findings, warnings) = self.look(&draft).await;
        let prepared = {
            let places = RealPlaces::of(draft.owned());
            let prepared = draft.finish(findings, warnings, &places)?;
            Problems(misplaced(&prepared, &places, self.prefix.as_deref())).into_result()?;
            prepared
        };
        *lock(&self.former) = prepared.former();
        self.inspected(&prepared).await;
        Ok(prepared)
    }

    /// The same, ready for a host that is not looked at: it may be another host.
    pub(super) async fn unseen(&self, config: GraphConfig, warnings: Vec<Problem>) -> Result<Prepared, Problems> {
        let prepared = graph::prepare_with(config, &self.settings, warnings)?;
        self.inspected(&prepared).await;
        Ok(prepared)
    }

    /// What the resources that can look at the system before the passes find there, and a warning for each that could
    /// not look.
    async fn look(&self, draft: &Draft<'_>) -> (HashMap<u32, Findings>, Vec<Problem>) {
        let (mut findings, mut warnings) = (HashMap::new(), Vec::new());
        let curious = draft.curious();
        if curious.is_empty() {
            return Default::default();
        }
        let (mut curious, provisions) = (curious.into_iter(), self.settings.provided());
        // `None`: a timeout beyond all representable times.
        let deadline = Instant::now().checked_add(self.timeout);
        let mut looking = JoinSet::new();
        let mut vertices = HashMap::new();
        loop {
            while looking.len() < LOOKING_MAX
                && let Some((at, vertex)) = curious.next()
                && let Some(prepare) = vertex.resource.spec().abilities.prepare
            {
                vertices.insert(at, vertex);
                let (spec, fs) = (vertex.resource.spec(), self.fs.clone());
                let cx = PrepareCx::new(vertex.id(), spec, draft.coming(at), fs, provisions.clone());
                let resource = Arc::clone(&vertex.resource);
                looking.spawn(async move { (at, bounded(deadline, prepare, resource, cx).await) });
            }
            match looking.join_next().await {
                Some(Ok((at, Ok(found)))) => drop(findings.insert(at, found)),
                Some(Ok((at, Err(why)))) => warnings.push((at, why)),
                Some(Err(_)) => unreachable!("looks are caught when they panic, and never aborted"),
                None => break,
            }
        }
        warnings.sort_unstable();
        let warning = |(at, why): (u32, String)| {
            let vertex = vertices[&at];
            let message = format!(
                "{} could not look at the system before the passes: {why}; edges that follow from what it would have found are missing",
                vertex.id()
            );
            Problem::new(message, vertex.origin.clone())
        };
        (findings, warnings.into_iter().map(warning).collect())
    }

    async fn inspected(&self, prepared: &Prepared) {
        let Some(inspect) = &self.inspect else { return };
        if let Err(panic) = caught_async(async { inspect(prepared.clone()).await }).await {
            tracing::error!(target: "mgmt", "looking at a graph before it is put in force {panic}");
        }
    }
}

/// What one resource finds, or why it finds nothing.
async fn bounded(
    deadline: Option<Instant>,
    prepare: PrepareFn,
    resource: Arc<dyn AnyResource>,
    cx: PrepareCx,
) -> Result<Findings, String> {
    let look = caught_async(async { prepare(resource, cx).await });
    let looked = match deadline {
        Some(deadline) => timeout_at(deadline, look).await,
        None => Ok(look.await),
    };
    match looked {
        Ok(Ok(found)) => found.map_err(|error| error.to_string()),
        Ok(Err(panic)) => Err(panic),
        Err(_) => Err("it took too long (`Builder::prepare_timeout`)".to_owned()),
    }
}

//! From a declared graph to one that can run: the only way.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::graph::config::{GraphConfig, Vertex};
use crate::graph::data::GraphData;
use crate::graph::exchange::{Offers, Resolution, Taken, check_exchange, resolve};
use crate::graph::former::{Former, Likeness, Same};
use crate::graph::grouping::{AutoGroups, GroupGraph, Grouping};
use crate::graph::groups::Groups;
use crate::graph::host::{AnyHost, Host};
use crate::graph::index::Index;
use crate::graph::pass::{Grown, Pass, Seen};
use crate::graph::problem::{Problem, Problems};
use crate::graph::twice::merged;
use crate::graph::validate::{Hands, indexed, one_by_one, rechecked};
use crate::id::ResourceId;
use crate::resource::{Findings, Meta, PathList, Provisions};

/// The settings that are applied to every graph before it runs.
#[derive(Clone, Debug)]
#[must_use]
pub struct Settings {
    noop: bool,
    alert: bool,
    autoedge: bool,
    autogroup: bool,
    passes: Vec<Arc<dyn Pass>>,
    grouping: Option<Arc<dyn Grouping>>,
    /// The grouping is `AutoGroups`.
    is_default: bool,
    provisions: Option<Provisions>,
    /// How the resources of a large graph are examined.
    hands: Hands,
}

impl Default for Settings {
    /// Changes nothing, and runs no pass.
    fn default() -> Settings {
        Settings {
            noop: false,
            alert: false,
            autoedge: true,
            autogroup: true,
            passes: Vec::new(),
            grouping: None,
            is_default: false,
            provisions: None,
            hands: one_by_one,
        }
    }
}

impl Settings {
    /// Puts every resource in noop. Default: false.
    pub fn noop(mut self, noop: bool) -> Settings {
        self.noop = noop;
        self
    }

    /// Turns the metaparameter `alert` of every resource on: nothing is repaired, and all drift is an alert. Default:
    /// false.
    pub fn alert_only(mut self, alert: bool) -> Settings {
        self.alert = alert;
        self
    }

    /// Whether passes may add edges; `false` turns the metaparameter `autoedge` of every resource off. Default: true.
    pub fn autoedge(mut self, autoedge: bool) -> Settings {
        self.autoedge = autoedge;
        self
    }

    /// Whether resources may be grouped; `false` turns the metaparameter `autogroup` of every resource off. Default:
    /// true.
    pub fn autogroup(mut self, autogroup: bool) -> Settings {
        self.autogroup = autogroup;
        self
    }

    /// Adds a pass after the earlier ones. Default: none.
    pub fn pass(mut self, pass: impl Pass) -> Settings {
        self.passes.push(Arc::new(pass));
        self
    }

    /// Sets the grouping, in place of an earlier one. Default: none.
    pub fn grouping<G: Grouping>(mut self, grouping: G) -> Settings {
        self.is_default = TypeId::of::<G>() == TypeId::of::<AutoGroups>();
        self.grouping = Some(Arc::new(grouping));
        self
    }

    /// The values that the program provides to its kinds; a graph with a kind that needs another value is refused.
    /// Default: the needs of kinds are not checked.
    pub(crate) fn provisions(mut self, provisions: Provisions) -> Settings {
        self.provisions = Some(provisions);
        self
    }

    /// The values that the program provides to its kinds.
    pub(crate) fn provided(&self) -> Provisions {
        self.provisions.clone().unwrap_or_default()
    }

    /// The function that examines the resources of large graphs in pieces. Default: one piece after the other.
    pub(crate) fn hands(mut self, hands: Hands) -> Settings {
        self.hands = hands;
        self
    }

    /// Whether no resource is repaired, by [`noop`](Settings::noop) or [`alert_only`](Settings::alert_only).
    pub fn is_noop(&self) -> bool {
        self.noop || self.alert
    }

    /// The metaparameters in force for a resource that declares these; `None` if they are the declared ones.
    fn meta(&self, declared: Option<&Meta>) -> Option<Meta> {
        let plain = Meta::default();
        let declared = declared.unwrap_or(&plain);
        let meta = Meta {
            noop: declared.noop || self.noop,
            alert: declared.alert || self.alert,
            autoedge: declared.autoedge && self.autoedge,
            autogroup: declared.autogroup && self.autogroup,
            ..declared.clone()
        };
        (meta != *declared).then_some(meta)
    }

    /// The graph with its settings overridden by these.
    fn applied(&self, source: &Arc<GraphConfig>) -> Arc<GraphConfig> {
        if !self.is_noop() && self.autoedge && self.autogroup {
            return Arc::clone(source);
        }
        // Resources that share their metaparameters still share them afterwards.
        let mut made: HashMap<Option<*const Meta>, Option<Arc<Meta>>> = HashMap::new();
        let mut apply = |vertex: &Vertex| {
            let key = vertex.meta.as_ref().map(Arc::as_ptr);
            let meta = made.entry(key).or_insert_with(|| self.meta(vertex.meta.as_deref()).map(Arc::new));
            Vertex { meta: meta.clone().or_else(|| vertex.meta.clone()), ..vertex.clone() }
        };
        Arc::new(GraphConfig {
            name: source.name.clone(),
            vertices: source.vertices.iter().map(&mut apply).collect(),
            edges: source.edges.clone(),
            links: source.links.clone(),
            exports: source.exports.clone(),
            collects: Vec::new(),
            awaited: Vec::new(),
        })
    }
}

/// A valid graph with the settings applied and the edges of passes added: the only form that can be run, planned or
/// drawn. Made by [`prepare`]. Clones share all data.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    source: Arc<GraphConfig>,
    config: Arc<GraphConfig>,
    index: Arc<Index>,
    warnings: Arc<[Problem]>,
    groups: Arc<OnceLock<Groups>>,
    /// The default grouping applies.
    is_grouped: bool,
    /// The resources that are the same as in the graph that was prepared before.
    same: Option<Same>,
    exchanged: Option<Arc<Exchanged>>,
}

/// The graph that another one was made from by collecting.
#[derive(Debug)]
pub(crate) struct Exchanged {
    /// The graph as it was declared.
    pub(crate) declared: Arc<GraphConfig>,
    /// What its rules have taken.
    pub(crate) taken: Taken,
    /// Distinguishes it from those made before and after.
    pub(crate) number: u64,
}

impl Prepared {
    /// The same, made from that graph.
    pub(crate) fn of(self, exchanged: Exchanged) -> Prepared {
        Prepared { exchanged: Some(Arc::new(exchanged)), ..self }
    }

    /// The graph that this one was made from, if it exports or collects.
    pub(crate) fn exchanged(&self) -> Option<&Arc<Exchanged>> {
        self.exchanged.as_ref()
    }

    /// The graph as it runs: with the settings of the engine, and with the edges that passes added. Its vertices have
    /// the same indices as in the source.
    pub fn config(&self) -> &Arc<GraphConfig> {
        &self.config
    }

    /// The graph as it was declared, with one vertex for what was declared more than once (see
    /// [`Merge`](crate::resource::Merge)).
    pub fn source(&self) -> &Arc<GraphConfig> {
        &self.source
    }

    /// The index of the resource with that identity among the vertices; `None` if there is none.
    pub fn find(&self, id: &ResourceId) -> Option<u32> {
        self.index.find_id(&self.config.vertices, id)
    }

    /// The groups of the graph. If no kind has both [`Grouped`](crate::resource::Grouped) and
    /// [`ConvergeMany`](crate::resource::ConvergeMany), so that no group is an operation, the default grouping finds
    /// them at the first call.
    pub fn groups(&self) -> &Groups {
        self.groups.get_or_init(|| match self.is_grouped {
            // Of these kinds nothing can be refused.
            true => {
                let graph = GroupGraph::new(&self.config).0;
                Groups::of(&AutoGroups, &graph, &mut Vec::new()).unwrap_or_default()
            }
            false => Groups::default(),
        })
    }

    /// The graph as it runs, and its groups, as plain data.
    ///
    /// # Errors
    /// Fields that have no form as data.
    pub fn data(&self) -> Result<GraphData, Problems> {
        let mut data = self.config.to_data()?;
        let id = |at: &u32| self.config.vertices[*at as usize].id();
        data.groups = self.groups().all().iter().map(|group| group.iter().map(id).collect()).collect();
        Ok(data)
    }

    /// The groups whose operations are one call for all members.
    pub(crate) fn operated_groups(&self) -> impl Iterator<Item = &[u32]> {
        let all = self.groups.get().map_or(&[][..], Groups::all).iter().map(Vec::as_slice);
        all.filter(|group| self.config.vertices[group[0] as usize].is_operated_in_groups())
    }

    /// This graph, for a comparison with the next one.
    pub(crate) fn former(&self) -> Former {
        // Resources that have not changed are not checked again, so their warnings would be lost.
        if self.warnings.is_empty() { Former::new(&self.source, &self.index) } else { Former::default() }
    }

    /// The resources that are the same as in the graph that was prepared before, if that is known. The second call
    /// returns `None`.
    pub(crate) fn take_same(&mut self) -> Option<Same> {
        self.same.take()
    }

    /// The index of the resources.
    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// The paths that the graph's resources own, sorted.
    pub fn owned(&self) -> &Arc<PathList> {
        self.index.owned()
    }

    /// The files of which the graph's resources keep a part, each once, sorted.
    pub fn parts(&self) -> &Arc<[PathBuf]> {
        self.index.parts()
    }

    /// Departures from the declared graph that do not keep it from running: edges that would have closed a cycle,
    /// passes that panicked, and mistakes in a file that are only warnings for their kind.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

/// A valid graph with the settings applied, before the passes.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    settings: &'a Settings,
    source: Arc<GraphConfig>,
    config: Arc<GraphConfig>,
    index: Arc<Index>,
    warnings: Vec<Problem>,
    same: Option<Same>,
    /// The groups of some kind are operations.
    has_grouped: bool,
}

impl<'a> Draft<'a> {
    /// Applies the settings and checks the whole graph, except for what is the same as in the former graph.
    ///
    /// # Errors
    /// All mistakes in the graph.
    pub(crate) fn new(config: GraphConfig, settings: &'a Settings, former: &Former) -> Result<Draft<'a>, Problems> {
        check_exchange(&config)?;
        let mut source = Arc::new(config);
        let mut config = settings.applied(&source);
        let (provisions, hands) = (settings.provisions.as_ref(), settings.hands);
        if let Some(likeness) = former.likeness(&source, hands) {
            let warnings = rechecked(&config, &likeness, provisions)?;
            let Likeness { same, index, changed, .. } = likeness;
            let is_operated = |at: &u32| config.vertices[*at as usize].is_operated_in_groups();
            let has_grouped = index.has_grouped() || changed.iter().any(is_operated);
            return Ok(Draft { settings, source, config, index, warnings, same: Some(same), has_grouped });
        }
        // Few graphs have a resource twice: it is looked for only in those that would be refused.
        let (index, warnings) = match indexed(&config, provisions, hands) {
            Ok(checked) => checked,
            Err(problems) => {
                source = Arc::new(merged(&source).ok_or(problems)?);
                config = settings.applied(&source);
                indexed(&config, provisions, hands)?
            }
        };
        let has_grouped = index.has_grouped();
        Ok(Draft { settings, source, config, index: Arc::new(index), warnings, same: None, has_grouped })
    }

    /// Adds warnings about how the graph was made.
    pub(crate) fn warn(mut self, warnings: Vec<Problem>) -> Draft<'a> {
        self.warnings.extend(warnings);
        self
    }

    /// The resources that can examine the system before the passes, by index; none if no pass may use the findings.
    pub(crate) fn curious(&self) -> Vec<(u32, &Vertex)> {
        if self.settings.passes.is_empty() || !self.settings.autoedge {
            return Vec::new();
        }
        let all = (0u32..).zip(&self.config.vertices);
        all.filter(|(_, vertex)| vertex.resource.spec().abilities.prepare.is_some() && !vertex.is_hidden()).collect()
    }

    /// The paths that the graph's resources own, sorted.
    pub(crate) fn owned(&self) -> &PathList {
        self.index.owned()
    }

    /// The fields of a resource that will be received.
    pub(crate) fn coming(&self, at: u32) -> Vec<u8> {
        self.config.wired(at)
    }

    /// Runs the passes, and makes the groups. `findings`: what resources have found on the system, by index;
    /// `warnings`: those of resources that could not examine it; `host`: where paths lead on the host that the graph is
    /// for.
    ///
    /// # Errors
    /// What is wrong with the groups.
    pub(crate) fn finish(
        mut self,
        findings: HashMap<u32, Findings>,
        warnings: Vec<Problem>,
        host: &dyn Host,
    ) -> Result<Prepared, Problems> {
        self.warnings.extend(warnings);
        let mut grown = Grown::new(findings, self.warnings);
        for pass in &self.settings.passes {
            let graph = Seen { config: &self.config, index: &self.index, is_open: self.settings.autoedge, host };
            grown.run(&**pass, graph);
        }
        if !grown.edges.is_empty() {
            Arc::make_mut(&mut self.config).edges.append(&mut grown.edges);
        }
        let groups = OnceLock::new();
        let is_default = self.settings.is_default && self.settings.autogroup;
        if let Some(grouping) = self.settings.grouping.as_deref().filter(|_| self.settings.autogroup)
            && (self.has_grouped || !is_default)
        {
            let (graph, mut warnings) = GroupGraph::new(&self.config);
            let found = Groups::of(grouping, &graph, &mut warnings)?;
            grown.warnings.append(&mut warnings);
            groups.get_or_init(|| found);
        }
        let Draft { source, config, index, same, .. } = self;
        let (groups, warnings) = (Arc::new(groups), grown.warnings.into());
        Ok(Prepared { source, config, index, warnings, groups, is_grouped: is_default, same, exchanged: None })
    }
}

/// Makes a graph ready to run: applies the settings, checks the whole graph, runs the passes. The edges of passes are
/// checked when they are added: both ends exist, and no cycle is closed. No resource examines the system (see
/// [`Prepare`](crate::resource::Prepare)), and of what is exported for all hosts the graph collects only its own: an
/// engine does the rest.
///
/// # Errors
/// All mistakes in the graph.
pub fn prepare(config: GraphConfig, settings: &Settings) -> Result<Prepared, Problems> {
    let Resolution { config, warnings, .. } = alone(config, settings, "")?;
    prepare_with(config, settings, warnings)
}

/// The graph with what it collects of its own exports, on the host of that name. In noop nothing is exported.
///
/// # Errors
/// What is wrong with exports and rules.
pub(crate) fn alone(config: GraphConfig, settings: &Settings, host: &str) -> Result<Resolution, Problems> {
    if !config.is_shared() {
        return Ok(Resolution { config, taken: Vec::new(), warnings: Vec::new() });
    }
    check_exchange(&config)?;
    let none = Offers::default();
    let offers = if settings.is_noop() { none } else { none.with_own(host, &config, |_| None) };
    Ok(resolve(&config, &offers, &BTreeMap::new()))
}

/// The same, with the warnings about how the graph was made.
pub(crate) fn prepare_with(
    config: GraphConfig,
    settings: &Settings,
    warnings: Vec<Problem>,
) -> Result<Prepared, Problems> {
    Draft::new(config, settings, &Former::default())?.warn(warnings).finish(HashMap::new(), Vec::new(), &AnyHost)
}

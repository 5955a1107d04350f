//! From a graph that was made to one that can run: the one way.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::graph::config::{GraphConfig, Vertex};
use crate::graph::former::{Former, Likeness, Same};
use crate::graph::index::Index;
use crate::graph::pass::{Grown, Pass};
use crate::graph::problem::{Problem, Problems};
use crate::graph::validate::{Hands, indexed, one_by_one, rechecked};
use crate::id::ResourceId;
use crate::resource::{Findings, Meta, Provisions};

/// What is done to every graph before it runs.
#[derive(Clone, Debug)]
#[must_use]
pub struct Settings {
    noop: bool,
    autoedge: bool,
    autogroup: bool,
    passes: Vec<Arc<dyn Pass>>,
    provisions: Option<Provisions>,
    /// Look at the resources of large graphs.
    hands: Hands,
}

impl Default for Settings {
    /// Nothing is changed, and no pass runs.
    fn default() -> Settings {
        Settings {
            noop: false,
            autoedge: true,
            autogroup: true,
            passes: Vec::new(),
            provisions: None,
            hands: one_by_one,
        }
    }
}

impl Settings {
    /// Puts every resource in noop. Default: no.
    pub fn noop(mut self, noop: bool) -> Settings {
        self.noop = noop;
        self
    }

    /// Whether passes may add edges; `false` puts the metaparameter `autoedge` of every resource off. Default: yes.
    pub fn autoedge(mut self, autoedge: bool) -> Settings {
        self.autoedge = autoedge;
        self
    }

    /// Whether resources may be grouped; `false` puts the metaparameter `autogroup` of every resource off. Default: yes.
    pub fn autogroup(mut self, autogroup: bool) -> Settings {
        self.autogroup = autogroup;
        self
    }

    /// One more pass, after those that were given before. Default: none.
    pub fn pass(mut self, pass: impl Pass) -> Settings {
        self.passes.push(Arc::new(pass));
        self
    }

    /// What the program gives its kinds; a graph with a kind that declares another need is refused. Default:
    /// what kinds need is not looked at.
    pub(crate) fn provisions(mut self, provisions: Provisions) -> Settings {
        self.provisions = Some(provisions);
        self
    }

    /// What the program gives its kinds.
    pub(crate) fn provided(&self) -> Provisions {
        self.provisions.clone().unwrap_or_default()
    }

    /// Resources of large graphs are looked at with these. Default: one after the other.
    pub(crate) fn hands(mut self, hands: Hands) -> Settings {
        self.hands = hands;
        self
    }

    /// Whether every resource is put in noop.
    pub fn is_noop(&self) -> bool {
        self.noop
    }

    /// The metaparameters that are in force where a resource declares these; `None`: as they are.
    fn meta(&self, declared: Option<&Meta>) -> Option<Meta> {
        let plain = Meta::default();
        let declared = declared.unwrap_or(&plain);
        let meta = Meta {
            noop: declared.noop || self.noop,
            autoedge: declared.autoedge && self.autoedge,
            autogroup: declared.autogroup && self.autogroup,
            ..declared.clone()
        };
        (meta != *declared).then_some(meta)
    }

    /// The graph with the settings that override those of its resources.
    fn applied(&self, source: &Arc<GraphConfig>) -> Arc<GraphConfig> {
        if !self.noop && self.autoedge && self.autogroup {
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
        })
    }
}

/// A graph that is valid and to which everything was added that the settings ask for: the only thing that can be put in force, planned, or drawn.
/// Made by [`prepare`]. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    source: Arc<GraphConfig>,
    config: Arc<GraphConfig>,
    index: Arc<Index>,
    warnings: Arc<[Problem]>,
    /// What is the same as in the graph that was prepared before.
    same: Option<Same>,
}

impl Prepared {
    /// The graph as it runs: with the settings of the engine, and with the edges that passes added. Its vertices stand where they stand in the source.
    pub fn config(&self) -> &Arc<GraphConfig> {
        &self.config
    }

    /// The graph as it was declared.
    pub fn source(&self) -> &Arc<GraphConfig> {
        &self.source
    }

    /// The place of the resource with that identity among the vertices.
    pub fn find(&self, id: &ResourceId) -> Option<u32> {
        self.index.find_id(&self.config.vertices, id)
    }

    /// To compare the next graph with.
    pub(crate) fn former(&self) -> Former {
        // What is the same is not looked at again, and would be warned of no more.
        if self.warnings.is_empty() { Former::new(&self.source, &self.index) } else { Former::default() }
    }

    /// What is the same as in the graph that was prepared before, if that is known; once.
    pub(crate) fn take_same(&mut self) -> Option<Same> {
        self.same.take()
    }

    /// Where resources are.
    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// The paths that its resources own, in order.
    pub fn owned(&self) -> &Arc<Vec<PathBuf>> {
        self.index.owned()
    }

    /// What is not as it was asked for, but keeps nothing from running: edges that would have closed a cycle, passes that
    /// panicked, and what a kind warns of in a file.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

/// A graph that is valid and has its settings, before the passes.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    settings: &'a Settings,
    source: Arc<GraphConfig>,
    config: Arc<GraphConfig>,
    index: Arc<Index>,
    warnings: Vec<Problem>,
    same: Option<Same>,
}

impl<'a> Draft<'a> {
    /// Applies the settings, and checks the graph whole, as far as it differs from the former one.
    ///
    /// # Errors
    /// Everything that is wrong with the graph.
    pub(crate) fn new(config: GraphConfig, settings: &'a Settings, former: &Former) -> Result<Draft<'a>, Problems> {
        let source = Arc::new(config);
        let config = settings.applied(&source);
        let (provisions, hands) = (settings.provisions.as_ref(), settings.hands);
        if let Some(likeness) = former.likeness(&source, hands) {
            let warnings = rechecked(&config, &likeness, provisions)?;
            let Likeness { same, index, .. } = likeness;
            return Ok(Draft { settings, source, config, index, warnings, same: Some(same) });
        }
        let (index, warnings) = indexed(&config, provisions, hands)?;
        Ok(Draft { settings, source, config, index: Arc::new(index), warnings, same: None })
    }

    /// The resources that can look at the system before the passes, by place; none if no pass would read what they find.
    pub(crate) fn curious(&self) -> Vec<(u32, &Vertex)> {
        if self.settings.passes.is_empty() {
            return Vec::new();
        }
        let all = (0u32..).zip(&self.config.vertices);
        all.filter(|(_, vertex)| vertex.resource.spec().abilities.prepare.is_some()).collect()
    }

    /// The fields of a resource that are still to be received.
    pub(crate) fn coming(&self, at: u32) -> Vec<u8> {
        self.config.wired(at)
    }

    /// Lets the passes add to it. `findings`: what resources have found on the system, by place; `warnings`: of those that could not look.
    pub(crate) fn finish(mut self, findings: HashMap<u32, Findings>, warnings: Vec<Problem>) -> Prepared {
        self.warnings.extend(warnings);
        let mut grown = Grown::new(findings, self.warnings);
        for pass in &self.settings.passes {
            grown.run(&**pass, &self.config, &self.index);
        }
        if !grown.edges.is_empty() {
            Arc::make_mut(&mut self.config).edges.append(&mut grown.edges);
        }
        let Draft { source, config, index, same, .. } = self;
        Prepared { source, config, index, warnings: grown.warnings.into(), same }
    }
}

/// Makes a graph ready to run: applies the settings, checks it whole, lets the passes add to it. What passes add is checked as it is added: both ends
/// exist, and no cycle is closed. No resource looks at the system (see [`Prepare`](crate::resource::Prepare)): an engine does that.
///
/// # Errors
/// Everything that is wrong with the graph.
pub fn prepare(config: GraphConfig, settings: &Settings) -> Result<Prepared, Problems> {
    Ok(Draft::new(config, settings, &Former::default())?.finish(HashMap::new(), Vec::new()))
}

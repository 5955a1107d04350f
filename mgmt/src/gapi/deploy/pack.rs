//! Packs a graph: as data, with the files that it reads.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::gapi::deploy::carry::{Cargo, carry};
use crate::graph::{
    Carried, ContentId, ContentRef, DEPLOY_BYTES_MAX, GraphConfig, GraphData, Kinds, Problem, Problems, files_read,
    validate,
};
use crate::resource::Origin;

/// A graph that travels, and the files that it reads.
#[derive(Clone)]
pub(crate) struct Packed {
    /// The name of the graph, and how many resources it has.
    pub(crate) name: String,
    pub(crate) resources: usize,
    /// The graph as data, as a content. `None`: only its files travel.
    pub(crate) graph: Option<ContentRef>,
    pub(crate) files: Carried,
    /// The list of the files as a content, if there are any.
    pub(crate) carried: Option<ContentRef>,
    /// All contents: the graph, the list and the files.
    pub(crate) contents: BTreeMap<ContentId, Arc<[u8]>>,
    /// Files that every host has already.
    #[cfg_attr(not(feature = "ssh"), expect(dead_code, reason = "of use to runs on other hosts alone"))]
    pub(crate) on_hosts: Vec<PathBuf>,
}

/// Without the contents, which may be secret.
impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Packed { name, resources, files, .. } = self;
        let paths: Vec<&str> = files.trees.iter().map(|tree| tree.path.as_str()).collect();
        f.debug_struct("Packed").field("graph", name).field("resources", resources).field("files", &paths).finish()
    }
}

/// What may travel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// Files that every host has already.
    pub(crate) on_hosts: Vec<PathBuf>,
    /// Whether it travels through a channel that only the user at its end can read: then secrets travel, and files that
    /// other users of this machine may not read.
    pub(crate) private: PrivateTerms,
}

/// What travels of what is private.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PrivateTerms {
    pub(crate) files: bool,
    pub(crate) secrets: bool,
}

/// The graph and its files, or all reasons why they can't travel. Blocks.
pub(crate) fn pack(config: &GraphConfig, kinds: &Kinds, terms: &Terms) -> Result<Packed, Problems> {
    let data = travelling(config, kinds, terms.private.secrets);
    let (packed, data) = match (pack_files(config, terms), data) {
        (Ok(packed), Ok(data)) => (packed, data),
        (packed, data) => {
            let wrong = [data.err(), packed.err()].into_iter().flatten().flat_map(|Problems(found)| found);
            return Err(Problems(wrong.collect()));
        }
    };
    with_data(packed, &data)
}

fn with_data(mut packed: Packed, data: &GraphData) -> Result<Packed, Problems> {
    let wrong = |why: String| Problems(vec![Problem::new(why, Origin::Unknown)]);
    let bytes: Arc<[u8]> = serde_json::to_vec(data).map_err(|error| wrong(format!("the graph: {error}")))?.into();
    if bytes.len() as u64 > DEPLOY_BYTES_MAX {
        let count = bytes.len();
        return Err(wrong(format!("the graph has {count} bytes as data, and {DEPLOY_BYTES_MAX} is the limit")));
    }
    let graph = ContentRef::of(&bytes);
    packed.graph = Some(graph);
    packed.contents.insert(graph.sha256, bytes);
    Ok(packed)
}

/// The same for a graph whose kinds only the hosts know: what is wrong with it as data is found there.
#[cfg(feature = "ssh")]
pub(crate) fn pack_unread(config: &GraphConfig, terms: &Terms) -> Result<Packed, Problems> {
    let mut data = with_secrets(config)?;
    data.edges.retain(|edge| !edge.automatic);
    with_data(pack_files(config, terms)?, &data)
}

/// The graph as data, if a host can read it.
fn travelling(config: &GraphConfig, kinds: &Kinds, secrets: bool) -> Result<GraphData, Problems> {
    let mut data = match secrets {
        #[cfg(feature = "ssh")]
        true => with_secrets(config),
        _ => config.to_data(),
    }?;
    // What does not travel is marked in it, and found by reading it as a host will.
    data.bind(kinds).and_then(|config| validate(&config))?;
    data.edges.retain(|edge| !edge.automatic);
    Ok(data)
}

/// The graph as data with its secrets, which from now on are in the memory of this process.
#[cfg(feature = "ssh")]
fn with_secrets(config: &GraphConfig) -> Result<GraphData, Problems> {
    let (data, has_secrets) = crate::resource::in_clear(|| config.to_data());
    if has_secrets && let Err(error) = crate::sys::dumps::forbid() {
        tracing::warn!(target: "mgmt", "a core dump would hold the secrets of the graph: {error}");
    }
    data
}

/// The files of a graph alone, or all reasons why they can't travel. Blocks.
pub(crate) fn pack_files(config: &GraphConfig, terms: &Terms) -> Result<Packed, Problems> {
    let cargo = carry(&files_read(config, &terms.on_hosts), terms.private.files).map_err(Problems)?;
    let Cargo { carried: files, mut contents } = cargo;
    let carried = (!files.trees.is_empty()).then(|| {
        let list: Arc<[u8]> = files.bytes().into();
        let content = ContentRef::of(&list);
        contents.insert(content.sha256, list);
        content
    });
    let (name, resources, on_hosts) = (config.name.clone(), config.vertices.len(), terms.on_hosts.clone());
    Ok(Packed { name, resources, graph: None, files, carried, contents, on_hosts })
}

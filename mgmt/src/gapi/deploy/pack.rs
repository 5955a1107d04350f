//! Packs a graph: as data, with the files that it reads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::gapi::deploy::carry::{Cargo, carry};
use crate::graph::{
    Carried, ContentId, ContentRef, DEPLOY_BYTES_MAX, GraphConfig, GraphData, Kinds, Problem, Problems, files_read,
    validate,
};
use crate::resource::Origin;

/// A graph as data, with the files that it reads.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(crate) data: GraphData,
    /// The graph as a content.
    pub(crate) graph: ContentRef,
    pub(crate) files: Carried,
    /// The list of the files as a content, if there are any.
    pub(crate) carried: Option<ContentRef>,
    /// All contents: the graph, the list and the files.
    pub(crate) contents: BTreeMap<ContentId, Arc<[u8]>>,
}

/// What may travel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// Files that every host has already.
    pub(crate) on_hosts: Vec<PathBuf>,
    /// Whether files travel that other users of this machine may not read.
    pub(crate) private: bool,
}

/// The graph and its files, or all reasons why they can't travel. Blocks.
pub(crate) fn pack(config: &GraphConfig, kinds: &Kinds, terms: &Terms) -> Result<Packed, Problems> {
    let (mut problems, mut data) = (Vec::new(), None);
    match config.to_data() {
        Ok(made) => {
            // What does not travel is marked in it, and found by reading it as a host will.
            let read = made.bind(kinds).and_then(|config| validate(&config));
            problems.extend(read.err().unwrap_or_default().0);
            data = Some(made);
        }
        Err(Problems(found)) => problems.extend(found),
    }
    let cargo = carry(&files_read(config, &terms.on_hosts), terms.private).unwrap_or_else(|found| {
        problems.extend(found);
        Cargo::default()
    });
    let Some(mut data) = data.filter(|_| problems.is_empty()) else { return Err(Problems(problems)) };
    data.edges.retain(|edge| !edge.automatic);
    let wrong = |why: String| Problems(vec![Problem::new(why, Origin::Unknown)]);
    let bytes: Arc<[u8]> = serde_json::to_vec(&data).map_err(|error| wrong(format!("the graph: {error}")))?.into();
    if bytes.len() as u64 > DEPLOY_BYTES_MAX {
        let count = bytes.len();
        return Err(wrong(format!("the graph has {count} bytes as data, and {DEPLOY_BYTES_MAX} is the limit")));
    }
    let graph = ContentRef::of(&bytes);
    let Cargo { carried: files, mut contents } = cargo;
    contents.insert(graph.sha256, bytes);
    let carried = (!files.trees.is_empty()).then(|| {
        let list: Arc<[u8]> = files.bytes().into();
        let content = ContentRef::of(&list);
        contents.insert(content.sha256, list);
        content
    });
    Ok(Packed { data, graph, files, carried, contents })
}

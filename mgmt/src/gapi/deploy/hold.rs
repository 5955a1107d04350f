//! The files that have come with a graph from another machine, on this one: below the prefix, each under its hash. The
//! graph itself, which may have secrets, is not kept. All functions block.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::gapi::deploy::store::Store;
use crate::gapi::failure::Failure;
use crate::graph::{Carried, CarriedEntry, CarriedTree, ContentId};
use crate::resource::CARGO_DIR;

/// Where the files of graphs are kept.
#[derive(Debug)]
pub(crate) struct Hold(Store);

/// What has become of the files of a graph.
#[derive(Debug)]
pub(crate) enum Stowed {
    /// They are below this directory.
    There(PathBuf),
    /// These contents are on no file here.
    Lacking(Vec<ContentId>),
}

impl Hold {
    /// That of an engine with this prefix; without one, or if the graph is only looked at, what is new is removed on
    /// drop.
    pub(crate) fn open(prefix: Option<&Path>, looks: bool) -> Result<Hold, Failure> {
        let dir = prefix.map(|prefix| prefix.join(CARGO_DIR));
        Ok(Hold(match dir {
            Some(dir) if !looks => Store::at(dir)?,
            dir => Store::looking_at(dir.as_deref())?,
        }))
    }

    /// Makes the files of this list, from these contents and from what is here already.
    pub(crate) fn stow(
        &self,
        carried: &Carried,
        contents: &mut BTreeMap<ContentId, Vec<u8>>,
    ) -> Result<Stowed, Failure> {
        let lacking: Vec<&CarriedTree> = match self.0.find(carried) {
            Ok(root) => return Ok(Stowed::There(root)),
            Err(lacking) => lacking,
        };
        for (id, bytes) in self.0.known(&lacking) {
            contents.entry(id).or_insert(bytes);
        }
        let files = lacking.iter().flat_map(|tree| &tree.entries).filter_map(|entry| match entry {
            CarriedEntry::File { content, .. } => Some(content.sha256),
            _ => None,
        });
        let missing: BTreeSet<ContentId> = files.filter(|id| !contents.contains_key(id)).collect();
        if !missing.is_empty() {
            return Ok(Stowed::Lacking(missing.into_iter().collect()));
        }
        self.0.make_trees(&lacking, contents)?;
        // The trees of one graph are in one place.
        let root = self.0.find(carried).map_err(|_| Failure::from("what was just written is damaged"))?;
        self.0.keep_list(&carried.bytes())?;
        Ok(Stowed::There(root))
    }

    /// Removes what none of these lists needs.
    pub(crate) fn clean<'a>(&self, needed: impl IntoIterator<Item = &'a Carried>) {
        let (mut documents, mut trees) = (BTreeSet::new(), BTreeSet::new());
        for carried in needed {
            documents.insert(ContentId::of(&carried.bytes()).to_string());
            trees.extend(carried.trees.iter().map(|tree| tree.digest().to_string()));
        }
        self.0.remove_others(documents, trees);
    }
}

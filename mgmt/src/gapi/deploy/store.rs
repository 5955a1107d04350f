//! What a host keeps of deploys, below its prefix: records, graphs, lists and files, each under its hash, and which
//! deploy came into force last. Only the user of the engine can read it. All functions block.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::gapi::deploy::temporary::Temporary;
use crate::gapi::deploy::tree::{content_at, is_tree, make_tree};
use crate::gapi::failure::Failure;
use crate::graph::{
    Carried, CarriedEntry, CarriedTree, ContentId, ContentRef, DEPLOY_BYTES_MAX, Head, RECORD_BYTES_MAX, Relocation,
};
use crate::resource::DEPLOYS_DIR;
use crate::sys::fs::{ReadFs, WriteFs, WriteOptions};
use crate::sys::ours::{NotOurs, Trust, examine_below, look_at_dir, make_dir};

/// The name of what is not complete, or no longer needed, begins with this.
const UNFINISHED: &str = ".";

/// What a host keeps of deploys.
#[derive(Debug)]
pub(super) struct Store {
    /// Where it is: `PREFIX/deploys`, or for a plan a temporary directory.
    own: PathBuf,
    /// Where more is that may only be read: for a plan, `PREFIX/deploys`.
    other: Option<PathBuf>,
    /// It is removed on drop.
    temporary: Option<Temporary>,
}

fn failed(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::of(format_args!("deploys can't be kept in {}", path.display()), error)
}

/// The files of a deploy.
#[derive(Debug, Clone)]
pub(super) struct Documents {
    pub(super) record: Vec<u8>,
    pub(super) graph: Vec<u8>,
    pub(super) carried: Option<Vec<u8>>,
}

impl Store {
    /// That of the engine with this prefix, which is made.
    pub(super) fn open(prefix: &Path) -> Result<Store, Failure> {
        Store::at(prefix.join(DEPLOYS_DIR))
    }

    /// The one in this directory, which is made.
    pub(super) fn at(own: PathBuf) -> Result<Store, Failure> {
        let store = Store { own, other: None, temporary: None };
        store.make().map_err(|error| failed(&store.own, error))?;
        // No other user can have written what is there.
        examine_below(&store.own, 1, Trust::Us).map_err(|error| failed(&store.own, error))?;
        for dir in [store.trees(), store.documents()] {
            for name in names(&dir).into_iter().filter(|name| name.starts_with(UNFINISHED)) {
                // If this fails, the next start tries again.
                let _ = fs::remove_dir_all(dir.join(name));
            }
        }
        Ok(store)
    }

    /// For a plan: reads what the engine with this prefix keeps, and writes into a temporary directory, which is
    /// removed on drop.
    pub(super) fn looking(prefix: &Path) -> Result<Store, Failure> {
        Store::looking_at(Some(&prefix.join(DEPLOYS_DIR)))
    }

    /// The same for what is kept in this directory, if there is one.
    pub(super) fn looking_at(there: Option<&Path>) -> Result<Store, Failure> {
        let (own, temporary) = Temporary::new()?;
        let other = match there.map(|there| (there, look_at_dir(there))) {
            None => None,
            // That of another user, who may read it alone: everything is fetched.
            Some((_, Err(NotOurs::Io { source, .. }))) if source.kind() == io::ErrorKind::PermissionDenied => None,
            Some((there, found)) => found.map_err(|error| failed(there, error))?,
        };
        Ok(Store { own, other, temporary: Some(temporary) })
    }

    /// Also if it was removed while the engine ran.
    fn make(&self) -> Result<(), NotOurs> {
        if let Some(temporary) = &self.temporary {
            temporary.make().map_err(|source| NotOurs::Io { path: self.own.clone(), source })?;
        }
        [self.own.clone(), self.trees(), self.documents()].iter().try_for_each(|dir| make_dir(dir).map(drop))
    }

    fn trees(&self) -> PathBuf {
        self.own.join("trees")
    }

    fn documents(&self) -> PathBuf {
        self.own.join("documents")
    }

    fn places(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.own].into_iter().chain(&self.other)
    }

    /// The deploy that came into force last here. `None`: there was none, or the note of it is damaged.
    pub(super) fn last(&self) -> Option<Head> {
        let fs = ReadFs::new();
        let read = |dir: &PathBuf| fs.read_file(dir.join("in-force"), RECORD_BYTES_MAX as u64).ok();
        self.places().find_map(read).and_then(|bytes| Head::read(&bytes))
    }

    /// Notes that this deploy has come into force.
    pub(super) fn note(&self, head: &Head) -> Result<(), Failure> {
        self.make().map_err(|error| failed(&self.own, error))?;
        let path = self.own.join("in-force");
        let written = WriteFs::new().write_file(&path, &head.bytes()[..], &WriteOptions::new().mode(0o600));
        written.map(drop).map_err(|error| failed(&self.own, error))
    }

    /// The record, the graph or the list with this hash.
    pub(super) fn document(&self, sha256: &ContentId) -> Option<Vec<u8>> {
        let fs = ReadFs::new();
        let read = |dir: &PathBuf| {
            let path = dir.join("documents").join(sha256.to_string());
            fs.read_file(path, DEPLOY_BYTES_MAX).ok().filter(|bytes| ContentId::of(bytes) == *sha256)
        };
        self.places().find_map(read)
    }

    /// Keeps what a deploy consists of besides its files.
    pub(super) fn keep(&self, documents: &Documents) -> Result<(), Failure> {
        self.make().map_err(|error| failed(&self.own, error))?;
        let all = [Some(&documents.record), Some(&documents.graph), documents.carried.as_ref()];
        for bytes in all.into_iter().flatten() {
            let sha256 = ContentId::of(bytes);
            if self.document(&sha256).is_none() {
                let path = self.documents().join(sha256.to_string());
                let written = WriteFs::new().write_file(&path, &bytes[..], &WriteOptions::new().mode(0o600));
                written.map_err(|error| failed(&self.own, error))?;
            }
        }
        Ok(())
    }

    /// Keeps a list of files, by which others find these.
    #[cfg(feature = "ssh")]
    pub(super) fn keep_list(&self, list: &[u8]) -> Result<(), Failure> {
        self.make().map_err(|error| failed(&self.own, error))?;
        let path = self.documents().join(ContentId::of(list).to_string());
        let written = WriteFs::new().write_file(&path, list, &WriteOptions::new().mode(0o600));
        written.map(drop).map_err(|error| failed(&self.own, error))
    }

    /// The directory that has all these trees, each as the deploy has it; otherwise those that are missing in the one
    /// where they can be made.
    pub(super) fn find<'a>(&self, carried: &'a Carried) -> Result<PathBuf, Vec<&'a CarriedTree>> {
        let lacking = |root: &Path| -> Vec<&'a CarriedTree> {
            let place = Relocation { root };
            carried.trees.iter().filter(|tree| !is_tree(&place.of(tree), tree)).collect()
        };
        let roots = self.places().map(|dir| dir.join("trees"));
        for root in roots.collect::<Vec<_>>().into_iter().rev() {
            if lacking(&root).is_empty() {
                return Ok(root);
            }
        }
        Err(lacking(&self.trees()))
    }

    /// The contents of these trees that are on this host already, in trees of other deploys.
    pub(super) fn known(&self, trees: &[&CarriedTree]) -> BTreeMap<ContentId, Vec<u8>> {
        let mut wanted: BTreeSet<ContentRef> = BTreeSet::new();
        for entry in trees.iter().flat_map(|tree| &tree.entries) {
            if let CarriedEntry::File { content, .. } = entry {
                wanted.insert(*content);
            }
        }
        let (fs, mut found) = (ReadFs::new(), BTreeMap::new());
        let lists = self.places().flat_map(|dir| self.lists(dir).into_iter().map(move |list| (dir, list)));
        for (dir, list) in lists {
            let root = dir.join("trees");
            for tree in &list.trees {
                let place = Relocation { root: &root }.of(tree);
                for entry in &tree.entries {
                    let CarriedEntry::File { content, path, .. } = entry else { continue };
                    if !wanted.contains(content) || found.contains_key(&content.sha256) {
                        continue;
                    }
                    let path = if path.is_empty() { place.clone() } else { place.join(path) };
                    if let Some(bytes) = content_at(&fs, &path, content) {
                        found.insert(content.sha256, bytes);
                    }
                }
            }
        }
        found
    }

    /// The lists of files that are kept in a directory.
    fn lists(&self, dir: &Path) -> Vec<Carried> {
        let fs = ReadFs::new();
        let documents = dir.join("documents");
        let read = |name: String| Carried::read(&fs.read_file(documents.join(name), DEPLOY_BYTES_MAX).ok()?).ok();
        names(&documents).into_iter().filter_map(read).collect()
    }

    /// Makes these trees. Each is complete when it has its name.
    pub(super) fn make_trees(
        &self,
        trees: &[&CarriedTree],
        contents: &BTreeMap<ContentId, Vec<u8>>,
    ) -> Result<PathBuf, Failure> {
        self.make().map_err(|error| failed(&self.own, error))?;
        let root = self.trees();
        for tree in trees {
            self.make_one(&root, tree, contents).map_err(|error| failed(&root, error))?;
        }
        Ok(root)
    }

    fn make_one(&self, root: &Path, tree: &CarriedTree, contents: &BTreeMap<ContentId, Vec<u8>>) -> io::Result<()> {
        let name = tree.digest().to_string();
        let (new, old, place) = (
            root.join(format!("{UNFINISHED}new-{name}")),
            root.join(format!("{UNFINISHED}old-{name}")),
            root.join(&name),
        );
        for left in [&new, &old] {
            remove(left)?;
        }
        DirBuilder::new().mode(0o700).create(&new)?;
        make_tree(&new.join(&tree.name), tree, contents)?;
        File::open(&new)?.sync_all()?;
        if fs::symlink_metadata(&place).is_ok() {
            // Damaged: it was checked before.
            fs::rename(&place, &old)?;
        }
        fs::rename(&new, &place)?;
        File::open(root)?.sync_all()?;
        remove(&old)
    }

    /// Removes what none of these deploys refers to.
    pub(super) fn clean(&self, kept: &[(Head, Documents)]) {
        let (mut documents, mut trees) = (BTreeSet::new(), BTreeSet::new());
        for (_, of) in kept {
            let all = [Some(&of.record), Some(&of.graph), of.carried.as_ref()];
            documents.extend(all.into_iter().flatten().map(|bytes| ContentId::of(bytes).to_string()));
            let carried = of.carried.as_deref().and_then(|bytes| Carried::read(bytes).ok());
            trees.extend(carried.iter().flat_map(|list| &list.trees).map(|tree| tree.digest().to_string()));
        }
        self.remove_others(documents, trees);
    }

    /// Removes all documents and trees but these.
    pub(super) fn remove_others(&self, documents: BTreeSet<String>, trees: BTreeSet<String>) {
        for (dir, needed) in [(self.documents(), documents), (self.trees(), trees)] {
            for name in names(&dir).into_iter().filter(|name| !needed.contains(name)) {
                if let Err(error) = remove(&dir.join(&name)) {
                    tracing::warn!(target: "mgmt", "{}: what no deploy needs stays there: {error}", dir.display());
                }
            }
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = ReadFs::new().read_dir(dir).unwrap_or_default();
    entries.into_iter().filter_map(|entry| entry.name.into_string().ok()).collect()
}

fn remove(path: &Path) -> io::Result<()> {
    let gone = match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match gone {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        gone => gone,
    }
}

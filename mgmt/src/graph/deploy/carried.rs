//! The files that a deploy carries, and the fields that name them. What comes from a world is untrusted in its form: it
//! is checked before anything is made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::graph::data::GraphData;
use crate::graph::deploy::content::{ContentId, ContentRef};
use crate::graph::deploy::record::DEPLOY_BYTES_MAX;
use crate::id::ResourceId;

/// The most files, directories and symlinks that a deploy carries.
pub(crate) const ENTRIES_MAX: usize = 10_000;
/// The most bytes of a file.
pub(crate) const FILE_BYTES_MAX: u64 = 32 << 20;
/// The most levels of directories.
const LEVELS_MAX: usize = 256;
/// The most bytes of a name, and of the target of a symlink.
const NAME_BYTES_MAX: usize = 255;
const TARGET_BYTES_MAX: usize = 4095;

/// The files that a deploy carries, and the fields that name them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// The files and directories that fields name.
    pub trees: Vec<CarriedTree>,
    /// The fields that name them.
    pub uses: Vec<CarriedUse>,
}

/// A file or a directory that fields name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarriedTree {
    /// The path as it is in the fields.
    pub path: String,
    /// The last part of the path, which it keeps on the hosts.
    pub name: String,
    /// The file or the directory itself, whose path is empty, and then what is in it, each after its directory.
    pub entries: Vec<CarriedEntry>,
}

/// A file, a directory or a symlink that a deploy carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CarriedEntry {
    /// A regular file.
    File {
        /// The path below the tree.
        path: String,
        /// The content.
        content: ContentRef,
        /// The permissions.
        mode: u32,
        /// When it changed last, in seconds since 1970.
        mtime: i64,
    },
    /// A directory.
    Directory {
        /// The path below the tree.
        path: String,
        /// The permissions.
        mode: u32,
    },
    /// A symlink.
    Symlink {
        /// The path below the tree.
        path: String,
        /// Where it leads.
        target: String,
    },
}

/// A field that names a carried file or directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarriedUse {
    /// The resource.
    pub resource: ResourceId,
    /// The field.
    pub field: String,
    /// The number of the tree, from 0.
    pub tree: usize,
}

/// The permissions with which a file or a directory travels: on the hosts it belongs to the user of the engine, so that
/// rights which were given for another owner (set-user-id, set-group-id, what group and others may write) stay behind.
/// Its owner must be able to read it.
pub(crate) fn entry_mode(mode: u32, is_dir: bool) -> u32 {
    mode & 0o755 | if is_dir { 0o700 } else { 0o400 }
}

/// Whether the text is one name in a directory.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !matches!(name, "." | "..") && !name.contains(['/', '\0'])
}

impl CarriedEntry {
    /// The path below the tree; empty: the tree itself.
    pub fn path(&self) -> &str {
        match self {
            CarriedEntry::File { path, .. }
            | CarriedEntry::Directory { path, .. }
            | CarriedEntry::Symlink { path, .. } => path,
        }
    }
}

impl CarriedTree {
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.entries.first(), Some(CarriedEntry::Directory { .. }))
    }

    /// The name under which a host keeps it: what is equal has one name.
    pub fn digest(&self) -> ContentId {
        // Texts and numbers have a form as JSON.
        ContentId::of(&serde_json::to_vec(&(&self.name, &self.entries)).unwrap_or_default())
    }

    fn check(&self) -> Result<(), String> {
        if !is_name(&self.name) {
            return Err(format!("`{}` is no name of a file", self.name.escape_debug()));
        }
        let mut dirs: BTreeSet<&str> = BTreeSet::new();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for (n, entry) in self.entries.iter().enumerate() {
            let path = entry.path();
            let wrong = |why: &str| Err(format!("`{}` in `{}` {why}", path.escape_debug(), self.name.escape_debug()));
            let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
            if n == 0 && !path.is_empty() || n > 0 && !is_name(name) {
                return wrong("is no path in it");
            }
            if n > 0 && !dirs.contains(above) {
                return wrong("is not in one of its directories");
            }
            if path.split('/').count() > LEVELS_MAX {
                return wrong("is too deep");
            }
            if !seen.insert(path) {
                return wrong("is there twice");
            }
            match entry {
                CarriedEntry::Directory { mode, .. } => {
                    if entry_mode(*mode, true) != *mode {
                        return wrong("has a mode that does not travel");
                    }
                    dirs.insert(path);
                }
                CarriedEntry::File { mode, .. } if entry_mode(*mode, false) != *mode => {
                    return wrong("has a mode that does not travel");
                }
                CarriedEntry::File { content, .. } if content.bytes > FILE_BYTES_MAX => return wrong("is too large"),
                CarriedEntry::Symlink { .. } if n == 0 => return wrong("is a symlink"),
                CarriedEntry::Symlink { target, .. } => {
                    if target.is_empty() || target.len() > TARGET_BYTES_MAX || target.contains('\0') {
                        return wrong("is a symlink to what is no path");
                    }
                }
                CarriedEntry::File { .. } => {}
            }
        }
        if self.entries.is_empty() { Err(format!("`{}` is empty", self.name.escape_debug())) } else { Ok(()) }
    }
}

/// Where a field of a resource is on a host.
#[derive(Debug)]
pub struct Relocation<'a> {
    /// The directory below which trees are, each in one with its digest as name.
    pub root: &'a Path,
}

impl Relocation<'_> {
    /// The place of a tree.
    pub fn of(&self, tree: &CarriedTree) -> PathBuf {
        self.root.join(tree.digest().to_string()).join(&tree.name)
    }
}

impl Carried {
    /// The list as bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The list that these bytes of a world are.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(bytes: &[u8]) -> Result<Carried, String> {
        let carried: Carried =
            serde_json::from_slice(bytes).map_err(|error| format!("the list of its files can't be read: {error}"))?;
        carried.check().map_err(|why| format!("the list of its files is wrong: {why}"))?;
        Ok(carried)
    }

    /// Checks the form of a list.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        let count: usize = self.trees.iter().map(|tree| tree.entries.len()).sum();
        if count > ENTRIES_MAX {
            return Err(format!("it has {count} files, directories and symlinks, and {ENTRIES_MAX} is the limit"));
        }
        let contents = self.contents();
        if let Some(content) = self.files().find(|content| contents.get(&content.sha256) != Some(&content.bytes)) {
            return Err(format!("{} has two sizes", content.sha256));
        }
        let bytes = contents.values().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
        if bytes > DEPLOY_BYTES_MAX {
            return Err(format!("its files have {bytes} bytes, and {DEPLOY_BYTES_MAX} is the limit"));
        }
        self.trees.iter().try_for_each(CarriedTree::check)?;
        match self.uses.iter().find(|used| used.tree >= self.trees.len()) {
            Some(used) => Err(format!("`{}` of {} names a file that is not in it", used.field, used.resource)),
            None => Ok(()),
        }
    }

    /// The files, with their contents.
    pub fn files(&self) -> impl Iterator<Item = &ContentRef> {
        self.trees.iter().flat_map(|tree| &tree.entries).filter_map(|entry| match entry {
            CarriedEntry::File { content, .. } => Some(content),
            _ => None,
        })
    }

    /// The different contents of files, and their sizes.
    pub fn contents(&self) -> BTreeMap<ContentId, u64> {
        self.files().map(|content| (content.sha256, content.bytes)).collect()
    }

    /// Lets the fields name the carried files, at their places on this host.
    ///
    /// # Errors
    /// A field is not in the graph, or has another value.
    pub(crate) fn relocate(&self, data: &mut GraphData, places: &Relocation<'_>) -> Result<(), String> {
        let mut at: BTreeMap<ResourceId, usize> = BTreeMap::new();
        for (n, vertex) in data.resources.iter().enumerate() {
            at.insert(ResourceId::new(&vertex.kind, vertex.name.clone()), n);
        }
        for used in &self.uses {
            let wrong = || format!("`{}` of {} does not name a file that it carries", used.field, used.resource);
            let tree = self.trees.get(used.tree).ok_or_else(wrong)?;
            let vertex = at.get(&used.resource).and_then(|n| data.resources.get_mut(*n)).ok_or_else(wrong)?;
            let place = places.of(tree);
            let place = place.to_str().ok_or("the engine's working directory has no name in UTF-8")?;
            let place = if tree.is_dir() { format!("{place}/") } else { place.to_owned() };
            let field = vertex.fields.get_mut(&used.field).ok_or_else(wrong)?;
            if !replace(field, &tree.path, &place) {
                return Err(wrong());
            }
        }
        Ok(())
    }
}

/// Replaces a path by another one. False: it is not there.
pub(super) fn replace(value: &mut Json, old: &str, new: &str) -> bool {
    match value {
        Json::String(text) if text == old => {
            new.clone_into(text);
            true
        }
        // It can be there several times.
        Json::Array(values) => values.iter_mut().filter_map(|value| replace(value, old, new).then_some(())).count() > 0,
        _ => false,
    }
}

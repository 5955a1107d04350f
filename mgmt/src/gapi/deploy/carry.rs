//! Reads the files that a graph reads, to be carried with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::graph::{
    Carried, CarriedEntry, CarriedTree, CarriedUse, ContentId, ContentRef, DEPLOY_BYTES_MAX, ENTRIES_MAX,
    FILE_BYTES_MAX, Problem, Read, entry_mode, is_name,
};
use crate::id::in_one_line;
use crate::sys::fs::{FileKind, FsError, ReadFs, Stat};

/// Files that travel, and their contents.
#[derive(Debug, Default)]
pub(super) struct Cargo {
    pub(super) carried: Carried,
    pub(super) contents: BTreeMap<ContentId, Arc<[u8]>>,
}

/// A path as it is in a field, and how many levels are read.
type Place = (String, Option<u16>);

/// Reads them, or returns what is wrong with each. Blocks.
pub(super) fn carry(reads: &[Read], private: bool) -> Result<Cargo, Vec<Problem>> {
    let mut loading = Loading { fs: ReadFs::new(), private, contents: BTreeMap::new(), entries: 0, bytes: 0 };
    let mut trees: BTreeMap<Place, Result<usize, String>> = BTreeMap::new();
    let (mut carried, mut problems) = (Carried::default(), Vec::new());
    for Read { resource, origin, reading } in reads {
        let place = (reading.path.clone(), reading.levels);
        let tree = trees.entry(place).or_insert_with(|| {
            let tree = loading.tree(&reading.path, reading.levels)?;
            carried.trees.push(tree);
            Ok(carried.trees.len() - 1)
        });
        match tree {
            Ok(tree) => {
                let (resource, field) = (resource.clone(), reading.field.to_owned());
                let used = CarriedUse { resource, field, tree: *tree };
                // A list can name a file several times.
                if !carried
                    .uses
                    .iter()
                    .rev()
                    .take_while(|other| other.resource == used.resource)
                    .any(|other| *other == used)
                {
                    carried.uses.push(used);
                }
            }
            Err(why) => {
                let what = if private { "travel to other hosts" } else { "be deployed" };
                let message = format!("{resource} can't {what}: `{}`: {why}", reading.field);
                problems.push(Problem::new(message, origin.clone()));
            }
        }
    }
    if problems.is_empty() { Ok(Cargo { carried, contents: loading.contents }) } else { Err(problems) }
}

struct Loading {
    fs: ReadFs,
    private: bool,
    contents: BTreeMap<ContentId, Arc<[u8]>>,
    /// How many files, directories and symlinks there are so far, and the bytes of all different contents.
    entries: usize,
    bytes: u64,
}

/// The remedy for what need not travel: in a deploy, and through a private channel.
const STAYS: &str = "name it with `--on-hosts` (`Publish::on_hosts`) if every host has it";
const STAYS_PRIVATE: &str = "name it in `on_hosts` of `Parcel::of` or `Host::pack` if every host has it";

fn shown(path: &Path) -> String {
    in_one_line(&path.to_string_lossy()).into_owned()
}

fn unread(error: FsError) -> String {
    error.to_string()
}

impl Loading {
    /// The remedy for what need not travel.
    fn stays(&self) -> &'static str {
        if self.private { STAYS_PRIVATE } else { STAYS }
    }

    fn tree(&mut self, text: &str, levels: Option<u16>) -> Result<CarriedTree, String> {
        let (path, stays) = (Path::new(text), self.stays());
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !is_name(name) {
            return Err(format!("{}: not a path that can be carried; {stays}", shown(path)));
        }
        let stat = self.fs.stat(path).map_err(unread)?.ok_or_else(|| {
            format!(
                "{}: not on this machine, and no resource of the graph makes it: put it here, or {stays}",
                shown(path)
            )
        })?;
        let mut tree = CarriedTree { path: text.to_owned(), name: name.to_owned(), entries: Vec::new() };
        match (stat.kind, text.ends_with('/')) {
            (FileKind::File, false) => self.file(path, String::new(), &stat, &mut tree)?,
            (FileKind::Directory, true) => self.directory(path, "", &stat, levels, &mut tree)?,
            (FileKind::File, true) => {
                return Err(format!("{}: a file; write it without a slash at the end", shown(path)));
            }
            (FileKind::Directory, false) => {
                return Err(format!("{}: a directory; write it with a slash at the end", shown(path)));
            }
            (FileKind::Symlink, _) => return Err(format!("{}: a symlink; name what it leads to", shown(path))),
            (kind, _) => return Err(format!("{}: a {kind}, which does not travel; {stays}", shown(path))),
        }
        Ok(tree)
    }

    fn count(&mut self) -> Result<(), String> {
        let stays = self.stays();
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            return Err(format!(
                "with it there are more than {ENTRIES_MAX} files, directories and symlinks, the limit: let \
                 the hosts fetch them from elsewhere, or {stays}"
            ));
        }
        Ok(())
    }

    fn directory(
        &mut self,
        path: &Path,
        below: &str,
        stat: &Stat,
        levels: Option<u16>,
        tree: &mut CarriedTree,
    ) -> Result<(), String> {
        let stays = self.stays();
        self.count()?;
        tree.entries.push(CarriedEntry::Directory { path: below.to_owned(), mode: entry_mode(stat.mode, true) });
        if levels == Some(0) {
            return Ok(());
        }
        for entry in self.fs.read_dir(path).map_err(unread)? {
            let path = path.join(&entry.name);
            let Some(name) = entry.name.to_str().filter(|name| is_name(name)) else {
                return Err(format!(
                    "{}: its name is no UTF-8 text, which is needed to travel: rename it",
                    shown(&path)
                ));
            };
            let below = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            // It may be gone by now.
            let Some(stat) = self.fs.stat(&path).map_err(unread)? else { continue };
            match stat.kind {
                FileKind::File => self.file(&path, below, &stat, tree)?,
                FileKind::Directory => {
                    self.directory(&path, &below, &stat, levels.map(|levels| levels - 1), tree)?;
                }
                FileKind::Symlink => {
                    self.count()?;
                    let target = stat.link_target.as_deref().and_then(Path::to_str);
                    let Some(target) = target.map(str::to_owned) else {
                        let path = shown(&path);
                        return Err(format!("{path}: its target is no UTF-8 text, which is needed to travel"));
                    };
                    tree.entries.push(CarriedEntry::Symlink { path: below, target });
                }
                kind => {
                    return Err(format!("{}: a {kind}, which does not travel: move it away, or {stays}", shown(&path)));
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, below: String, stat: &Stat, tree: &mut CarriedTree) -> Result<(), String> {
        let stays = self.stays();
        self.count()?;
        if !self.private && stat.mode & 0o004 == 0 {
            return Err(format!(
                "{}: other users may not read it (mode {:04o}), and in the world each host could: let it stay, and {stays}; \
                 or deploy with `--private` (`Publish::private`)",
                shown(path),
                stat.mode
            ));
        }
        if stat.size > FILE_BYTES_MAX {
            return Err(format!(
                "{}: {} bytes, and files of at most {FILE_BYTES_MAX} travel: let the hosts fetch it from \
                 elsewhere, or {stays}",
                shown(path),
                stat.size
            ));
        }
        let bytes = self.fs.read_file(path, FILE_BYTES_MAX).map_err(unread)?;
        let content = ContentRef::of(&bytes);
        let (mode, mtime) = (entry_mode(stat.mode, false), stat.mtime_ns.div_euclid(1_000_000_000));
        let mtime = i64::try_from(mtime).unwrap_or_default();
        tree.entries.push(CarriedEntry::File { path: below, content, mode, mtime });
        if !self.contents.contains_key(&content.sha256) {
            self.bytes += content.bytes;
            if self.bytes > DEPLOY_BYTES_MAX {
                return Err(format!(
                    "with {} the files have more than {DEPLOY_BYTES_MAX} bytes, the limit: let the hosts \
                     fetch them from elsewhere, or {stays}",
                    shown(path)
                ));
            }
            self.contents.insert(content.sha256, bytes.into());
        }
        Ok(())
    }
}

//! Compares what a file resource manages with what is declared, and finds the necessary steps.

use std::path::Path;

use crate::resource::{Change, Error, Result};
use crate::resources::beside;
use crate::resources::file::compare::{FileRules, LinkRules};
use crate::resources::file::drift::{Action, FileDrift, Found, Listing, Step};
use crate::resources::file::look::Look;
use crate::resources::file::purge::Spare;
use crate::resources::file::tree::engines_own;
use crate::resources::file::wanted::What;
use crate::resources::file::wanted_content::WantedContent;
use crate::resources::paths::shown;
use crate::sys::fs::{FileKind, FsError, Replace, Stat, Tree};

impl Look<'_> {
    /// The drift, if there is any.
    pub(super) fn look(&self) -> Result<Option<FileDrift>> {
        self.alias.is_only_owner(self.fs, &self.wanted.path)?;
        // A graph whose fields name such a path does not start; this one was received.
        if self.owned.is_in_own(&self.wanted.path) {
            let path = shown(&self.wanted.path);
            return Err(Error::new(format!("{path} is where the engine keeps its own state: choose another path")));
        }
        let is_whole = self.paths.is_none();
        if is_whole {
            self.seen.begin(self.owners());
        }
        let mut drift = self.what()?;
        self.seen.end(is_whole);
        if is_whole {
            self.leftovers(&mut drift);
        }
        if drift.steps.is_empty()
            && let Some(change) = beside::unsynced(self.fs, &self.wanted.path)
        {
            drift.changes.push(change);
            drift.steps.push(Step::new(&self.wanted.path, None, Action::Sync));
        }
        if drift.steps.is_empty() {
            return Ok(None);
        }
        Ok(Some(drift))
    }

    /// Temporary files that killed writes have left beside the path.
    fn leftovers(&self, drift: &mut FileDrift) {
        let path = &self.wanted.path;
        if let Some(change) = beside::leftovers(self.fs, path) {
            drift.changes.push(change);
            drift.steps.push(Step::new(path.parent().unwrap_or(path), None, Action::Clean));
        }
    }

    fn what(&self) -> Result<FileDrift> {
        let (wanted, path) = (self.wanted, &self.wanted.path);
        let mut drift = FileDrift::default();
        let there = self.stat(path)?;
        let other = there.as_ref().and_then(|there| self.alias.other_name(self.fs, path, there));
        match &wanted.what {
            What::Absent => drift = self.absent(there.as_ref())?,
            What::Link(target) => {
                let rules = LinkRules { target, create: wanted.create, maker: None, gid: None };
                drift.add(self.link(path, there.as_ref(), &rules)?);
            }
            What::File(origin) => {
                let input = origin.as_ref().map(|origin| WantedContent::look(self.fs, origin)).transpose()?;
                let rules = FileRules { mode: wanted.mode.as_ref(), create: wanted.create, detail: true };
                drift.add(self.file(path, there.as_ref(), input.as_ref(), &rules)?);
            }
            What::Directory(directory) => {
                drift.add(self.directory(path, there.as_ref(), wanted.mode.as_ref(), wanted.create)?);
                self.tree(directory, there.as_ref(), &mut drift)?;
            }
        }
        if !drift.steps.is_empty() && there.as_ref().is_some_and(|there| self.own().is(there)) {
            return Err(engines_own(path));
        }
        let sets =
            |step: &Step| step.path == *path && matches!(step.action, Action::Set { .. } | Action::SetLink { .. });
        match other.filter(|_| drift.steps.iter().any(sets)) {
            Some(problem) => Err(Error::new(problem)),
            None => Ok(drift),
        }
    }

    fn absent(&self, there: Option<&Stat>) -> Result<FileDrift> {
        let path = &self.wanted.path;
        let mut drift = FileDrift::default();
        let Some(stat) = there else { return Ok(drift) };
        let tree = self.removable(path)?;
        let mut from = stat.kind.to_string();
        let mut listing = Listing::default();
        if stat.is_dir() {
            from = directory_with(&tree);
            tree.paths().skip(1).for_each(|entry| listing.removed(entry.strip_prefix(path).unwrap_or(&entry)));
        }
        let action = Action::Remove { cap: self.wanted.removals_max };
        let step = Step::new(path, Some(stat.kind), action);
        drift.add(Some(Found { step, changes: vec![Change::new("state", from, "absent")] }));
        drift.changes.extend(listing.into_changes());
        Ok(drift)
    }

    /// Whether a thing of another type at `path` may be replaced by one of type `wanted`: how, and what will be
    /// removed.
    pub(super) fn replaceable(&self, path: &Path, old: &Stat, wanted: FileKind) -> Result<(Replace, Change)> {
        let from = match &old.link_target {
            Some(target) => format!("symlink to {}", shown(target)),
            None => old.kind.to_string(),
        };
        if !self.wanted.force {
            let shown = shown(path);
            let and_all = if old.is_dir() { " with all that is in it" } else { "" };
            return Err(Error::new(format!(
                "{shown} is a {from}, and a {wanted} is wanted: move it away, or set `force` to replace it{and_all}"
            )));
        }
        if !old.is_dir() {
            self.fs.refuse_mount(path).map_err(|error| self.not_removable(error))?;
            return Ok((Replace::NotDirectory, Change::new("type", from, wanted)));
        }
        let tree = self.removable(path)?;
        let replace = Replace::Tree { cap: self.wanted.removals_max };
        let listing = tree.paths().skip(1).map(|entry| format!("- {}\n", shown(&entry))).collect::<String>();
        Ok((replace, Change::new("type", directory_with(&tree), wanted).with_diff(listing)))
    }

    /// Everything at a path, if it may be removed.
    pub(super) fn removable(&self, path: &Path) -> Result<Tree> {
        let tree = self.fs.list_tree(path, self.wanted.removals_max).map_err(|error| self.not_removable(error))?;
        let own = self.own();
        if tree.entries.iter().any(|entry| own.is(&entry.stat)) {
            let path = shown(path);
            return Err(Error::new(format!("{path} is not removed: it holds the engine's own state, by another path")));
        }
        if tree.entries.len() > 1 {
            let spare = Spare::real(self.fs, self.owned, path)?;
            for held in spare.paths() {
                if self.stat(&held)?.is_some() {
                    return Err(Error::new(format!(
                        "{} is not removed: it holds {}, which another resource of the graph owns; leave out one of the two",
                        shown(path),
                        shown(&held)
                    )));
                }
            }
        }
        Ok(tree)
    }

    pub(super) fn not_removable(&self, error: FsError) -> Error {
        let remedy = match &error {
            FsError::TooMany { .. } => "nothing is removed: if all that may go, raise `removals_max`",
            FsError::MountPoint { .. } => "nothing is removed: unmount it first, or leave out what holds it",
            _ => return error.into(),
        };
        Error::new(format!("{error}; {remedy}"))
    }
}

fn directory_with(tree: &Tree) -> String {
    match tree.entries.len() {
        0 | 1 => "empty directory".to_owned(),
        2 => "directory with 1 entry".to_owned(),
        n => format!("directory with {} entries", n - 1),
    }
}

//! Compares the entries of a copied tree with their originals: a copy is like its original, as with `cp -a`, except for
//! what is declared.
//!
//! Rights that were given for another owner are not copied: set-user-id, set-group-id and capabilities are kept only
//! with owner and group (set-group-id of a directory: with its group); so are, of a file that another user made, its
//! access lists and what its group and others may write.

use std::path::Path;

use crate::resource::{Change, Result};
use crate::resources::file::compare::{FileRules, some};
use crate::resources::file::drift::{Action, Found, Original};
use crate::resources::file::look::Look;
use crate::resources::file::maker::is_stranger;
use crate::resources::file::wanted_content::WantedContent;
use crate::sys::fs::{Attributes, Likeness, Replace, Stat, Trait, Xattrs, without_group};
use crate::sys::users;

/// Set-user-id and set-group-id.
const SET_IDS: u32 = 0o6000;
/// The bits with which group and others may write.
const WRITE: u32 = 0o022;
/// The bits of an access list that may grant more than others have.
const LISTED: u32 = 0o077;

/// An entry of a source, and what is at the place of its copy.
pub(super) struct Pair<'a> {
    pub(super) path: &'a Path,
    pub(super) old: Option<&'a Stat>,
    pub(super) source: &'a Path,
    pub(super) original: &'a Stat,
}

/// Which rights of its original a copy may keep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rights {
    /// Owner and group are the same, and the owner is root or the user that runs this.
    All,
    /// No set-user-id, set-group-id and capabilities.
    Plain,
    /// The original belongs to another user, and the copy does not: nothing by which that user could still change it.
    Readable,
}

impl Look<'_> {
    /// A regular file.
    pub(super) fn file_copy(&self, pair: &Pair<'_>) -> Result<Option<Found>> {
        let input = WantedContent::Files(vec![(pair.source.to_owned(), pair.original.clone())]);
        let Some(old) = pair.old.filter(|old| old.is_file()) else {
            let rules = FileRules { mode: None, create: true, detail: false };
            let found = self.file(pair.path, pair.old, Some(&input), &rules)?;
            return found.map(|found| self.like(found, pair)).transpose();
        };
        let mut changes = Vec::new();
        if input.is_same_file(old) {
            self.attribute_changes(old, old.mode, &mut changes);
            return Ok(some(pair.path, old, Action::Set { mode: None }, changes));
        }
        let there = self.seen.contents(self.fs, pair.path, old, self.stop)?;
        let original = self.seen.contents(self.fs, pair.source, pair.original, self.stop)?;
        let differs = there.digest != original.digest;
        if differs {
            changes.push(self.content_change(pair.path, Some(old), &input, None, false));
        }
        self.attribute_changes(old, old.mode, &mut changes);
        let mut likeness = self.likeness(pair, &original.xattrs)?;
        self.differences(pair.path, old, &mut likeness, [&there.xattrs, &original.xattrs], &mut changes)?;
        if changes.is_empty() {
            return Ok(None);
        }
        if self.fs.is_written_in_place(pair.path, old)? {
            changes.retain(|change| change.field == "content" || self.is_declared(&change.field));
            if differs {
                changes.push(Change::new("in place", "no", "yes: nothing can take the place of this file"));
            }
        } else if differs {
            // The new content brings its own time.
            changes.retain(|change| change.field != Trait::Time.field());
        }
        let is_new_owner = changes.iter().any(|change| change.field == "owner");
        // Other names of the file, and file handles that another user may still have open, stay as they are.
        let is_written = differs || old.nlink > 1 || (is_new_owner && is_stranger(old.uid));
        let action = match is_written {
            true => Action::Write { input: Some(input), mode: None, replace: Replace::SameKind, keep: true },
            false => Action::Set { mode: None },
        };
        let found = some(pair.path, old, action, changes);
        Ok(found.map(|found| with_original(found, pair.source, likeness)))
    }

    /// A directory. An existing one keeps its time, which shows when its own entries came and went.
    pub(super) fn directory_copy(&self, pair: &Pair<'_>) -> Result<Option<Found>> {
        let Some(old) = pair.old.filter(|old| old.is_dir()) else {
            let found = self.directory(pair.path, pair.old, None, true)?;
            return found.map(|found| self.like(found, pair)).transpose();
        };
        let mut changes = Vec::new();
        self.attribute_changes(old, old.mode, &mut changes);
        if !users::is_root() && is_stranger(old.uid) {
            return Ok(some(pair.path, old, Action::Set { mode: None }, changes));
        }
        let original = self.fs.xattrs(pair.source)?;
        let mut likeness = self.likeness(pair, &original)?;
        let there = self.fs.xattrs(pair.path)?;
        self.differences(pair.path, old, &mut likeness, [&there, &original], &mut changes)?;
        let found = some(pair.path, old, Action::Set { mode: None }, changes);
        Ok(found.map(|found| with_original(found, pair.source, likeness)))
    }

    /// Makes a new entry like its original.
    pub(super) fn like(&self, found: Found, pair: &Pair<'_>) -> Result<Found> {
        // If there is no access list, nothing must be known before the copy.
        let xattrs = match self.rights(pair) {
            Rights::Readable => self.fs.xattrs(pair.source)?,
            _ => Xattrs::default(),
        };
        let likeness = self.likeness(pair, &xattrs)?;
        Ok(with_original(found, pair.source, likeness))
    }

    /// The traits in which the copy must be like its original, which has these extended attributes.
    fn likeness(&self, pair: &Pair<'_>, xattrs: &Xattrs) -> Result<Likeness> {
        let original = pair.original;
        let mut rights = self.rights(pair);
        let has_set_ids = original.is_file() && original.mode & SET_IDS != 0;
        if rights == Rights::All && (has_set_ids || xattrs.has_capabilities()) && !self.fs.grants_rights(pair.source)? {
            rights = Rights::Plain;
        }
        let mut mode = original.mode;
        let (uid, gid) = self.owners_of_copy(pair);
        let has_group = rights != Rights::Readable && self.names.gid(self.fs, &self.wanted.owners).is_none();
        if original.is_dir() && has_group && gid == Some(original.gid) {
            // Set-user-id has no effect on a directory; set-group-id gives whatever is made in it the same group.
            mode &= !0o4000;
        } else if rights != Rights::All {
            mode &= !SET_IDS;
        }
        if rights == Rights::Readable {
            mode &= !closed_to_strangers(xattrs.has_access_list());
        }
        let is_dated = !original.is_dir() || !pair.old.is_some_and(Stat::is_dir);
        Ok(Likeness {
            attributes: Attributes { mode: Some(mode), uid, gid },
            mtime_ns: is_dated.then_some(original.mtime_ns),
            access_lists: rights != Rights::Readable,
            capabilities: rights == Rights::All,
        })
    }

    /// The permissions that a new file takes over from the files that its content comes from: those that all of them
    /// have. `None`: the content comes from no file.
    pub(super) fn mode_of_originals(&self, input: &WantedContent) -> Result<Option<u32>> {
        let WantedContent::Files(files) = input else { return Ok(None) };
        let uid = self.names.uid(self.fs, &self.wanted.owners).map_or(Some(users::us()), std::result::Result::ok);
        let mut mode = if files.len() == 1 { 0o777 } else { 0o644 };
        for (path, original) in files {
            // The list is not copied: without it, the group bits of the mode would grant more than with it.
            let has_access_list = self.fs.has_access_list(path)?;
            mode &= if has_access_list { without_group(original.mode) } else { original.mode };
            if is_stranger(original.uid) && uid != Some(original.uid) {
                mode &= !closed_to_strangers(has_access_list);
            }
        }
        Ok(Some(mode))
    }

    /// Owner and group that the copy takes over: as root those of the original, otherwise the group, if this user is in
    /// it. An existing directory of root or this user is not given to another user: it may contain more than copies.
    fn owners_of_copy(&self, pair: &Pair<'_>) -> (Option<u32>, Option<u32>) {
        let (original, owners) = (pair.original, &self.wanted.owners);
        let is_ours = pair.old.is_some_and(|old| old.is_dir() && !is_stranger(old.uid));
        if is_ours && original.is_dir() && is_stranger(original.uid) {
            return (None, None);
        }
        let is_root = users::is_root();
        let uid = (is_root && owners.user.is_none()).then_some(original.uid);
        let has_group = || is_root || users::is_in_group(original.gid);
        let gid = (owners.group.is_none() && has_group()).then_some(original.gid);
        (uid, gid)
    }

    fn rights(&self, pair: &Pair<'_>) -> Rights {
        let original = pair.original;
        let declared = self.names.resolve(self.fs, &self.wanted.owners);
        let (uid, gid) = self.owners_of_copy(pair);
        let old = pair.old.filter(|old| old.kind == original.kind);
        // Of a user who does not exist yet, it is only known that it is another one.
        let uid = match declared.uid {
            Some(declared) => declared.ok(),
            None => uid.or_else(|| Some(old.map_or_else(users::us, |old| old.uid))),
        };
        let gid = match declared.gid {
            Some(declared) => declared.ok(),
            None => gid.or_else(|| old.map(|old| old.gid)),
        };
        let has_owner = uid == Some(original.uid);
        if !has_owner && is_stranger(original.uid) {
            Rights::Readable
        } else if has_owner && gid == Some(original.gid) && !is_stranger(original.uid) {
            Rights::All
        } else {
            Rights::Plain
        }
    }

    /// How the copy differs from its original, except for what is declared. `xattrs`: of the copy, and of the original.
    fn differences(
        &self,
        path: &Path,
        old: &Stat,
        likeness: &mut Likeness,
        xattrs: [&Xattrs; 2],
        changes: &mut Vec<Change>,
    ) -> Result<()> {
        if !users::is_root() && is_stranger(old.uid) {
            return Ok(());
        }
        let [there, original] = xattrs;
        let mut differences = there.differences(original, likeness);
        let can_have = |what| self.fs.can_have(path, old, what);
        if differences.contains(&Trait::AccessList) && !can_have(Trait::AccessList)? {
            if original.has_access_list() && likeness.access_lists {
                // Without the list the group bits of the mode would grant more than with it.
                likeness.attributes.mode = likeness.attributes.mode.map(without_group);
            }
            differences.retain(|what| *what != Trait::AccessList);
        }
        let Attributes { mode, uid, gid } = likeness.attributes;
        if !(Attributes { mode: None, uid, gid }).are_those_of(old) {
            differences.push(Trait::Owner);
        }
        if !(Attributes { mode, uid: None, gid: None }).are_those_of(old) {
            differences.push(Trait::Mode);
        }
        if !likeness.has_time(old) {
            differences.push(Trait::Time);
        }
        for what in differences {
            if what != Trait::AccessList && !can_have(what)? {
                continue;
            }
            let change = match what {
                Trait::Owner if uid.is_none_or(|uid| uid == old.uid) => {
                    Change::new("group", old.gid, gid.unwrap_or(old.gid))
                }
                Trait::Owner => Change::new("owner", old.uid, uid.unwrap_or(old.uid)),
                Trait::Mode => Change::new("mode", format_args!("{:04o}", old.mode), "as in the source"),
                what => Change::new(what.field(), "different", "as in the source"),
            };
            changes.push(change);
        }
        Ok(())
    }

    fn is_declared(&self, field: &str) -> bool {
        match field {
            "owner" => self.wanted.owners.user.is_some(),
            "group" => self.wanted.owners.group.is_some(),
            _ => false,
        }
    }
}

impl Trait {
    /// The name of the field of a change.
    fn field(self) -> &'static str {
        match self {
            Trait::Owner => "owner",
            Trait::Mode => "mode",
            Trait::Time => "time",
            Trait::AccessList => "access list",
            Trait::Xattrs => "attributes",
        }
    }
}

/// The bits of the mode that are not copied from the file of another user to one that does not belong to that user.
fn closed_to_strangers(has_access_list: bool) -> u32 {
    if has_access_list { LISTED } else { WRITE }
}

fn with_original(mut found: Found, source: &Path, likeness: Likeness) -> Found {
    found.step.original = Some(Box::new(Original { path: source.to_owned(), likeness }));
    found
}

//! Compares one regular file, directory or symlink with what is wanted at its path.

use std::path::Path;

use crate::resource::{Change, Error, Result};
use crate::resources::file::diff::{self, Side};
use crate::resources::file::drift::{Action, Found, Step};
use crate::resources::file::look::Look;
use crate::resources::file::wanted_content::{WantedContent, is_private};
use crate::resources::paths::shown;
use crate::sys::fs::{Attributes, FileKind, Mode, Replace, Stat};
use crate::sys::users;

/// The mode of a new file whose mode is unknown, and the base of a symbolic mode of a new file.
const FILE_MODE: u32 = 0o644;
/// The mode of such a file whose content is a secret.
pub(super) const SECRET_MODE: u32 = 0o600;
/// The mode of such a directory.
const DIR_MODE: u32 = 0o755;

/// How a regular file is compared.
pub(super) struct FileRules<'a> {
    pub(super) mode: Option<&'a Mode>,
    pub(super) create: bool,
    /// Whether the difference is shown line by line.
    pub(super) detail: bool,
}

/// A symlink that is wanted.
pub(super) struct LinkRules<'a> {
    pub(super) target: &'a Path,
    pub(super) create: bool,
    /// The stranger to whom the original of the link belongs.
    pub(super) maker: Option<u32>,
    /// The group of the original of the link.
    pub(super) gid: Option<u32>,
}

impl Look<'_> {
    /// A regular file with this content; without `input`, any content is accepted.
    pub(super) fn file(
        &self,
        path: &Path,
        old: Option<&Stat>,
        input: Option<&WantedContent>,
        rules: &FileRules<'_>,
    ) -> Result<Option<Found>> {
        match old {
            None if !rules.create => Err(missing(path)),
            None => self.new_file(path, None, input, rules).map(Some),
            Some(old) if old.is_file() => self.old_file(path, old, input, rules),
            Some(old) => self.new_file(path, Some(old), input, rules).map(Some),
        }
    }

    /// A file where there is nothing, or a thing of another type.
    fn new_file(
        &self,
        path: &Path,
        old: Option<&Stat>,
        input: Option<&WantedContent>,
        rules: &FileRules<'_>,
    ) -> Result<Found> {
        input.map_or(Ok(()), WantedContent::must_be_whole)?;
        let (replace, first) = match old {
            None => (Replace::SameKind, Change::new("state", "absent", FileKind::File)),
            // Replacing a symlink loses no content: the content is declared.
            Some(link) if link.is_symlink() && input.is_some() => {
                let target = link.link_target.as_deref().map(shown).unwrap_or_default();
                (Replace::NotDirectory, Change::new("type", format!("symlink to {target}"), FileKind::File))
            }
            Some(old) => self.replaceable(path, old, FileKind::File)?,
        };
        let secret = input.is_some_and(WantedContent::is_secret);
        let base = if secret { SECRET_MODE } else { FILE_MODE };
        let mode = match rules.mode {
            Some(mode) => Some(mode.apply(base, false)),
            None if secret => Some(SECRET_MODE),
            // A copy in a tree gets its mode with all else that it takes over.
            None if rules.detail => input.map_or(Ok(None), |input| self.mode_of_originals(input))?,
            None => None,
        };
        let mut changes = vec![first];
        if let Some(input) = input {
            changes.push(self.content_change(path, None, input, mode, rules.detail));
        }
        if rules.mode.is_some() || secret {
            changes.extend(mode.map(|mode| Change::new("mode", "none", format_args!("{mode:04o}"))));
        }
        for (field, owner) in [("owner", &self.wanted.owners.user), ("group", &self.wanted.owners.group)] {
            changes.extend(owner.as_ref().map(|owner| Change::new(field, "none", owner)));
        }
        let action = Action::Write { input: input.cloned(), mode, replace, keep: true };
        Ok(Found { step: step(path, old, action), changes })
    }

    /// A file where there is one already.
    fn old_file(
        &self,
        path: &Path,
        old: &Stat,
        input: Option<&WantedContent>,
        rules: &FileRules<'_>,
    ) -> Result<Option<Found>> {
        let adopted = self.adopted_mode(path, old)?;
        // Whatever its former mode: a secret is never left readable to others.
        let secret = input.is_some_and(WantedContent::is_secret).then_some(SECRET_MODE);
        let mode = match rules.mode {
            Some(mode) => Some(mode.apply(secret.unwrap_or(adopted), false)),
            None => secret,
        };
        let mut changes = Vec::new();
        let mut action = Action::Set { mode };
        if let Some(input) = input
            && self.differs(path, old, input)?
        {
            input.must_be_whole()?;
            changes.push(self.content_change(path, Some(old), input, mode, rules.detail));
            if self.fs.is_written_in_place(path, old)? {
                changes.push(Change::new("in place", "no", "yes: nothing can take the place of this file"));
            }
            let (input, replace) = (Some(input.clone()), Replace::SameKind);
            action = Action::Write { input, mode, replace, keep: true };
        }
        self.attribute_changes(old, mode.unwrap_or(adopted), &mut changes);
        if let Some(input) = input.filter(|input| input.is_secret()) {
            let foreign = self.foreign_rights(path, old)?;
            let owner_differs = changes.iter().any(|change| change.field == "owner");
            if !foreign.is_empty() || owner_differs {
                input.must_be_whole()?;
                let (input, replace) = (Some(input.clone()), Replace::SameKind);
                action = Action::Write { input, mode, replace, keep: false };
                changes.extend(foreign);
            }
        }
        Ok(some(path, old, action, changes))
    }

    /// What gives other users access to a file with a secret although it is otherwise as declared: an owner that is not
    /// declared, other names, an access list. Only a new file is free of these.
    fn foreign_rights(&self, path: &Path, old: &Stat) -> Result<Vec<Change>> {
        let mut rights = Vec::new();
        let ours = users::us();
        if self.wanted.owners.user.is_none() && old.uid != ours {
            rights.push(Change::new("owner", users::user_name(old.uid), users::user_name(ours)));
        }
        if old.nlink > 1 {
            rights.push(Change::new("names", format_args!("{} hard links", old.nlink), "only this one"));
        }
        if self.fs.has_access_list(path)? {
            rights.push(Change::new("access list", "present", "none"));
        }
        Ok(rights)
    }

    fn differs(&self, path: &Path, old: &Stat, input: &WantedContent) -> Result<bool> {
        if input.is_same_file(old) {
            return Ok(false);
        }
        // The size of a given content is exact; that of a file may be wrong, as in /proc.
        if let (WantedContent::Given(_), Some(size)) = (input, input.size())
            && size != old.size
            // Files that the kernel generates have the size 0.
            && old.size != 0
        {
            return Ok(true);
        }
        let there = self.seen.digest(self.fs, path, old, self.stop)?;
        Ok(!input.has_sha256(&there, self.fs, self.seen, self.stop)?)
    }

    /// `mode` is the mode that the file will have, if it differs from the present one.
    pub(super) fn content_change(
        &self,
        path: &Path,
        old: Option<&Stat>,
        input: &WantedContent,
        mode: Option<u32>,
        detail: bool,
    ) -> Change {
        if input.is_secret() {
            return Change::secret("content");
        }
        let modes = mode.into_iter().chain(old.map(|old| old.mode)).chain(input.modes());
        if let Some(mode) = modes.into_iter().find(|mode| !self.shows_private && is_private(*mode)) {
            return Change::private("content", format_args!("mode {:04o}", mode & 0o7777));
        }
        if !detail {
            return Change::new("content", "different", "as declared");
        }
        let new = Side { size: input.size(), digest: None, bytes: input.sample(self.fs, diff::BYTES_MAX) };
        let old = old.map(|stat| Side {
            size: Some(stat.size),
            digest: None,
            bytes: self.fs.read_file(path, diff::BYTES_MAX).ok().map(Into::into),
        });
        diff::change(old.as_ref(), &new)
    }

    /// A directory. Its content is compared elsewhere.
    pub(super) fn directory(
        &self,
        path: &Path,
        old: Option<&Stat>,
        mode: Option<&Mode>,
        create: bool,
    ) -> Result<Option<Found>> {
        let mut changes = Vec::new();
        match old {
            None if !create => return Err(missing(path)),
            None => changes.push(Change::new("state", "absent", FileKind::Directory)),
            Some(old) if old.is_dir() => {
                let adopted = self.adopted_mode(path, old)?;
                let mode = mode.map(|mode| mode.apply(adopted, true));
                self.attribute_changes(old, mode.unwrap_or(adopted), &mut changes);
                return Ok(some(path, old, Action::Set { mode }, changes));
            }
            Some(old) => changes.push(self.replaceable(path, old, FileKind::Directory)?.1),
        }
        let mode = mode.map(|mode| mode.apply(DIR_MODE, true));
        changes.extend(mode.map(|mode| Change::new("mode", "none", format_args!("{mode:04o}"))));
        Ok(Some(Found { step: step(path, old, Action::MakeDir { mode }), changes }))
    }

    /// A symlink.
    pub(super) fn link(&self, path: &Path, old: Option<&Stat>, wanted: &LinkRules<'_>) -> Result<Option<Found>> {
        let (target, create) = (wanted.target, wanted.create);
        let mut changes = Vec::new();
        let mut replace = Replace::SameKind;
        match old {
            None if !create => return Err(missing(path)),
            None => changes.push(Change::new("state", "absent", format!("symlink to {}", shown(target)))),
            Some(old) if old.is_symlink() => {
                let leads = old.link_target.as_deref().unwrap_or(Path::new(""));
                if leads == target {
                    changes.extend(self.link_owner_change(old, wanted.maker));
                    changes.extend(self.group_change(old));
                    if let Some(gid) = wanted.gid.filter(|gid| *gid != old.gid) {
                        changes.push(Change::new("group", old.gid, gid));
                    }
                    return Ok(some(path, old, Action::SetLink { maker: wanted.maker, gid: wanted.gid }, changes));
                }
                changes.push(Change::new("symlink", shown(leads), shown(target)));
            }
            Some(old) => {
                let (how, change) = self.replaceable(path, old, FileKind::Symlink)?;
                replace = how;
                changes.push(change);
            }
        }
        let (maker, gid) = (wanted.maker, wanted.gid);
        let action = Action::Link { target: target.to_owned(), replace, maker, gid };
        Ok(Some(Found { step: step(path, old, action), changes }))
    }

    /// What is left of the mode of a file or directory when it gets its declared owners: all of it, unless they differ.
    fn adopted_mode(&self, path: &Path, old: &Stat) -> Result<u32> {
        let declared = self.names.resolve(self.fs, &self.wanted.owners);
        // A user or a group that does not exist yet is another one.
        let number = |id: Option<std::result::Result<u32, _>>| id.map(|id| id.unwrap_or(u32::MAX));
        let owners = Attributes { mode: None, uid: number(declared.uid), gid: number(declared.gid) };
        Ok(self.fs.adopted_mode(path, old, &owners)?)
    }

    /// Adds the differences of owner, group and mode. `mode` is the mode that the file will have.
    pub(super) fn attribute_changes(&self, old: &Stat, mode: u32, changes: &mut Vec<Change>) {
        if mode != old.mode {
            changes.push(Change::new("mode", format_args!("{:04o}", old.mode), format_args!("{mode:04o}")));
        }
        changes.extend(self.owner_change(old));
        changes.extend(self.group_change(old));
    }

    /// The difference of the owner, if one is declared. A user who does not exist yet owns nothing: the account may be
    /// made before the apply.
    pub(super) fn owner_change(&self, old: &Stat) -> Option<Change> {
        let wanted = self.wanted.owners.user.as_ref()?;
        let uid = self.names.uid(self.fs, &self.wanted.owners)?;
        (uid.as_ref() != Ok(&old.uid)).then(|| Change::new("owner", users::user_name(old.uid), wanted))
    }

    /// The difference of the group, if one is declared.
    fn group_change(&self, old: &Stat) -> Option<Change> {
        let wanted = self.wanted.owners.group.as_ref()?;
        let gid = self.names.gid(self.fs, &self.wanted.owners)?;
        (gid.as_ref() != Ok(&old.gid)).then(|| Change::new("group", users::group_name(old.gid), wanted))
    }
}

fn step(path: &Path, old: Option<&Stat>, action: Action) -> Step {
    Step::new(path, old.map(|old| old.kind), action)
}

/// The step, if there is anything to change.
pub(super) fn some(path: &Path, old: &Stat, action: Action, changes: Vec<Change>) -> Option<Found> {
    if changes.is_empty() { None } else { Some(Found { step: step(path, Some(old), action), changes }) }
}

fn missing(path: &Path) -> Error {
    Error::new(format!("{} does not exist, and `state` is undefined: create it, or set `state` to exists", shown(path)))
}

//! What a file resource wants, worked out from its fields; and every way in which the fields can be wrong.

use std::path::{Path, PathBuf};

use crate::resource::every;
use crate::resources::file::content::Content;
use crate::resources::file::kind::File;
use crate::resources::file::owner::Owner;
use crate::resources::file::path::{Spelled, compose, shown, spelled};
use crate::resources::file::state::FileState;
use crate::sys::fs::{Links, Mode, ReadFs, WriteFs};

/// What is wanted at one path.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// In normal form.
    pub(super) path: PathBuf,
    pub(super) what: What,
    /// What is missing is created.
    pub(super) create: bool,
    pub(super) mode: Option<Mode>,
    pub(super) owners: Owners,
    pub(super) force: bool,
    pub(super) removals_max: usize,
    pub(super) follow_symlinks: bool,
}

/// Who is to own something.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners {
    pub(super) user: Option<Owner>,
    pub(super) group: Option<Owner>,
}

/// What is to be at the path.
#[derive(Clone, Debug)]
pub(super) enum What {
    Absent,
    /// A regular file, with this content unless it is nobody's business.
    File(Option<Origin>),
    Link(PathBuf),
    Directory(Directory),
}

/// Where a content comes from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Given(Content),
    /// From these files, one after the other, and the files directly in those that are directories.
    Files(Vec<Spelled>),
}

/// What is to be in a directory.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) source: Option<PathBuf>,
    pub(super) recurse: bool,
    pub(super) purge: bool,
}

impl Wanted {
    /// The door to look through.
    pub(super) fn reader(&self, fs: &ReadFs) -> ReadFs {
        if self.follow_symlinks { fs.clone().links(Links::Follow) } else { fs.clone() }
    }

    /// The door to write through.
    pub(super) fn writer(&self, fs: &WriteFs) -> WriteFs {
        if self.follow_symlinks { fs.clone().links(Links::Follow) } else { fs.clone() }
    }
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

impl File {
    /// The path that it is about.
    pub(super) fn spelled(&self) -> Result<Spelled, String> {
        let (dirname, basename) = (given(self.dirname.as_ref()), given(self.basename.as_ref()));
        if let Some(dirname) = dirname.filter(|dirname| !dirname.ends_with('/')) {
            return Err(format!("`dirname` is a directory: write it as `{dirname}/`"));
        }
        if let Some(basename) = basename.filter(|basename| basename.starts_with('/')) {
            let relative = basename.trim_start_matches('/');
            return Err(format!("`basename` is the last part of a path: write it as `{relative}`"));
        }
        let path = given(self.path.as_ref());
        let composed = compose(path.unwrap_or(&self.name), dirname, basename);
        let spelled = spelled(&composed).map_err(|problem| match (path, dirname, basename) {
            (None, None, None) => format!("`path` (the name, as none is given) is {problem}"),
            (Some(_), None, None) => format!("`path` is {problem}"),
            _ => format!("`path`, with `dirname` and `basename`, is {problem}"),
        })?;
        if spelled.path == Path::new("/") {
            return Err("`path` is `/`, which can't be replaced, removed or purged: name something in it".to_owned());
        }
        Ok(spelled)
    }

    /// All that is wrong with the fields.
    pub(super) fn problems(&self) -> Result<(), String> {
        let what = || {
            let spelled = self.spelled()?;
            self.check_combination(&spelled)?;
            self.what(&spelled).map(drop)
        };
        every([what(), self.mode().map(drop), self.check_rest()])
    }

    fn check_rest(&self) -> Result<(), String> {
        let owner = |field: &str, owner: &Option<Owner>| match owner.as_ref().and_then(Owner::problem) {
            Some(problem) => Err(format!("`{field}` {problem}")),
            None => Ok(()),
        };
        let removals = match self.removals_max {
            0 => Err("`removals_max` is 0, so nothing could ever be replaced: give at least 1".to_owned()),
            _ => Ok(()),
        };
        every([owner("owner", &self.owner), owner("group", &self.group), removals])
    }

    fn mode(&self) -> Result<Option<Mode>, String> {
        let mode = self.mode.as_ref().map(|mode| mode.get().cloned().map_err(|problem| format!("`mode`: {problem}")));
        mode.transpose()
    }

    /// What it wants.
    pub(super) fn wanted(&self) -> Result<Wanted, String> {
        let spelled = self.spelled()?;
        self.check_combination(&spelled)?;
        self.check_rest()?;
        let what = self.what(&spelled)?;
        let mode = self.mode()?;
        Ok(Wanted {
            path: spelled.path,
            what,
            create: self.state != Some(FileState::Undefined),
            mode,
            owners: Owners { user: self.owner.clone(), group: self.group.clone() },
            force: self.force,
            removals_max: self.removals_max as usize,
            follow_symlinks: self.follow_symlinks,
        })
    }

    fn check_combination(&self, spelled: &Spelled) -> Result<(), String> {
        let makes = [
            ("content", self.content.is_some()),
            ("source", self.source.is_some()),
            ("fragments", self.fragments.is_some()),
            ("symlink", self.symlink.is_some()),
        ];
        let mut makes = makes.into_iter().filter(|(_, is)| *is).map(|(field, _)| field);
        let (first, second) = (makes.next(), makes.next());
        if let (Some(first), Some(second)) = (first, second) {
            return Err(format!("`{first}` and `{second}` both say what is there: leave one of them out"));
        }
        if let (Some(first), Some(FileState::Absent)) = (first, self.state) {
            return Err(format!("`{first}` is given, and `state` is absent: leave one of them out"));
        }
        let shown = shown(&spelled.path);
        match first {
            Some(field @ ("content" | "fragments" | "symlink")) if spelled.dir => {
                return Err(format!(
                    "`{field}` is given, and the path {shown}/ is a directory: leave out the slash at its end, or `{field}`"
                ));
            }
            _ => {}
        }
        for (field, is) in [("recurse", self.recurse), ("purge", self.purge)] {
            if is && !spelled.dir {
                return Err(format!(
                    "`{field}` is about what is in a directory: write the path as {shown}/, or leave out `{field}`"
                ));
            }
        }
        if self.mode.is_some() && self.symlink.is_some() {
            return Err("`mode` is given, and a symlink has none: leave it out".to_owned());
        }
        Ok(())
    }

    fn what(&self, spelled: &Spelled) -> Result<What, String> {
        if self.state == Some(FileState::Absent) {
            return Ok(What::Absent);
        }
        let source = self.source.as_deref().map(|source| self.from("source", source, spelled)).transpose()?;
        if let Some(source) = source.as_ref().filter(|source| source.dir != spelled.dir) {
            let (one, other) = if source.dir { ("`source`", "`path`") } else { ("`path`", "`source`") };
            return Err(format!(
                "{one} ends in `/` and {other} does not: a directory is copied to a directory, a file to a file; give both the slash or none"
            ));
        }
        if spelled.dir {
            let source = source.map(|source| source.path);
            return Ok(What::Directory(Directory { source, recurse: self.recurse, purge: self.purge }));
        }
        if let Some(target) = &self.symlink {
            return link(target, spelled);
        }
        if let Some(content) = &self.content {
            return Ok(What::File(Some(Origin::Given(content.clone()))));
        }
        match (source, &self.fragments) {
            (Some(source), _) => Ok(What::File(Some(Origin::Files(vec![source])))),
            (None, Some(fragments)) if fragments.is_empty() => {
                Err("`fragments` is an empty list: give at least one path, or `content`: \"\" for an empty file"
                    .to_owned())
            }
            (None, Some(fragments)) => {
                let files = fragments.iter().map(|path| self.from("fragments", path, spelled));
                Ok(What::File(Some(Origin::Files(files.collect::<Result<_, _>>()?))))
            }
            (None, None) => Ok(What::File(None)),
        }
    }

    /// A path to read from, that must not be the one that is written.
    fn from(&self, field: &str, text: &str, target: &Spelled) -> Result<Spelled, String> {
        let from = spelled(text).map_err(|problem| format!("`{field}` is {problem}"))?;
        let overlaps = from.path == target.path
            || (from.dir && target.path.starts_with(&from.path))
            || (target.dir && from.path.starts_with(&target.path));
        if overlaps {
            return Err(format!(
                "`{field}` is {}, which is, holds or is in the path itself: it would copy itself; name another place",
                shown(&from.path)
            ));
        }
        Ok(from)
    }
}

fn link(target: &str, spelled: &Spelled) -> Result<What, String> {
    const TARGET_BYTES_MAX: usize = 4095;
    if target.is_empty() {
        return Err("`symlink` is empty: say where it leads".to_owned());
    }
    if target.contains('\0') {
        return Err("`symlink` holds a NUL byte, which no path can hold".to_owned());
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err(format!("`symlink` has {} bytes, and {TARGET_BYTES_MAX} is the limit", target.len()));
    }
    if Path::new(target) == spelled.path {
        return Err("`symlink` leads to itself: name another place".to_owned());
    }
    Ok(What::Link(PathBuf::from(target)))
}

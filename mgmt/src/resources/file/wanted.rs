//! The desired state of a file resource, derived from its fields; and every error that the fields can contain.

use std::path::{Path, PathBuf};

use crate::resource::{FieldProblem, Known, Resource as _, every};
use crate::resources::file::compare::SECRET_MODE;
use crate::resources::file::content::Content;
use crate::resources::file::kind::File;
use crate::resources::file::owner::Owner;
use crate::resources::file::path::{Spelled, compose, spelled};
use crate::resources::file::recurse::Recurse;
use crate::resources::file::state::FileState;
use crate::resources::paths::shown;
use crate::sys::fs::{Links, Mode, ReadFs, WriteFs};

/// The desired state of one path.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// In normal form.
    pub(super) path: PathBuf,
    pub(super) what: What,
    /// Whether a missing file is created.
    pub(super) create: bool,
    pub(super) mode: Option<Mode>,
    pub(super) owners: Owners,
    pub(super) force: bool,
    pub(super) removals_max: usize,
    pub(super) follow_symlinks: bool,
}

/// The owners that something must have.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners {
    pub(super) user: Option<Owner>,
    pub(super) group: Option<Owner>,
}

/// What must be at the path.
#[derive(Clone, Debug)]
pub(super) enum What {
    Absent,
    /// A regular file; `None`: any content is accepted.
    File(Option<Origin>),
    Link(PathBuf),
    Directory(Directory),
}

/// The origin of a content.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Given(Content),
    /// The content of these files, one after the other; of a directory, the files directly in it.
    Files(Vec<Spelled>),
}

/// The desired content of a directory.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) source: Option<PathBuf>,
    pub(super) recurse: Recurse,
    pub(super) purge: bool,
}

impl Directory {
    /// Whether the content of this entry of the directory counts.
    pub(super) fn goes_into(&self, entry: &Path) -> bool {
        self.recurse.levels().is_none_or(|levels| entry.components().count() < usize::from(levels))
    }
}

impl Wanted {
    /// File system access for reading, with the rule for symlinks.
    pub(super) fn reader(&self, fs: &ReadFs) -> ReadFs {
        if self.follow_symlinks { fs.clone().links(Links::Follow) } else { fs.clone() }
    }

    /// File system access for writing, with the rule for symlinks.
    pub(super) fn writer(&self, fs: &WriteFs) -> WriteFs {
        if self.follow_symlinks { fs.clone().links(Links::Follow) } else { fs.clone() }
    }
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// The fields that make up the path.
pub(super) const PATH_FIELDS: [&str; 3] = ["path", "dirname", "basename"];

type Sound<T> = Result<T, FieldProblem>;

impl File {
    /// The path that the resource manages.
    pub(super) fn spelled(&self) -> Sound<Spelled> {
        let (dirname, basename) = (given(self.dirname.as_ref()), given(self.basename.as_ref()));
        if let Some(dirname) = dirname.filter(|dirname| !dirname.ends_with('/')) {
            return Err(FieldProblem::new("dirname", "is a directory", format_args!("write it as `{dirname}/`")));
        }
        if let Some(basename) = basename.filter(|basename| basename.starts_with('/')) {
            let relative = basename.trim_start_matches('/');
            let remedy = format_args!("write it as `{relative}`");
            return Err(FieldProblem::new("basename", "is the last part of a path", remedy));
        }
        let path = given(self.path.as_ref());
        let composed = compose(path.unwrap_or(&self.name), dirname, basename);
        let spelled = spelled(&composed).map_err(|problem| {
            let from = match (path, dirname, basename) {
                (None, None, None) => "(taken from the name) is",
                (Some(_), None, None) => "is",
                _ => ", with `dirname` and `basename`, is",
            };
            FieldProblem::new(PATH_FIELDS, format_args!("{from} {problem}"), "")
        })?;
        if spelled.path == Path::new("/") {
            let problem = "is `/`, which can't be replaced, removed or purged";
            return Err(FieldProblem::new(PATH_FIELDS, problem, "name something in it"));
        }
        Ok(spelled)
    }

    /// All errors in the fields.
    pub(super) fn problems(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let combination = || {
            let spelled = self.spelled()?;
            self.check_combination(&spelled, known)?;
            self.what(&spelled).map(drop)
        };
        let first = [combination().err(), self.mode().err(), self.bared_secret(known)];
        every(first).into_iter().chain(self.wrong_rest()).collect()
    }

    /// A secret in a file that every user may read.
    fn bared_secret(&self, known: &Known<'_>) -> Option<FieldProblem> {
        const OTHERS_READ: u32 = 0o004;
        let is_secret =
            known.receives_secret("content") || self.content.as_ref().is_some_and(|content| content.is_secret());
        let mode = self.mode.as_ref().filter(|_| is_secret && known.is_known("mode"))?;
        if mode.get().ok()?.apply(SECRET_MODE, false) & OTHERS_READ == 0 {
            return None;
        }
        let problem = format_args!("is {mode}, so every user may read the file, and its content is a secret");
        Some(FieldProblem::new("mode", problem, "leave it out, which gives 0600, or give for example 0640").advice())
    }

    fn wrong_rest(&self) -> Vec<FieldProblem> {
        let owner = |field: &str, owner: &Option<Owner>| owner.as_ref().and_then(|owner| owner.problem(field));
        let removals = (self.removals_max == 0)
            .then(|| FieldProblem::new("removals_max", "is 0, so nothing could ever be replaced", "give at least 1"));
        every([owner("owner", &self.owner), owner("group", &self.group), removals, self.recurse.problem()])
    }

    fn mode(&self) -> Sound<Option<Mode>> {
        let read = |mode: &crate::resources::file::mode::Mode| mode.get().cloned();
        let mode = self.mode.as_ref().map(read).transpose();
        mode.map_err(|problem| FieldProblem::new("mode", format_args!(": {problem}"), ""))
    }

    /// The desired state.
    pub(super) fn wanted(&self) -> Sound<Wanted> {
        let spelled = self.spelled()?;
        self.check_combination(&spelled, &Known::all(File::spec()))?;
        if let Some(problem) = self.wrong_rest().into_iter().next() {
            return Err(problem);
        }
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

    fn check_combination(&self, spelled: &Spelled, known: &Known<'_>) -> Sound<()> {
        let makes = [
            ("content", self.content.is_some()),
            ("source", self.source.is_some()),
            ("fragments", self.fragments.is_some()),
            ("symlink", self.symlink.is_some()),
        ];
        // A field that is still to be received counts as given.
        let mut makes = makes.into_iter().filter(|(field, is)| *is || !known.is_known(field)).map(|(field, _)| field);
        let (first, second) = (makes.next(), makes.next());
        if let (Some(first), Some(second)) = (first, second) {
            let problem = format_args!("and `{second}` both declare what is there");
            return Err(FieldProblem::new(first, problem, "leave one of them out").judged_by([]));
        }
        if let (Some(first), Some(FileState::Absent)) = (first, self.state) {
            let problem = FieldProblem::new(first, "is given, and `state` is absent", "leave one of them out");
            return Err(problem.judged_by("state"));
        }
        let shown = || shown(&spelled.path);
        if let Some(field @ ("content" | "fragments" | "symlink")) = first.filter(|_| spelled.dir) {
            let problem = format!("is given, and the path {}/ is a directory", shown());
            let remedy = format_args!("leave out the slash at its end, or `{field}`");
            return Err(FieldProblem::new(field, problem, remedy).judged_by(PATH_FIELDS));
        }
        for (field, is) in [("recurse", self.recurse != Recurse::default()), ("purge", self.purge)] {
            if is && !spelled.dir {
                let remedy = format!("write the path as {}/, or leave out `{field}`", shown());
                return Err(FieldProblem::new(fields_of_path(field), "is about what is in a directory", remedy));
            }
        }
        let has_mode = self.mode.is_some() || !known.is_known("mode");
        if has_mode && first == Some("symlink") {
            return Err(FieldProblem::new("mode", "is given, and a symlink has none", "leave it out").judged_by([]));
        }
        Ok(())
    }

    fn what(&self, spelled: &Spelled) -> Sound<What> {
        if self.state == Some(FileState::Absent) {
            return Ok(What::Absent);
        }
        // Older files ask for an empty directory this way: there is nothing to copy.
        let source = self.source.as_deref().filter(|source| !(spelled.dir && *source == "/dev/null"));
        let source = source.map(|source| self.from("source", source, spelled)).transpose()?;
        if let Some(source) = source.as_ref().filter(|source| source.dir != spelled.dir) {
            let (field, end) = if source.dir {
                ("source", "ends in `/` and `path` does not")
            } else {
                ("path", "ends in `/` and `source` does not")
            };
            let problem = format_args!("{end}: a directory is copied to a directory, a file to a file");
            let problem = FieldProblem::new(field, problem, "give both the slash or none");
            return Err(problem.judged_by(fields_of_path("source")));
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
                let remedy = "give at least one path, or `content`: \"\" for an empty file";
                Err(FieldProblem::new("fragments", "is an empty list", remedy))
            }
            (None, Some(fragments)) => {
                let files = fragments.iter().map(|path| self.from("fragments", path, spelled));
                Ok(What::File(Some(Origin::Files(files.collect::<Result<_, _>>()?))))
            }
            (None, None) => Ok(What::File(None)),
        }
    }

    /// A path to read from, which must not be the one that is written.
    fn from(&self, field: &str, text: &str, target: &Spelled) -> Sound<Spelled> {
        let from = spelled(text).map_err(|problem| FieldProblem::new(field, format_args!("is {problem}"), ""))?;
        let overlaps = from.path == target.path
            || (from.dir && target.path.starts_with(&from.path))
            || (target.dir && from.path.starts_with(&target.path));
        if overlaps {
            let shown = shown(&from.path);
            let problem = format_args!("is {shown}, which is, holds or is in the path itself: it would copy itself");
            return Err(FieldProblem::new(fields_of_path(field), problem, "name another place"));
        }
        Ok(from)
    }
}

/// A field, and the fields that make up the path.
fn fields_of_path(field: &str) -> [&str; 4] {
    let [path, dirname, basename] = PATH_FIELDS;
    [field, path, dirname, basename]
}

fn link(target: &str, spelled: &Spelled) -> Sound<What> {
    const TARGET_BYTES_MAX: usize = 4095;
    let wrong = |problem: String, remedy: &str| Err(FieldProblem::new("symlink", problem, remedy));
    if target.is_empty() {
        return wrong("is empty".to_owned(), "give the path that it leads to");
    }
    if target.contains('\0') {
        return wrong("holds a NUL byte, which no path can hold".to_owned(), "");
    }
    if target.len() > TARGET_BYTES_MAX {
        return wrong(format!("has {} bytes, and {TARGET_BYTES_MAX} is the limit", target.len()), "");
    }
    if Path::new(target) == spelled.path {
        let problem = FieldProblem::new(fields_of_path("symlink"), "leads to itself", "name another place");
        return Err(problem);
    }
    Ok(What::Link(PathBuf::from(target)))
}

//! The kind `file`: its fields, and what the engine calls.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::resource::{ApplyCx, CheckCx, Converge, Error, FieldProblem, Known, Need, Result, Stopping};
use crate::resource::{Obstacle, ObstacleKind, Uid, Watch, WatchCx};
use crate::resources::file::alias::Asker;
use crate::resources::file::apply::Work;
use crate::resources::file::content::Content;
use crate::resources::file::digests::Digests;
use crate::resources::file::drift::FileDrift;
use crate::resources::file::look::Look;
use crate::resources::file::mode::Mode;
use crate::resources::file::owner::Owner;
use crate::resources::file::owner_ids::OwnerIds;
use crate::resources::file::path::Spelled;
use crate::resources::file::recurse::Recurse;
use crate::resources::file::state::FileState;
use crate::resources::file::wanted::{Origin, PATH_FIELDS, What};
use crate::sys::fs::{FsError, WriteFs};
use mgmt_macros::Resource;

/// A file, a directory with or without what is in it, or a symlink.
///
/// A path that ends in `/` is a directory; with [`symlink`](FileBuilder::symlink) it is a symlink; else it is a regular
/// file. Everything is written beside its place, gets its owner and its mode, is made durable, and is then put in place at
/// once: whoever looks sees the old or the new. A new file gets mode 0644, or that of its `source`, or 0600 if its
/// content is a secret; a new directory gets 0755; the umask has no say. The directory that holds it must exist: declare it too.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("web");
/// let conf = g.add(File::new("/etc/app/").mode(0o755));
/// g.add(File::new("/etc/app/app.conf").content("port = 80\n").owner("root").mode("u=rw,go=r").after(&conf));
/// g.add(File::new("/etc/app/all.conf").fragments(["/etc/app/head", "/etc/app/conf.d/"]).after(&conf));
/// g.add(File::new("/srv/site/").source("/usr/share/site/").recurse(true).purge(true));
/// g.add(File::new("/etc/localtime").symlink("/usr/share/zoneinfo/Etc/UTC"));
/// g.add(File::new("/etc/app/old.conf").absent());
/// ```
///
/// What another program writes into a file through `mmap` the kernel does not report: it is found with the next check,
/// which the metaparameter `poll` asks for every so often.
///
/// What is of another type is replaced only with `force`; but a symlink where a regular file with a declared content
/// belongs is always replaced, and never followed.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "file", inline = watch)]
pub struct File {
    /// Its name is its path, unless `path` says otherwise: absolute, without `..`; a slash at the end means a directory.
    #[resource(name)]
    pub(super) name: String,
    /// The path, if the name is something else.
    pub(super) path: Option<String>,
    /// Takes the place of the directory part of the path. Ends in `/`.
    pub(super) dirname: Option<String>,
    /// Takes the place of the last part of the path. Does not begin with `/`.
    pub(super) basename: Option<String>,
    /// Whether it exists, is absent, or is only kept in order where it exists (`undefined`). Default: it exists.
    pub(super) state: Option<FileState>,
    /// What the file holds. Left out: whatever it holds (a new one is empty). `""`: it is empty. Changes are shown line by
    /// line, but not those of a secret, nor, unless that is asked for (`--show`), of a file whose mode, as it is or as
    /// declared, lets others not read it.
    pub(super) content: Option<Content>,
    /// A file of this machine to copy the content from; for a directory, a directory, with `/` at the end. It must exist.
    /// Of a directory the files directly in it are copied, and what is deeper with `recurse`. Files and directories that
    /// are new get the mode of the original; `owner` and `group` hold for all that is copied. But a symlink that a user
    /// made, neither root nor the one that runs this, stays that user's: it is followed no more than the original is.
    pub(super) source: Option<String>,
    /// Files whose contents, one after the other, are the content. One that ends in `/` is a directory: all regular files
    /// directly in it, by name. A new file gets the mode that all of them have in common.
    pub(super) fragments: Option<Vec<String>>,
    /// Where a symlink leads: absolute or relative, there or not.
    pub(super) symlink: Option<String>,
    /// Permissions: `0o644`, `"0644"` or `"u=rw,go=r"`. Default: as they are, but 0600 if the content is a secret. When
    /// `owner` or `group` changes what is there, set-user-id and set-group-id go; of what another user made, neither root
    /// nor the one that runs this, also the rights of its group and of others to write, and its access lists.
    pub(super) mode: Option<Mode>,
    /// The user who owns it, by name or number. Default: as it is; of a file with a secret the user that runs this. A
    /// secret is never written into a file that another user made, that has other names, or that has an access list: a
    /// new one takes its place.
    pub(super) owner: Option<Owner>,
    /// Its group, by name or number. Default: as it is.
    pub(super) group: Option<Owner>,
    /// Of a directory: what is deeper counts too, in `source` and for `purge`: `true` for all of it, or a number of
    /// levels (1: what is directly in it), beyond which nothing is copied, purged or watched. Default: only what is
    /// directly in it. A source that is nested deeper than 256 levels is an error unless a number is given.
    #[resource(default)]
    pub(super) recurse: Recurse,
    /// What is of another type, a directory with all that is in it among them, may be replaced. Default: that is an error.
    #[resource(default)]
    pub(super) force: bool,
    /// Of a directory: what is in it and is neither in `source` nor owned by another resource is removed; sub-directories
    /// only with `recurse`. Where another resource owns a directory, nothing in it is touched. Default: it stays.
    #[resource(default)]
    pub(super) purge: bool,
    /// How many files and directories may be removed at a time; more is an error. Default: 10000.
    #[resource(default = REMOVALS_MAX)]
    pub(super) removals_max: u32,
    /// Symlinks in the middle of the path are followed whoever made them. Default: as root only those that nobody else can
    /// have planted.
    #[resource(default)]
    pub(super) follow_symlinks: bool,
    /// Its path in normal form: without a slash at the end.
    #[resource(send)]
    full_path: String,
}

/// The default of `removals_max`.
const REMOVALS_MAX: u32 = 10_000;

impl FileBuilder {
    /// Something is at the path. The default.
    pub fn exists(self) -> Self {
        self.state(FileState::Exists)
    }

    /// Nothing is at the path: whatever is there is removed, a directory with all that is in it.
    pub fn absent(self) -> Self {
        self.state(FileState::Absent)
    }
}

/// Whatever is wrong with the file system as it is now can be put right there, and the watch sees that: the resource
/// waits for it. Not so a disk that fails, and a path that can't be used.
fn waiting(error: Error, path: &Path) -> Error {
    match error.obstacle() {
        None if error.cause::<FsError>().is_none() && !error.is_needs_value() => {
            error.waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(path))
        }
        _ => error,
    }
}

impl Converge for File {
    type Drift = FileDrift;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        self.problems(known)
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<FileDrift>> {
        let wanted = self.wanted()?;
        cx.send(Self::FULL_PATH, wanted.path.to_string_lossy().into_owned());
        let (seen, names, owned): (Arc<Digests>, Arc<OwnerIds>, _) = (cx.local(), cx.shared(), cx.owned_paths());
        let alias = Asker { owned: Arc::clone(&owned), id: cx.id(), aliases: cx.shared(), claims: cx.local() };
        let (path, paths) = (wanted.path.clone(), cx.changed_paths().map(<[_]>::to_vec));
        let shows_private = cx.shows_private();
        let looked = cx.look(move |fs, stop| {
            let fs = wanted.reader(fs).near(&wanted.path);
            let (wanted, seen, names, owned, alias) = (&wanted, &*seen, &*names, &*owned, &alias);
            Look { fs: &fs, wanted, seen, names, owned, alias, stop, paths: paths.as_deref(), shows_private }.look()
        });
        looked.await.map_err(|error| {
            // It was swapped for something else between two looks at it.
            let raced = error.cause::<FsError>().is_some_and(|error| error.is_race() && error.path() == path);
            waiting(if raced { error.outdated() } else { error }, &path)
        })
    }

    async fn apply(&self, cx: &ApplyCx, drift: FileDrift) -> Result<()> {
        let wanted = self.wanted()?;
        let (is_announced, path) = (cx.owes_refreshes(), wanted.path.clone());
        let work = move |fs: &WriteFs, stop: &Stopping| {
            Work { fs: &wanted.writer(fs), wanted: &wanted, stop, is_announced }.run(drift.steps)
        };
        cx.change(work).await.map_err(|error| {
            // Another program was quicker: what is there now, the next check finds. That there is more to remove than the
            // check has seen is that, too.
            let is_race = |error: &FsError| error.is_race() || matches!(error, FsError::TooMany { .. });
            let raced = error.cause::<FsError>().is_some_and(is_race);
            waiting(if raced { error.outdated() } else { error }, &path)
        })
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let Ok(wanted) = self.wanted() else { return Watch::none() };
        let fs = cx.fs();
        match &wanted.what {
            What::Directory(dir) => {
                let tree = |path: &Path| match dir.recurse.levels() {
                    Some(levels) => fs.levels(path, levels),
                    None => fs.tree(path),
                };
                let looked_into = dir.source.is_some() || dir.recurse.is_deep() || dir.purge;
                let own = if looked_into { tree(&wanted.path) } else { fs.itself(&wanted.path) };
                dir.source.iter().fold(own, |all, source| all.and(tree(source)))
            }
            What::File(Some(Origin::Files(files))) => {
                let watch = |file: &Spelled| if file.dir { fs.levels(&file.path, 1) } else { fs.path(&file.path) };
                files.iter().fold(fs.path(&wanted.path), |all, file| all.and(watch(file)))
            }
            _ => fs.path(&wanted.path),
        }
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        if !known.are_known(PATH_FIELDS) {
            return Vec::new();
        }
        self.spelled().map(|spelled| Uid::Path(spelled.path)).into_iter().collect()
    }

    fn clears(&self, known: &Known<'_>) -> Vec<PathBuf> {
        if !known.are_known(PATH_FIELDS) {
            return Vec::new();
        }
        let clears = self.purge || self.force || self.state == Some(FileState::Absent);
        self.spelled().ok().filter(|_| clears).map(|spelled| spelled.path).into_iter().collect()
    }

    fn remarks(&self) -> Vec<String> {
        let follows = "`follow_symlinks`: symlinks in its path are followed, whoever made them";
        self.follow_symlinks.then(|| follows.to_owned()).into_iter().collect()
    }

    fn copies(&self, known: &Known<'_>) -> Vec<PathBuf> {
        self.copied(known)
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        self.needed(known).into_iter().map(Need::after).collect()
    }
}

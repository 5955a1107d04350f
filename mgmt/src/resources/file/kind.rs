//! The kind `file`: its fields, and the functions that the engine calls.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::resource::{ApplyCx, CheckCx, Converge, Error, FieldProblem, Known, Need, Reading, Result, Stopping};
use crate::resource::{Obstacle, ObstacleKind, Uid, Watch, WatchCx};
use crate::resources::file::alias::Asker;
use crate::resources::file::apply::Work;
use crate::resources::file::content::Content;
use crate::resources::file::drift::FileDrift;
use crate::resources::file::foresee::foresee;
use crate::resources::file::kept::Kept;
use crate::resources::file::look::Look;
use crate::resources::file::mode::Mode;
use crate::resources::file::owner::Owner;
use crate::resources::file::owner_ids::OwnerIds;
use crate::resources::file::path::Spelled;
use crate::resources::file::recurse::Recurse;
use crate::resources::file::reverse::Recording;
use crate::resources::file::state::FileState;
use crate::resources::file::wanted::{Origin, PATH_FIELDS, What};
use crate::sys::fs::{FsError, WriteFs};
use mgmt_macros::Resource;

/// A file, a directory with or without its content, or a symlink.
///
/// A path that ends in `/` is a directory; with [`symlink`](FileBuilder::symlink) it is a symlink; otherwise it is a
/// regular file. A file is written under a temporary name in the same directory, gets its owner and its mode, is
/// synced, and is then renamed: readers see the old file or the new one. A new file gets mode 0644, or that of its
/// `source` (without what group and others may write, if the source belongs to another user), or 0600 if its content is
/// a secret; a new directory gets 0755. The umask has no effect. The directory that
/// holds the file must exist: declare it too.
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
/// The kernel reports no event for what another program writes into a file through `mmap`: the next check finds it. The
/// metaparameter `poll` asks for checks at an interval.
///
/// Something of another type at the path is replaced only with `force`. A symlink where a regular file with a declared
/// content belongs is always replaced, never followed.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "file", inline = watch)]
pub struct File {
    /// The name is the path, unless `path` is given: absolute, without `..`; a slash at the end means a directory.
    #[resource(name)]
    pub(super) name: String,
    /// The path, if the name is not the path.
    pub(super) path: Option<String>,
    /// Replaces the directory part of the path. Ends in `/`.
    pub(super) dirname: Option<String>,
    /// Replaces the last part of the path. Does not begin with `/`.
    pub(super) basename: Option<String>,
    /// Whether the path exists (`exists`), is absent (`absent`), or is kept as declared but never created (`undefined`:
    /// a missing file is an error). Default: `exists`.
    pub(super) state: Option<FileState>,
    /// The content of the file. Default: any content is accepted, and a new file is empty. `""`: the file is empty.
    /// Changes are shown line by line, except those of a secret, and those of a file whose mode, as found or as
    /// declared, does not let others read it (`--show` shows these).
    pub(super) content: Option<Content>,
    /// A file of this machine to copy the content from; for a directory, another directory, with `/` at the end. It
    /// must exist. The files directly in a directory are copied, and deeper ones with `recurse`. Each copy is like its
    /// original, as with `cp -a`, in all that is not declared: mode, time of the last change, extended attributes
    /// (`user.`), access lists, capabilities; as root also owner and group (otherwise the group, if the user of the
    /// engine is in it). What the system refuses is skipped. Exceptions: a new directory gets the time of its original,
    /// an existing one keeps its own; two names of one file become two files; the directory itself is like its source
    /// only if it is created here. Rights are copied only with their owner: set-user-id, set-group-id and capabilities
    /// only with owner and group of root or of the user of the engine (set-group-id of a directory with its group);
    /// access lists of another user's file, and what its group and others may write, only with that owner. A directory
    /// that belongs to root is not given to another user. A symlink that belongs to a user who is neither root nor the
    /// user of the engine keeps that owner, so that it is followed no more than the original is. A `source` that is
    /// itself a symlink is refused: name its target. A copy of a directory above the engine's working directory leaves
    /// that out, and copies nothing into it.
    pub(super) source: Option<String>,
    /// Files whose contents, one after the other, are the content. An entry that ends in `/` is a directory: all
    /// regular files directly in it, by name. A new file gets the mode bits that all of them have in common.
    pub(super) fragments: Option<Vec<String>>,
    /// The target of a symlink: absolute or relative; it need not exist.
    pub(super) symlink: Option<String>,
    /// The permissions: octal digits as text (`"0644"`), or symbolic (`"u=rw,go=r"`). Default: as they are, but 0600 if
    /// the content is a secret. When `owner` or `group` changes an existing file, set-user-id and set-group-id are
    /// removed; if a user other than root or the user of the engine made it, so are the write permissions of its group
    /// and of others, and its access lists. A symbolic mode is applied to what is left then: what it does not name is
    /// not kept from another owner. For a file with a secret, it is applied to 0600.
    ///
    /// # In Rust
    /// Also a number: `0o644`.
    pub(super) mode: Option<Mode>,
    /// The user who owns the file, by name or number. Default: as it is; for a file with a secret, the user of the
    /// engine. A secret is never written into a file that another user made, that has other hard links, or that has an
    /// access list: a new file replaces it.
    pub(super) owner: Option<Owner>,
    /// The group of the file, by name or number. Default: as it is.
    pub(super) group: Option<Owner>,
    /// How deep `source` and `purge` of a directory go: `true` for all levels, or a number of levels (1: what is
    /// directly in it), beyond which nothing is copied, purged or watched. Default: 1 level. A source that is nested
    /// deeper than 256 levels is an error unless a number is given.
    #[resource(default)]
    pub(super) recurse: Recurse,
    /// Whether something of another type at the path may be replaced, including a directory with everything in it.
    /// Default: false, which makes that an error.
    #[resource(default)]
    pub(super) force: bool,
    /// Whether to remove what is in the directory and is neither in `source` nor owned by another resource;
    /// subdirectories only with `recurse`. Nothing in a directory that another resource owns is touched, nor what the
    /// engine needs: its working directory, the files that the graph is read from, and those that the program writes.
    /// Default: false.
    #[resource(default)]
    pub(super) purge: bool,
    /// The most files and directories that one repair may remove; more is an error. Default: 10000.
    #[resource(default = REMOVALS_MAX)]
    pub(super) removals_max: u32,
    /// Whether to follow symlinks in the middle of the path, whatever their owner. Default: false; then root follows
    /// only symlinks that no other user can have planted.
    #[resource(default)]
    pub(super) follow_symlinks: bool,
    /// The path in normal form: without a slash at the end.
    #[resource(send)]
    full_path: String,
}

/// The default of `removals_max`.
const REMOVALS_MAX: u32 = 10_000;

impl FileBuilder {
    /// Declares that something is at the path. The default.
    pub fn exists(self) -> Self {
        self.state(FileState::Exists)
    }

    /// Declares that nothing is at the path: what is there is removed, a directory with everything in it.
    pub fn absent(self) -> Self {
        self.state(FileState::Absent)
    }
}

/// Problems with the present state of the file system can be solved there, and the watch reports that: the resource
/// waits. A failing disk and an unusable path are not such problems.
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

    const WORKS_ON_FILES: bool = true;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        self.problems(known)
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<FileDrift>> {
        let wanted = self.wanted()?;
        cx.send(Self::FULL_PATH, wanted.path.to_string_lossy().into_owned());
        let (kept, names, owned): (Arc<Kept>, Arc<OwnerIds>, _) = (cx.local(), cx.shared(), cx.owned_paths());
        let alias = Asker { owned: Arc::clone(&owned), id: cx.id(), aliases: cx.shared(), kept: Arc::clone(&kept) };
        let (path, paths) = (wanted.path.clone(), cx.changed_paths().map(<[_]>::to_vec));
        let shows_private = cx.shows_private();
        let looked = cx.look(move |fs, stop| {
            let fs = wanted.reader(fs).near(&wanted.path);
            let (wanted, seen, names, owned, alias) = (&wanted, &kept.digests, &*names, &*owned, &alias);
            let (paths, own) = (paths.as_deref(), OnceCell::new());
            Look { fs: &fs, wanted, seen, names, owned, alias, stop, paths, shows_private, own }.look()
        });
        looked.await.map_err(|error| {
            // The path was swapped during the check.
            let raced = error.cause::<FsError>().is_some_and(|error| error.is_race() && error.path() == path);
            waiting(if raced { error.outdated() } else { error }, &path)
        })
    }

    async fn apply(&self, cx: &ApplyCx, drift: FileDrift) -> Result<()> {
        let wanted = self.wanted()?;
        let (is_announced, path, owned) = (cx.owes_refreshes(), wanted.path.clone(), cx.owned_paths());
        let (recorders, kept): (_, Arc<Kept>) = (cx.recorders::<Self>(), cx.local());
        let work = move |fs: &WriteFs, stop: &Stopping| {
            for recorder in &recorders {
                let (fs, digests) = (&wanted.writer(fs), &kept.digests);
                let recorded = Recording { recorder, fs, wanted: &wanted, digests, stop }.before(&drift.steps);
                if recorded.is_err() {
                    return (fs.batch(), recorded);
                }
            }
            Work { fs: &wanted.writer(fs), wanted: &wanted, stop, is_announced, owned: &owned }.run(drift.steps)
        };
        let (batch, outcome) = cx.change(work).await;
        let durable = cx.commit(batch).await;
        outcome.and(durable.map(drop)).map_err(|error| {
            // Another program was faster: the next check finds what is there now. The same holds if there is more to
            // remove than the check has seen.
            let is_race = |error: &FsError| error.is_race() || matches!(error, FsError::TooMany { .. });
            let raced = error.cause::<FsError>().is_some_and(is_race);
            waiting(if raced { error.outdated() } else { error }, &path)
        })
    }

    async fn foresee(&self, cx: &CheckCx, drift: &FileDrift) -> Result<()> {
        let (wanted, owned, drift) = (self.wanted()?, cx.owned_paths(), drift.clone());
        cx.look(move |fs, _| foresee(&wanted.reader(fs), &wanted, &owned, &drift)).await
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

    /// A file with any content is kept in its owner, its mode and its existence alone.
    fn is_whole(&self, known: &Known<'_>) -> bool {
        let contents =
            [self.content.is_some(), self.source.is_some(), self.fragments.is_some(), self.symlink.is_some()];
        let are_known = known.are_known(["content", "source", "fragments", "symlink", "state"]);
        let is_directory = self.spelled().is_ok_and(|spelled| spelled.dir);
        is_directory || !are_known || self.state == Some(FileState::Absent) || contents.contains(&true)
    }

    fn clears(&self, known: &Known<'_>) -> Vec<PathBuf> {
        if !known.are_known(PATH_FIELDS) {
            return Vec::new();
        }
        let clears = self.purge || self.force || self.state == Some(FileState::Absent);
        self.spelled().ok().filter(|_| clears).map(|spelled| spelled.path).into_iter().collect()
    }

    fn remarks(&self) -> Vec<String> {
        let follows = "`follow_symlinks`: symlinks in its path are followed, whichever user made them";
        self.follow_symlinks.then(|| follows.to_owned()).into_iter().collect()
    }

    fn copies(&self, known: &Known<'_>) -> Vec<PathBuf> {
        self.copied(known)
    }

    fn reads(&self, known: &Known<'_>) -> Vec<Reading> {
        self.read(known)
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        self.needed(known)
    }

    fn is_absent(&self, known: &Known<'_>) -> Option<bool> {
        self.must_be_absent(known)
    }
}

//! The kind `unpack`.

use std::path::{Path, PathBuf};

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Drift, FieldProblem, Known, Need, Reading, Result, Uid, Watch, WatchCx, every,
};
use crate::resources::archive::compare::{Differences, Seen, Wanted};
use crate::resources::archive::extract::Extraction;
use crate::resources::archive::output::{Writing, foresee, raced, written};
use crate::resources::archive::reading::Limits;
use crate::resources::paths::declared;
use crate::sys::fs::{WriteFs, normal_form};
use mgmt_macros::Resource;

/// The content of an archive, in a directory: tar, or tar compressed by gzip, as the file itself shows.
///
/// Each member of the archive is compared with what is on disk: the content and the mode of a file, the mode of a
/// directory, the target of a symlink. What differs is written, each file as `file` writes one; a cancelled or killed
/// repair leaves whole files, and the next check finds the rest. Other files in the directory are left alone, also
/// those that an earlier version of the archive had. Files belong to the user of the engine; times, owners, extended
/// attributes, set-user-id, set-group-id and sticky are not taken from the archive. A hard link becomes a file of its
/// own with the same content.
///
/// The whole archive is read, and its `sha256` compared, before anything is written. Nothing is unpacked if a member
/// could reach outside of the directory (an absolute name, `..`, a symlink that is absolute or leads out, a hard link
/// to anything but an earlier file of the archive), if it is a device, a pipe or a sparse file, if two members have one
/// name, if one lies below another that is no directory, or if there are more members or bytes than the limits allow. A
/// symlink that is on disk in place of a directory of the archive is not followed: that is an error. A symlink or
/// another object in place of a file is replaced; a directory is not.
///
/// The resource owns the directory, and watches all of it. Time: this engine reads the archive once for each version of
/// it, and once more to write; a check of files that did not change since reads none of them.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("unpacked");
/// g.add(Unpack::new("/opt/app", "/var/cache/app-1.2.tar.gz"));
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "unpack", inline = watch)]
pub struct Unpack {
    /// The name of the resource. It is the directory, unless `path` is given.
    #[resource(name)]
    name: String,
    /// The archive: absolute, without `..`. As long as it is missing, the resource waits for it.
    source: String,
    /// The directory: absolute, without `..`. It is made if it is missing, with mode 0755; what it lies in must exist.
    /// Default: the name.
    path: Option<String>,
    /// The SHA-256 that the archive must have, in 64 hexadecimal digits. With another one, nothing is unpacked.
    /// Default: any.
    sha256: Option<String>,
    /// The most members that the archive may have. Default: 100000.
    #[resource(default = MEMBERS_MAX)]
    members_max: u32,
    /// The most bytes that the archive may have, uncompressed. Default: 4294967296 (4 GiB).
    #[resource(default = BYTES_MAX)]
    bytes_max: u64,
}

/// The default of `members_max`.
const MEMBERS_MAX: u32 = 100_000;
/// The default of `bytes_max`.
const BYTES_MAX: u64 = 4 << 30;

/// The members that are not on disk as they are in the archive.
#[derive(Clone, Debug)]
pub struct UnpackDrift(Differences);

impl Drift for UnpackDrift {
    fn changes(&self) -> Vec<Change> {
        self.0.changes.clone()
    }
}

impl Converge for Unpack {
    type Drift = UnpackDrift;

    const WORKS_ON_FILES: bool = true;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let field = if self.path.is_some() { "path" } else { "name" };
        let sum = self.sha256.as_ref().filter(|sum| sum.len() != 64 || !sum.bytes().all(|b| b.is_ascii_hexdigit()));
        let sum = sum.map(|_| FieldProblem::new("sha256", "is no SHA-256", "give 64 hexadecimal digits"));
        let is_inside = known.are_known(["source", "path"])
            && self.source_path().zip(self.dir()).is_some_and(|(source, dir)| source.starts_with(dir));
        let inside = is_inside
            .then(|| FieldProblem::new("source", "lies in the directory itself", "keep the archive somewhere else"));
        every([
            FieldProblem::of_path(field, Path::new(self.dir_text())),
            FieldProblem::of_path("source", Path::new(&self.source)).or(inside),
            sum,
        ])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<UnpackDrift>> {
        let (wanted, seen) = (self.wanted()?, cx.local::<Seen>());
        let found = cx.look(move |fs, stop| wanted.look(fs, &seen, stop)).await.map_err(raced)?;
        Ok((!found.changes.is_empty()).then_some(UnpackDrift(found)))
    }

    async fn apply(&self, cx: &ApplyCx, UnpackDrift(found): UnpackDrift) -> Result<()> {
        let wanted = self.wanted()?;
        let work = move |fs: &WriteFs, &Writing { owned, stop, is_announced }: &Writing<'_>| {
            Extraction { fs, wanted: &wanted, owned, stop, is_announced }.run(&found)
        };
        written(cx, work).await
    }

    async fn foresee(&self, cx: &CheckCx, _: &UnpackDrift) -> Result<()> {
        let (dir, owned) = (self.wanted()?.dir, cx.owned_paths());
        cx.look(move |fs, _| match fs.stat(&dir)? {
            Some(_) => Ok(fs.can_change_dir_of(dir.join("member"))?),
            None => foresee(fs, &owned, &dir),
        })
        .await
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        cx.fs().tree(self.dir_text()).and(cx.fs().path(&self.source))
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        self.dir().filter(|_| known.is_known("path")).map(Uid::Path).into_iter().collect()
    }

    fn copies(&self, known: &Known<'_>) -> Vec<PathBuf> {
        self.source_path().filter(|_| known.is_known("source")).into_iter().collect()
    }

    fn reads(&self, known: &Known<'_>) -> Vec<Reading> {
        let source = known.is_known("source").then(|| self.source.clone());
        source.map(|path| Reading { field: "source", path, levels: None }).into_iter().collect()
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        self.copies(known).into_iter().map(|source| Need::after(Uid::Path(source)).because("its archive")).collect()
    }
}

impl Unpack {
    fn dir_text(&self) -> &str {
        self.path.as_deref().unwrap_or(&self.name)
    }

    fn dir(&self) -> Option<PathBuf> {
        normal_form(Path::new(self.dir_text())).ok()
    }

    fn source_path(&self) -> Option<PathBuf> {
        normal_form(Path::new(&self.source)).ok()
    }

    fn wanted(&self) -> Result<Wanted> {
        Ok(Wanted {
            dir: declared("path", self.dir_text())?,
            source: declared("source", &self.source)?,
            sha256: self.sha256.as_ref().map(|sum| sum.to_ascii_lowercase()),
            limits: Limits { members: self.members_max, bytes: self.bytes_max },
        })
    }
}

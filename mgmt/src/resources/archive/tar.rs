//! The kind `tar`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, FieldProblem, Known, Need, Reach, Result, Uid, Watch, WatchCx, every,
};
use crate::resources::archive::compress::{self, TarCompress, compression};
use crate::resources::archive::contents::Input;
use crate::resources::archive::format::TarFormat;
use crate::resources::archive::level;
use crate::resources::archive::made::Seen;
use crate::resources::archive::output::{foresee, raced, written};
use crate::resources::archive::packing::{Archive, How, Looking, Recipe};
use crate::resources::archive::sending;
use crate::resources::digests::hex;
use crate::resources::paths::declared;
use crate::sys::fs::normal_form;
use mgmt_macros::Resource;

/// An archive of files and directories, in the format of tar, compressed by gzip or not. With `sendonly` no file is
/// written: the archive is only sent.
///
/// An input gets its last component as its name in the archive, whatever directory it is in: `/etc/app` becomes `app`,
/// and what is in it `app/…`. With a slash at its end (`/etc/app/`) only what is in the directory goes into the
/// archive, without a name before it. Two members of one name are an error.
///
/// The archive depends on the names, types, permissions (0777) and contents of its members, on the targets of the
/// symlinks, and on the fields alone, so that it has the same bytes on all hosts that run the same version. Its members
/// are sorted by their names, component by component. They all belong to root (0), without names of users and groups,
/// and were last changed at 1980-01-01 00:00:00 UTC. Set-user-id, set-group-id and sticky, access lists and other
/// extended attributes are left out. A symlink is a member whatever it leads to, and is not followed; an input itself
/// must not be one. Each name of a file with several hard links is a file of its own; holes of sparse files are zeros.
/// Left out are sockets, temporary files of killed writes, and what the engine keeps in its working directory. A named
/// pipe or a device in an input is an error, and so is an archive that lies in one of its inputs.
///
/// The resource watches its inputs with everything below them, and is in sync if the archive has the bytes that would
/// be written. If an input changes while it is read, nothing is written, and the engine looks again. A new archive has
/// mode 0644 if the permissions of all members let every user read them, and 0600 otherwise; one that is replaced keeps
/// its owner, its mode and its extended attributes. It is written as `file` writes one, so that readers see the old
/// one or the new one, and a cancelled or killed write leaves nothing; a symlink or a directory at the path is not
/// replaced.
///
/// Memory: less than a megabyte, and about 500 bytes for each member; at most 1000000 members. Time: a check of inputs
/// that have not changed reads none of them; of others it reads those that have changed, and all of them once more to
/// write. The next run of the program begins again: its first check reads everything twice.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("archived");
/// g.add(Tar::new("/var/backups/app.tar.gz", ["/etc/app", "/srv/app/"]));
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "tar", inline = watch)]
pub struct Tar {
    /// The name of the resource. It is the path, unless `path` is given.
    #[resource(name)]
    name: String,
    /// The files and directories that go into the archive, at least one: absolute, without `..`. A slash at the end of
    /// a directory means only what is in it. As long as one is missing, the resource waits for it.
    inputs: Vec<String>,
    /// The archive: absolute, without `..`. Default: the name. Not with `sendonly`.
    path: Option<String>,
    /// How the archive holds long names and large files: `pax` (the default), `gnu`, or `ustar` (not at all).
    #[resource(default)]
    format: TarFormat,
    /// `gzip` or `none`. Default: `gzip` if the path (with `sendonly`, the name) ends in `.gz` or `.tgz`, otherwise
    /// `none`.
    compress: Option<TarCompress>,
    /// The level of the compression, from 0 (not compressed) to 9 (slowest and smallest). Default: 6; -1 means the
    /// same.
    level: Option<i8>,
    /// Whether no file is written, and the archive is sent as `content`; it may then have at most 16 MiB, and it is no
    /// secret, whatever the permissions of the inputs are. Default: false.
    #[resource(default)]
    sendonly: bool,
    /// The SHA-256 of the archive, in hexadecimal digits. Sent when the archive is in sync.
    #[resource(send)]
    sha256: String,
    /// The archive itself. Sent only with `sendonly`.
    #[resource(send)]
    content: Vec<u8>,
}

impl Converge for Tar {
    type Drift = Vec<Change>;

    const WORKS_ON_FILES: bool = true;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let field = if self.path.is_some() { "path" } else { "name" };
        let output = Path::new(self.output());
        let directory = (self.output().ends_with('/'))
            .then(|| FieldProblem::new(field, "ends in `/`, so it is a directory", "name a file"));
        let path = match self.sendonly {
            true => sending::problem(self.path.as_ref()),
            false => FieldProblem::of_path(field, output).or(directory),
        };
        let path =
            path.or_else(|| compress::problem(self.compress.filter(|_| known.is_known("compress")), field, output));
        let is_squeezed = compression(self.compress, output) == TarCompress::Gzip;
        let level = known.require(
            ["level", "compress", "path"],
            self.level.is_none() || is_squeezed,
            "is given for an archive that is not compressed",
            "leave it out, or set `compress` to gzip",
        );
        let inputs = if known.is_known("inputs") { self.input_problems(known) } else { Vec::new() };
        every([path, level::problem(self.level).or(level)]).into_iter().chain(inputs).collect()
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Vec<Change>>> {
        let (recipe, seen, owned) = (self.recipe()?, cx.local::<Seen<How>>(), cx.owned_paths());
        if self.sendonly {
            let look = cx.look(move |fs, stop| recipe.value(fs, &Looking { seen: &seen, owned: &owned, stop }));
            let value = look.await.map_err(raced)?;
            cx.send(Self::SHA256, hex(&Sha256::digest(&*value).into()));
            cx.send(Self::CONTENT, value.to_vec());
            return Ok(None);
        }
        let wanted = self.wanted()?;
        let look = cx.look(move |fs, stop| wanted.look(fs, &Looking { seen: &seen, owned: &owned, stop }));
        let (found, _) = look.await.map_err(raced)?;
        if let Some(digest) = found.digest {
            cx.send(Self::SHA256, hex(&digest));
        }
        Ok((!found.changes.is_empty()).then_some(found.changes))
    }

    async fn apply(&self, cx: &ApplyCx, _: Vec<Change>) -> Result<()> {
        let (wanted, seen) = (self.wanted()?, cx.local::<Seen<How>>());
        written(cx, move |fs, writing| wanted.write(fs, &seen, writing)).await
    }

    async fn foresee(&self, cx: &CheckCx, _: &Vec<Change>) -> Result<()> {
        let (path, owned) = (self.wanted()?.path, cx.owned_paths());
        cx.look(move |fs, _| foresee(fs, &owned, &path)).await
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let own = if self.sendonly { Watch::none() } else { cx.fs().path(self.output()) };
        self.inputs.iter().fold(own, |all, input| all.and(cx.fs().tree(input)))
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        self.output_path().filter(|_| known.are_known(["path", "sendonly"])).map(Uid::Path).into_iter().collect()
    }

    fn copies(&self, known: &Known<'_>) -> Vec<PathBuf> {
        let inputs = self.inputs.iter().filter(|_| known.is_known("inputs"));
        inputs.filter_map(|input| normal_form(Path::new(input)).ok()).collect()
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        let need = |input| Need::after(Uid::Path(input)).reach(Reach::Below).because("an input of it");
        self.copies(known).into_iter().map(need).collect()
    }
}

impl Tar {
    fn output(&self) -> &str {
        self.path.as_deref().unwrap_or(&self.name)
    }

    fn output_path(&self) -> Option<PathBuf> {
        normal_form(Path::new(self.output())).ok().filter(|_| !self.sendonly)
    }

    fn input_problems(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        if self.inputs.is_empty() {
            problems.push(FieldProblem::new("inputs", "has no path", "name at least one file or directory"));
        }
        let (output, mut names) = (self.output_path().filter(|_| known.is_known("path")), HashSet::new());
        for text in &self.inputs {
            let Ok(input) = input(text) else {
                problems.extend(FieldProblem::of_path("inputs", Path::new(text)));
                continue;
            };
            if output.as_ref().is_some_and(|output| output.starts_with(&input.path)) {
                let problem = format!("has {text}, in which the archive itself lies");
                problems.push(FieldProblem::new("inputs", problem, "keep the archive somewhere else"));
            }
            if !input.is_content && !names.insert(input.name().to_owned()) {
                let problem = format!("has two paths that end in `{}`", input.name().display());
                problems.push(FieldProblem::new("inputs", problem, "put one of them into another archive"));
            }
        }
        problems
    }

    fn wanted(&self) -> Result<Archive> {
        Ok(Archive { path: declared("path", self.output())?, recipe: self.recipe()? })
    }

    fn recipe(&self) -> Result<Recipe> {
        let is_squeezed = compression(self.compress, Path::new(self.output())) == TarCompress::Gzip;
        let how = How { format: self.format, level: is_squeezed.then(|| level::level(self.level)) };
        Ok(Recipe { inputs: self.inputs.iter().map(|text| input(text)).collect::<Result<_>>()?, how })
    }
}

fn input(text: &str) -> Result<Input> {
    Ok(Input { path: declared("inputs", text)?, is_content: text.ends_with('/') })
}

//! The kind `gzip`.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Error, FieldProblem, Known, Need, Result, Uid, Watch, WatchCx, every,
};
use crate::resources::archive::level;
use crate::resources::archive::made::Seen;
use crate::resources::archive::output::{foresee, raced, written};
use crate::resources::archive::sending;
use crate::resources::archive::squeeze::{Input, Recipe, Wanted};
use crate::resources::digests::hex;
use crate::resources::paths::declared;
use crate::sys::fs::normal_form;
use mgmt_macros::Resource;

/// A compressed file, in the format of gzip: it holds another file (`input`) or a text (`content`).
///
/// With `sendonly` no file is written: the compressed form is only sent.
///
/// The file depends on its original and on the level alone: it holds no time and no name, so that it has the same bytes
/// on all hosts that run the same version. It is in sync if its bytes are those that would be written, whatever its
/// times are. A new file gets the mode of its input, without the bits for execution; one of a text gets 0644; a file
/// that is replaced keeps its owner, its mode and its extended attributes. It is written as `file` writes one, so that
/// readers see the old file or the new one; a symlink or a directory at the path is not replaced.
///
/// Memory: less than a megabyte, however large the input is. Time: an engine compresses an original once to compare,
/// and again only if the content of the original or the level changes; a check of files that did not change since reads
/// neither of them. The next run of the program begins again: its first check compresses each original once.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("compressed");
/// g.add(Gzip::new("/srv/www/page.html.gz").input("/srv/www/page.html").level(9));
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "gzip", inline = watch)]
pub struct Gzip {
    /// The name of the resource. It is the path, unless `path` is given.
    #[resource(name)]
    name: String,
    /// The compressed file: absolute, without `..`. Default: the name. Not with `sendonly`.
    path: Option<String>,
    /// The file that is compressed: absolute, without `..`. As long as it is missing, the resource waits for it.
    input: Option<String>,
    /// The text that is compressed, instead of `input`. It can't be a secret.
    content: Option<String>,
    /// From 0 (not compressed) to 9 (slowest and smallest). Default: 6; -1 means the same.
    level: Option<i8>,
    /// Whether no file is written, and the compressed form is sent as `compressed`; it may then have at most 16 MiB,
    /// and it is no secret, whatever the permissions of the input are. Default: false.
    #[resource(default)]
    sendonly: bool,
    /// The SHA-256 of the compressed form, in hexadecimal digits. Sent when the file is in sync.
    #[resource(send)]
    sha256: String,
    /// The compressed form. Sent only with `sendonly`.
    #[resource(send)]
    compressed: Vec<u8>,
}

impl Converge for Gzip {
    type Drift = Vec<Change>;

    const WORKS_ON_FILES: bool = true;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let field = if self.path.is_some() { "path" } else { "name" };
        let directory = (self.output().ends_with('/'))
            .then(|| FieldProblem::new(field, "ends in `/`, so it is a directory", "name a file"));
        let output = FieldProblem::of_path(field, Path::new(self.output())).or(directory);
        let output = if self.sendonly { sending::problem(self.path.as_ref()) } else { output };
        let input = self.input.as_deref().and_then(|input| FieldProblem::of_path("input", Path::new(input)));
        let fields = ["input", "content"];
        let is_one = !known.are_known(fields) || self.input.is_some() != self.content.is_some();
        let one = (!is_one).then(|| FieldProblem::new(fields, "both or none are given", "give one of them"));
        let same =
            self.input_path().filter(|input| known.is_known("input") && self.output_path().as_ref() == Some(input));
        let same = same.map(|_| FieldProblem::new("input", "is the compressed file itself", "name another file"));
        every([output, input, one, same, level::problem(self.level)])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Vec<Change>>> {
        let seen = cx.local::<Seen<u32>>();
        if self.sendonly {
            let recipe = self.recipe()?;
            let value = cx.look(move |fs, stop| recipe.value(fs, &seen, stop)).await.map_err(raced)?;
            cx.send(Self::SHA256, hex(&Sha256::digest(&*value).into()));
            cx.send(Self::COMPRESSED, value.to_vec());
            return Ok(None);
        }
        let wanted = self.wanted()?;
        let found = cx.look(move |fs, stop| wanted.look(fs, &seen, stop)).await.map_err(raced)?;
        if let Some(digest) = found.digest {
            cx.send(Self::SHA256, hex(&digest));
        }
        Ok((!found.changes.is_empty()).then_some(found.changes))
    }

    async fn apply(&self, cx: &ApplyCx, _: Vec<Change>) -> Result<()> {
        let (wanted, seen) = (self.wanted()?, cx.local::<Seen<u32>>());
        written(cx, move |fs, writing| wanted.write(fs, &seen, writing)).await
    }

    async fn foresee(&self, cx: &CheckCx, _: &Vec<Change>) -> Result<()> {
        let (path, owned) = (self.wanted()?.path, cx.owned_paths());
        cx.look(move |fs, _| foresee(fs, &owned, &path)).await
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let own = if self.sendonly { Watch::none() } else { cx.fs().path(self.output()) };
        self.input.iter().fold(own, |all, input| all.and(cx.fs().path(input)))
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        self.output_path().filter(|_| known.are_known(["path", "sendonly"])).map(Uid::Path).into_iter().collect()
    }

    fn copies(&self, known: &Known<'_>) -> Vec<PathBuf> {
        self.input_path().filter(|_| known.is_known("input")).into_iter().collect()
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        self.copies(known).into_iter().map(|input| Need::after(Uid::Path(input)).because("its input")).collect()
    }
}

impl Gzip {
    fn output(&self) -> &str {
        self.path.as_deref().unwrap_or(&self.name)
    }

    fn output_path(&self) -> Option<PathBuf> {
        normal_form(Path::new(self.output())).ok().filter(|_| !self.sendonly)
    }

    fn input_path(&self) -> Option<PathBuf> {
        normal_form(Path::new(self.input.as_deref()?)).ok()
    }

    fn wanted(&self) -> Result<Wanted> {
        Ok(Wanted { path: declared("path", self.output())?, recipe: self.recipe()? })
    }

    fn recipe(&self) -> Result<Recipe> {
        let input = match (&self.input, &self.content) {
            (Some(input), _) => Input::File(declared("input", input)?),
            (None, Some(text)) => Input::Text(text.clone()),
            (None, None) => return Err(Error::new("neither `input` nor `content` is given")),
        };
        Ok(Recipe { input, level: level::level(self.level) })
    }
}

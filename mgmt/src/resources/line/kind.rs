//! The kind `line`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::id::shortened;
use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Drift, FieldProblem, Known, Need, Result, Stopping, Uid, UidKey, Watch,
    WatchCx, WatchEvent, every,
};
use crate::resources::edits::waiting;
use crate::resources::line::edit::{Edit, Wanted, foresee, look};
use crate::resources::line::replaced::{PAUSES, Replaced};
use crate::resources::line::state::LineState;
use crate::resources::locks::Locks;
use crate::resources::paths::declared;
use crate::sys::fs::{WriteFs, normal_form};
use mgmt_macros::Resource;

/// A line in a text file: in it, or absent from it. All other bytes of the file stay as they are.
///
/// A line is found if it is equal to a whole line of the file, whatever the end of that line is (`\n`, `\r\n`, or none
/// at the end of the file). If it is missing, it is added as the last line, with the end that the lines before it have;
/// a last line without an end gets one. A line that must be absent is removed as often as it occurs.
///
/// Any number of lines of one file can be declared, and edits of one file happen one after the other. A file is edited
/// as `file` writes one: a new file gets the owner, the mode, the extended attributes and the access list of the old
/// one, is synced, and is then renamed, so that readers see the old file or the new one. If another program changes the
/// file in between, the edit begins again; what a program that has the old file open appends to it within six seconds
/// is added to the new one. So a file that a program keeps open for writing, such as a log, is not suited.
///
/// A `file` of the same path may declare the owner, the mode, and that the file exists. One that declares the whole
/// content (`content`, `source`, `fragments`), a symlink, or that nothing is there, is refused together with the line.
///
/// The file may have up to 16 MiB, and is checked when it changes. A file that is missing is an error unless `create`
/// is set; a line that must be absent is absent from it. A symlink is refused: name what it leads to.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("lines");
/// g.add(Line::new("127.0.0.1 example.test", "/etc/hosts"));
/// g.add(Line::new("old", "/etc/hosts").content("127.0.0.1 old.test").absent());
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "line", inline = watch)]
pub struct Line {
    /// The name of the resource. It is the line, unless `content` is given.
    #[resource(name)]
    name: String,
    /// The file: absolute, without `..`.
    file: String,
    /// The line, without its end: at least one character, at most 64 KiB. Default: the name.
    content: Option<String>,
    /// Whether the line is in the file (`exists`) or not (`absent`). Default: `exists`.
    #[resource(default)]
    state: LineState,
    /// Whether blanks and line ends at the beginning and at the end of the line are left out. Default: false; a line
    /// end is then refused.
    #[resource(default)]
    trim: bool,
    /// Whether a missing file is made, with mode 0644 and this line. Its directory must exist. Default: false.
    #[resource(default)]
    create: bool,
    /// Whether to follow symlinks in the middle of the path, whatever their owner. Default: false; then root follows
    /// only symlinks that no other user can have planted.
    #[resource(default)]
    follow_symlinks: bool,
}

impl LineBuilder {
    /// Declares that the line is in the file. The default.
    pub fn exists(self) -> Self {
        self.state(LineState::Exists)
    }

    /// Declares that the line is not in the file.
    pub fn absent(self) -> Self {
        self.state(LineState::Absent)
    }
}

/// What is not as declared in the file.
#[derive(Clone, Debug)]
pub struct LineDrift(Vec<Change>);

impl Drift for LineDrift {
    fn changes(&self) -> Vec<Change> {
        self.0.clone()
    }
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LineKey {
    pub(super) file: PathBuf,
    pub(super) line: String,
}

impl fmt::Display for LineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHARS_MAX: usize = 60;
        write!(f, "{}` of `{}", shortened(&self.line, CHARS_MAX), self.file.display())
    }
}

impl UidKey for LineKey {
    const WORD: &'static str = "line";
}

/// Announces that a file was replaced: it is looked at again for a while.
#[derive(Debug, Default)]
pub(super) struct Edited(pub(super) Notify);

/// The longest line, in bytes.
const LINE_BYTES_MAX: usize = 64 << 10;
/// The fields that make up the line.
const LINE_FIELDS: [&str; 2] = ["content", "trim"];

impl Converge for Line {
    type Drift = LineDrift;

    const WORKS_ON_FILES: bool = true;

    fn validate(&self, _: &Known<'_>) -> Vec<FieldProblem> {
        let directory = (self.file.ends_with('/'))
            .then(|| FieldProblem::new("file", "ends in `/`, so it is a directory", "name a file"));
        every([FieldProblem::of_path("file", Path::new(&self.file)).or(directory), self.wrong_line()])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<LineDrift>> {
        let (wanted, replaced, owned) = (self.wanted()?, cx.shared::<Replaced>(), cx.owned_paths());
        let path = wanted.path.clone();
        let found = cx.look(move |fs, _| look(&wanted, fs, &replaced, &owned)).await;
        let changes = found.map_err(|error| waiting(error, &path))?;
        Ok((!changes.is_empty()).then_some(LineDrift(changes)))
    }

    async fn apply(&self, cx: &ApplyCx, _: LineDrift) -> Result<()> {
        let wanted = self.wanted()?;
        let (locks, replaced, owned) = (cx.shared::<Locks>(), cx.shared::<Replaced>(), cx.owned_paths());
        let (path, is_announced, recorders) = (wanted.path.clone(), cx.owes_refreshes(), cx.recorders::<Line>());
        let work = move |fs: &WriteFs, stop: &Stopping| {
            let batch = fs.batch();
            let (wanted, locks, replaced, owned) = (&wanted, &*locks, &*replaced, &*owned);
            let edit = Edit { wanted, locks, replaced, owned, stop, is_announced, recorders: &recorders };
            let outcome = edit.run(batch.fs());
            (batch, outcome)
        };
        let (batch, outcome) = cx.change(work).await;
        cx.local::<Edited>().0.notify_one();
        let durable = cx.commit(batch).await;
        let is_changed = outcome.and_then(|changed| durable.map(|_| changed)).map_err(|error| waiting(error, &path))?;
        if !is_changed {
            cx.unchanged();
        }
        Ok(())
    }

    async fn foresee(&self, cx: &CheckCx, _: &LineDrift) -> Result<()> {
        let (wanted, owned) = (self.wanted()?, cx.owned_paths());
        cx.look(move |fs, _| foresee(&wanted, fs, &owned)).await
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let edited = cx.local::<Edited>();
        // After an edit: the number of the pause that is next.
        let again = Watch::unfold(None, move |next: Option<usize>| {
            let edited = Arc::clone(&edited);
            async move {
                let Some(mut next) = next else { return Ok((WatchEvent::Ready, Some(PAUSES.len()))) };
                loop {
                    let Some(pause) = PAUSES.get(next) else {
                        edited.0.notified().await;
                        next = 0;
                        continue;
                    };
                    tokio::select! {
                        () = sleep(*pause) => return Ok((WatchEvent::Changed, Some(next + 1))),
                        () = edited.0.notified() => next = 0,
                    }
                }
            }
        });
        cx.fs().path(&self.file).and(again)
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        if !known.is_known("file") || !known.are_known(LINE_FIELDS) {
            return Vec::new();
        }
        let key = |file| Uid::of(LineKey { file, line: self.text().to_owned() });
        self.path().map(key).into_iter().collect()
    }

    fn parts(&self, known: &Known<'_>) -> Vec<PathBuf> {
        self.path().filter(|_| known.is_known("file")).into_iter().collect()
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        if !known.is_known("file") {
            return Vec::new();
        }
        let Some(path) = self.path() else { return Vec::new() };
        let creates = self.create && self.state == LineState::Exists;
        let dir = path.parent().filter(|_| creates).map(|dir| Need::after(Uid::path(dir)).because("its directory"));
        dir.into_iter().chain([Need::after(Uid::Path(path)).because("its file")]).collect()
    }

    fn remarks(&self) -> Vec<String> {
        let follows = "`follow_symlinks`: symlinks in its path are followed, whichever user made them";
        self.follow_symlinks.then(|| follows.to_owned()).into_iter().collect()
    }
}

impl Line {
    /// The line, without its end.
    fn text(&self) -> &str {
        let text = self.content.as_deref().unwrap_or(&self.name);
        if self.trim { text.trim() } else { text }
    }

    fn path(&self) -> Option<PathBuf> {
        normal_form(Path::new(&self.file)).ok()
    }

    fn wrong_line(&self) -> Option<FieldProblem> {
        let text = self.text();
        let (problem, remedy) = if text.is_empty() {
            ("is empty".to_owned(), "give the text of the line")
        } else if text.trim_end_matches(['\n', '\r']).contains('\n') {
            ("has several lines".to_owned(), "declare a `line` for each")
        } else if text.ends_with(['\n', '\r']) {
            ("has a line end".to_owned(), "leave it out, or set `trim`")
        } else if text.contains('\0') {
            ("has a NUL byte, which no text file has".to_owned(), "leave it out")
        } else if text.len() > LINE_BYTES_MAX {
            (format!("has {} bytes", text.len()), "at most 65536 are allowed")
        } else {
            return None;
        };
        let from = if self.content.is_none() { "(taken from the name) " } else { "" };
        Some(FieldProblem::new(LINE_FIELDS, format_args!("{from}{problem}"), remedy))
    }

    fn wanted(&self) -> Result<Wanted> {
        let path = declared("file", &self.file)?;
        Ok(Wanted {
            path,
            line: self.text().to_owned(),
            state: self.state,
            create: self.create,
            follow_symlinks: self.follow_symlinks,
            was: None,
        })
    }
}

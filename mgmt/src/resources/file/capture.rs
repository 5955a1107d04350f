//! Declares files as they are.

use std::path::{Path, PathBuf};

use crate::resource::{Accepts as _, Capture, Captured, CheckCx, Error, Result, Stopping};
use crate::resources::file::content::Content;
use crate::resources::file::kind::File;
use crate::resources::file::mode::Mode;
use crate::resources::file::owner::Owner;
use crate::resources::file::state::FileState;
use crate::sys::fs::{FileKind, ReadFs, Stat};
use crate::sys::users::{group_name, user_name};

/// The most entries of a directory and of all that are in it.
const ENTRIES_MAX: usize = 10_000;
/// The longest content that is written into a graph, in bytes.
const CONTENT_MAX: u64 = 1 << 20;
/// The permission of all users to read.
const OTHERS_READ: u32 = 0o004;

impl Capture for File {
    async fn capture(&self, cx: &CheckCx) -> Result<Vec<Captured<File>>> {
        let wanted = self.wanted()?;
        let bare = self.clone();
        cx.look(move |fs, stop| {
            let fs = wanted.reader(fs);
            let mut walk = Walk { fs: &fs, bare, stop, found: Vec::new(), unnamed: None };
            walk.all(wanted.path)?;
            Ok(walk.found)
        })
        .await
    }
}

/// Looks at what is at a path and below it.
struct Walk<'a> {
    fs: &'a ReadFs,
    bare: File,
    stop: &'a Stopping,
    found: Vec<Captured<File>>,
    /// Why an entry of the directory that was looked at last can't be declared.
    unnamed: Option<String>,
}

impl Walk<'_> {
    fn all(&mut self, top: PathBuf) -> Result<()> {
        let Some(stat) = self.fs.stat(&top)? else {
            let mut gone = self.bare.clone();
            gone.state = Some(FileState::Absent);
            self.found.push(Captured::new(gone).note("there is nothing at this path"));
            return Ok(());
        };
        // No recursion: directories may be nested deeply.
        let mut left = vec![(top, stat)];
        while let Some((path, stat)) = left.pop() {
            self.stop.check()?;
            if self.found.len() >= ENTRIES_MAX {
                let why = format!("there are more than {ENTRIES_MAX} files below it: name directories in it");
                return Err(Error::new(why));
            }
            let below = if stat.is_dir() { self.entries(&path)? } else { Vec::new() };
            if let Some(captured) = self.one(&path, &stat)? {
                self.found.push(captured);
            }
            left.extend(below.into_iter().rev());
        }
        Ok(())
    }

    /// What is in a directory and can be declared.
    fn entries(&mut self, dir: &Path) -> Result<Vec<(PathBuf, Stat)>> {
        let mut entries = match self.fs.read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if self.found.is_empty() => return Err(error.into()),
            Err(error) => {
                self.unnamed = Some(format!("what is in it: {error}"));
                return Ok(Vec::new());
            }
        };
        entries.sort_by(|one, two| one.name.cmp(&two.name));
        let (mut all, mut others) = (Vec::new(), Vec::new());
        for entry in entries {
            let path = dir.join(&entry.name);
            // What is gone meanwhile is not there.
            let Some(stat) = self.fs.stat(&path)? else { continue };
            let is_plain = matches!(stat.kind, FileKind::File | FileKind::Directory | FileKind::Symlink);
            let is_text = path.to_str().is_some() && stat.link_target.as_ref().is_none_or(|to| to.to_str().is_some());
            match is_plain && is_text {
                true => all.push((path, stat)),
                false => others.push(format!("{} ({})", entry.name.to_string_lossy().escape_debug(), stat.kind)),
            }
        }
        self.unnamed =
            (!others.is_empty()).then(|| format!("left out, since no `file` can declare it: {}", others.join(", ")));
        Ok(all)
    }

    fn one(&mut self, path: &Path, stat: &Stat) -> Result<Option<Captured<File>>> {
        let Some(name) = path.to_str() else { return Err(Error::new("its path is not in UTF-8")) };
        let slash = if stat.is_dir() && !name.ends_with('/') { "/" } else { "" };
        let mut captured = self.bare.clone();
        captured.name = format!("{name}{slash}");
        if let Some(target) = &stat.link_target {
            let Some(target) = target.to_str() else { return Err(Error::new("its target is not in UTF-8")) };
            captured.symlink = Some(target.to_owned());
            return Ok(Some(Captured::new(captured)));
        }
        captured.mode = Some(Mode::accept(stat.mode));
        captured.owner = Some(owner(user_name(stat.uid), stat.uid));
        captured.group = Some(owner(group_name(stat.gid), stat.gid));
        let mut notes: Vec<String> = self.unnamed.take().into_iter().collect();
        match stat.kind {
            FileKind::Directory => {}
            FileKind::File => match self.content(path, stat) {
                Ok(text) => captured.content = Some(Content::accept(text)),
                Err(note) => notes.push(note),
            },
            other => return Err(Error::new(format!("it is a {other}, which no `file` can declare"))),
        }
        if self.fs.has_access_list(path).unwrap_or_default() {
            notes.push("its access list is left out".to_owned());
        }
        Ok(Some(notes.into_iter().fold(Captured::new(captured), Captured::note)))
    }

    /// The content of a file, or a note with the reason why it is left out.
    fn content(&self, path: &Path, stat: &Stat) -> Result<String, String> {
        let left_out = |why: String| format!("its content is left out: {why}; give it with `source`");
        if stat.size > 0 && stat.mode & OTHERS_READ == 0 {
            return Err(left_out("others may not read it, so it may be a secret".to_owned()));
        }
        if stat.size > CONTENT_MAX {
            return Err(left_out(format!("it has {} bytes", stat.size)));
        }
        let bytes = self.fs.read_file(path, CONTENT_MAX).map_err(|error| left_out(error.to_string()))?;
        String::from_utf8(bytes).map_err(|_| left_out("it is not text".to_owned()))
    }
}

/// The account with this name, or this number if it has none.
fn owner(name: String, number: u32) -> Owner {
    if name.parse::<u32>().is_ok() { Owner::Id(number) } else { Owner::Name(name) }
}

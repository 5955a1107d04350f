//! The log of etcd: all lines go to a file, the important ones also to ours, and the last ones are kept for errors.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::id::{in_one_line, shortened};

const FILE: &str = "log";
/// The log before this one.
const OLD_FILE: &str = "log.1";
/// A file with more bytes is closed, and another one begins.
const BYTES_MAX: u64 = 16 << 20;
/// How many lines are kept for errors.
const LAST_MAX: usize = 8;
/// How many characters of a line are shown.
const CHARS_MAX: usize = 300;
/// The most lines that are reported of one run: the rest is in the file.
const REPORTED_MAX: usize = 50;

/// The log of one process.
#[derive(Debug)]
pub(super) struct Log {
    dir: PathBuf,
    file: Option<(File, u64)>,
    last: VecDeque<String>,
    reported: usize,
    /// That the file can't be written is reported.
    is_failing: bool,
}

impl Log {
    pub(super) fn new(dir: &Path) -> Log {
        Log { dir: dir.to_owned(), file: None, last: VecDeque::new(), reported: 0, is_failing: false }
    }

    /// Adds a line.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        match self.write(bytes) {
            Ok(()) => self.is_failing = false,
            // etcd must not wait for its log.
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::warn!(target: "mgmt", "the log of etcd in {} can't be written: {error}", self.dir.display());
            }
            Err(_) => {}
        }
        let line = Line::of(bytes);
        if line.is_important && self.reported < REPORTED_MAX {
            self.reported += 1;
            let rest = if self.reported == REPORTED_MAX { " (further lines are in its log alone)" } else { "" };
            tracing::warn!(target: "mgmt", "etcd: {}{rest}", line.text);
        }
        if self.last.len() == LAST_MAX {
            self.last.pop_front();
        }
        self.last.push_back(line.text);
    }

    /// The last lines.
    pub(super) fn last(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let path = self.dir.join(FILE);
        if self.file.as_ref().is_some_and(|(_, size)| *size > BYTES_MAX) {
            self.file = None;
            fs::rename(&path, self.dir.join(OLD_FILE))?;
        }
        if self.file.is_none() {
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
            let size = file.metadata()?.len();
            self.file = Some((file, size));
        }
        let Some((file, size)) = &mut self.file else { return Ok(()) };
        let line = [bytes, b"\n"].concat();
        *size += line.len() as u64;
        let written = file.write_all(&line);
        if written.is_err() {
            self.file = None;
        }
        written
    }
}

/// A line for people.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    text: String,
    is_important: bool,
}

impl Line {
    fn of(bytes: &[u8]) -> Line {
        let shown = |text: &str| shortened(&in_one_line(text), CHARS_MAX);
        let Ok(serde_json::Value::Object(fields)) = serde_json::from_slice(bytes) else {
            return Line { text: shown(&String::from_utf8_lossy(bytes)), is_important: false };
        };
        let field = |name: &str| fields.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        let text = match field("error") {
            "" => field("msg").to_owned(),
            error => format!("{}: {error}", field("msg")),
        };
        Line { text: shown(&text), is_important: matches!(field("level"), "error" | "dpanic" | "panic" | "fatal") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shown_as_text_and_errors_are_important() {
        let line = Line::of(br#"{"level":"fatal","ts":"x","msg":"discovery failed","error":"listen: in use"}"#);
        assert_eq!(line, Line { text: "discovery failed: listen: in use".to_owned(), is_important: true });
        let line = Line::of(br#"{"level":"info","msg":"ready\u001b[31m"}"#);
        assert!(!line.is_important && !line.text.contains('\x1b'), "{line:?}");
        assert_eq!(Line::of(b"usage: etcd").text, "usage: etcd");
        assert!(Line::of(&[0xff; 9000]).text.chars().count() < 1000);
    }

    #[test]
    fn the_file_is_for_its_owner_alone_and_a_full_one_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::new(dir.path());
        (0..20).for_each(|n| log.add(format!("line {n}").as_bytes()));
        assert_eq!(log.last().first().map(String::as_str), Some("line 12"));
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(dir.path().join(FILE)).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        log.file.as_mut().unwrap().1 = BYTES_MAX + 1;
        log.add(b"next");
        assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap(), "next\n");
        assert!(fs::read_to_string(dir.path().join(OLD_FILE)).unwrap().ends_with("line 19\n"));
    }
}

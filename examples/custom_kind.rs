//! A kind defined by a program: keeps an entry in a file, a line anywhere in it.
//!
//! `cargo run --example custom_kind -- -t 1`; `-- plan` shows its drift like that of any other kind.

use mgmt::prelude::*;
use mgmt::resource::every;
use mgmt::sys::fs::WriteOptions;

/// An entry in a text file.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "entry")]
pub struct Entry {
    /// The entry: a line, without its end.
    #[resource(name)]
    text: String,
    /// The file.
    file: String,
    /// Whether the entry must be absent. Default: false, so it must be present.
    #[resource(default)]
    absent: bool,
    /// The position of the entry in the file, counted from 1.
    #[resource(send)]
    number: u64,
}

impl Converge for Entry {
    type Drift = Change;

    // Checks the fields before anything runs. A field that is still to be received has no problem yet.
    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let text = known.require("text", !self.text.contains('\n'), "has a line end in it", "give each line alone");
        let file = known.require("file", self.file.starts_with('/'), "is not absolute", "begin it with a slash");
        every([text, file])
    }

    // Looks at the system. It has no way to write.
    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let place = self.read(cx).await?.lines().position(|line| line == self.text);
        if let Some(place) = place {
            cx.send(Entry::NUMBER, place as u64 + 1);
        }
        Ok(match (place, self.absent) {
            (None, false) => Some(Change::new("entry", "absent", "present")),
            (Some(_), true) => Some(Change::new("entry", "present", "absent")),
            _ => None,
        })
    }

    // Repairs what the preceding check found: never called in noop, never without drift.
    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        let old = self.read(cx).await?;
        let mut lines: Vec<&str> = old.lines().filter(|line| *line != self.text).collect();
        if !self.absent {
            lines.push(&self.text);
            cx.send(Entry::NUMBER, lines.len() as u64);
        }
        let new = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let file = self.file.clone();
        cx.change(move |fs, _| fs.write_file(file, &new, &WriteOptions::new())).await?;
        Ok(())
    }

    // Starts a check when the file changes.
    fn watch(&self, cx: &WatchCx) -> Watch {
        cx.fs().path(&self.file)
    }
}

impl Entry {
    async fn read(&self, cx: &CheckCx) -> Result<String> {
        let file = self.file.clone();
        match cx.look(move |fs, _| fs.read_file(file, 1 << 20)).await {
            Ok(bytes) => Ok(String::from_utf8(bytes)?),
            Err(error) if error.is_missing() => Ok(String::new()),
            Err(error) => Err(error.into()),
        }
    }
}

fn main() -> mgmt::ExitCode {
    mgmt::main("custom_kind", |g: &mut Graph| {
        let prefix = g.prefix().display().to_string();
        let hosts = format!("{prefix}/lines/hosts");
        let dir = g.add(File::new(format!("{prefix}/lines/")).mode(0o755));
        let old = g.add(Entry::new("127.0.0.1 old.test", &hosts).absent(true).after(&dir));
        let local = g.add(Entry::new("127.0.0.1 localhost", &hosts).after(&old));
        let test = g.add(Entry::new("127.0.0.1 example.test", &hosts).after(&local));
        let words = test.number().map(|number| format!("example.test is in line {number}\n"));
        g.add(File::new(format!("{prefix}/lines/where")).content(words).after(&dir));
        Ok(())
    })
}

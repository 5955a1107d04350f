//! Resources that are repaired together: rows of a table, all written by one statement.
//!
//! `cargo run --example grouped -- -t 1`; `-- graph` draws the box around the group, and `-- check` counts it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mgmt::prelude::*;
use mgmt::resource::{ApplyItem, CheckItem, ConvergeMany, Error, Grouped};
use mgmt::sys::fs::WriteOptions;

/// A row of a table, which is a text file with lines `key=value`.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "row")]
pub struct Row {
    /// The key of the row.
    #[resource(name)]
    key: String,
    /// The file of the table.
    table: String,
    /// The value of the row.
    value: String,
}

impl Converge for Row {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let rows = read(&self.table, cx).await?;
        Ok(self.differs(&rows))
    }

    // An engine calls `apply_many`. This is for a row that is applied alone, by a test of the kind.
    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        write(&self.table, &[self], cx).await
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        cx.fs().path(&self.table)
    }
}

impl Grouped for Row {
    // The rows of one table belong together. A table that is still to be received is not known yet.
    fn group_key(&self, known: &Known<'_>) -> Option<Cow<'static, str>> {
        known.is_known("table").then(|| Cow::Owned(self.table.clone()))
    }
}

impl ConvergeMany for Row {
    // The table is read once, and each row gets an answer of its own.
    async fn check_many(rows: Vec<CheckItem<Row>>) {
        let Some(first) = rows.first() else { return };
        let found = read(&first.resource().table.clone(), &first.cx().clone()).await;
        for row in rows {
            let answer = match &found {
                Ok(found) => Ok(row.resource().differs(found)),
                Err(error) => Err(error.clone()),
            };
            row.answer(answer);
        }
    }

    // The table is written once. If that fails, it has failed for each row.
    async fn apply_many(rows: Vec<ApplyItem<Row>>) {
        let Some(first) = rows.first() else { return };
        let all: Vec<&Row> = rows.iter().map(ApplyItem::resource).collect();
        let written = write(&first.resource().table, &all, first.cx()).await;
        println!("{} rows by one statement", all.len());
        for row in rows {
            row.answer(written.clone());
        }
    }
}

impl Row {
    fn differs(&self, rows: &BTreeMap<String, String>) -> Option<Change> {
        let found = rows.get(&self.key);
        let is_right = found == Some(&self.value);
        (!is_right).then(|| Change::new("value", found.map_or("absent", String::as_str), &self.value))
    }
}

async fn read(table: &str, cx: &CheckCx) -> Result<BTreeMap<String, String>> {
    let file = table.to_owned();
    let text = match cx.look(move |fs, _| fs.read_file(file, 1 << 20)).await {
        Ok(bytes) => String::from_utf8(bytes)?,
        Err(error) if error.is_missing() => String::new(),
        Err(error) => return Err(Error::from(error)),
    };
    let row = |line: &str| line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    Ok(text.lines().filter_map(row).collect())
}

async fn write(table: &str, new: &[&Row], cx: &ApplyCx) -> Result<()> {
    let mut rows = read(table, cx).await?;
    rows.extend(new.iter().map(|row| (row.key.clone(), row.value.clone())));
    let text = rows.iter().map(|(key, value)| format!("{key}={value}\n")).collect::<String>();
    let file = table.to_owned();
    cx.change(move |fs, _| fs.write_file(file, &text, &WriteOptions::new())).await?;
    Ok(())
}

fn main() -> mgmt::ExitCode {
    mgmt::main("grouped", |g: &mut Graph| {
        let prefix = g.prefix().display().to_string();
        let table = format!("{prefix}/tables/limits");
        let dir = g.add(File::new(format!("{prefix}/tables/")).mode(0o755));
        for n in 1..=20 {
            g.add(Row::new(format!("limit{n}"), &table, format!("{}", 100 * n)).after(&dir));
        }
        // A row that comes after something else: all rows wait for that, so that they are still one statement.
        let motd = g.add(File::new(format!("{prefix}/tables/owner")).content("storage team\n").after(&dir));
        g.add(Row::new("owner", &table, "storage").after(&motd));
        Ok(())
    })
}

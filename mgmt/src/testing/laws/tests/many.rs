//! A kind that handles several resources in one call: the laws call the same functions as a run.

use std::fs;

use mgmt_macros::Resource;

use crate::resource::{ApplyCx, ApplyItem, Change, CheckCx, CheckItem, Converge, ConvergeMany, Result, Watch, WatchCx};
use crate::testing::Fake;
use crate::testing::laws::{self, Law, Subject};

/// Keeps a line in a file. Alone it does it well, among several perhaps not.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:row")]
struct Row {
    #[resource(name)]
    path: String,
    line: String,
    /// `check_many` sees only whether there is a file.
    #[resource(default)]
    blind: bool,
    /// `apply_many` does nothing.
    #[resource(default)]
    idle: bool,
    /// `check_many` forgets its items.
    #[resource(default)]
    mute: bool,
}

impl Converge for Row {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let path = self.path.clone();
        let found = cx.look(move |_, _| fs::read_to_string(path).ok()).await;
        Ok((found.as_ref() != Some(&self.line)).then(|| Change::new("line", format!("{found:?}"), &self.line)))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        let (path, line) = (self.path.clone(), self.line.clone());
        Ok(cx.change(move |_, _| fs::write(path, line)).await?)
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        cx.fs().path(&self.path)
    }
}

impl ConvergeMany for Row {
    async fn check_many(items: Vec<CheckItem<Row>>) {
        for item in items {
            let row = item.resource();
            let is_seen = row.blind && fs::exists(&row.path).unwrap_or(false);
            if row.mute {
                continue;
            }
            let found = if is_seen { Ok(None) } else { row.check(item.cx()).await };
            item.answer(found);
        }
    }

    async fn apply_many(items: Vec<ApplyItem<Row>>) {
        for item in items {
            let row = item.resource();
            let drift = item.drift.clone();
            let done = if row.idle { Ok(()) } else { row.apply(item.cx(), drift).await };
            item.answer(done);
        }
    }
}

fn row(dir: &std::path::Path) -> RowBuilder {
    Row::new(dir.join("row").to_str().expect("a temporary directory has a plain name"), "hello")
}

fn broken(make: fn(RowBuilder) -> RowBuilder) -> Vec<(Law, String)> {
    let subject = Subject::new(move |dir| make(row(dir)))
        .break_it(|dir| fs::write(dir.join("row"), "good bye").unwrap())
        .patience(std::time::Duration::from_secs(3));
    laws::report(subject).broken.into_iter().map(|broken| (broken.law, broken.seen)).collect()
}

#[test]
fn a_wrong_check_many_or_apply_many_breaks_a_law_although_check_and_apply_are_right() {
    assert_eq!(broken(|row| row), []);
    for (make, said) in [
        ((|row| row.blind(true)) as fn(RowBuilder) -> RowBuilder, "check found nothing"),
        (|row| row.idle(true), "after an apply, check found line"),
        (|row| row.mute(true), "`check_many` of the kind `test:row` ended without an answer for it"),
    ] {
        let (law, seen) = broken(make).into_iter().next().expect("a law is broken");
        assert_eq!(law, Law::ApplyThenCheckIsInSync);
        assert!(seen.contains(said), "{seen}");
    }
}

/// Writes one of the two methods only.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:half", unwatched)]
struct Half {
    #[resource(name)]
    name: String,
}

impl Converge for Half {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        assert!(self.name != "bad", "no such row");
        Ok(Some(Change::new("half", "none", &self.name)))
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        unreachable!("`apply_many` is called")
    }
}

impl ConvergeMany for Half {
    async fn apply_many(items: Vec<ApplyItem<Half>>) {
        items.into_iter().for_each(|item| item.answer(Ok(())));
    }
}

#[tokio::test]
async fn a_kind_may_write_one_of_the_two_methods_and_a_panic_of_the_other_is_an_answer() {
    let host = Fake::new().unwrap();
    assert!(host.put(Half::new("good")).settle().await.unwrap().changed);
    let error = host.put(Half::new("bad")).check().await.unwrap_err().to_string();
    assert_eq!(error, "panicked: no such row");
}

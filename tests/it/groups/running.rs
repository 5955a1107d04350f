//! Groups of an engine: one operation with many answers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use mgmt::prelude::*;
use mgmt::resource::{ApplyItem, CheckItem, ConvergeMany, Error, Grouped, Known};
use mgmt::runtime::{EventKind, Standing};

use crate::kit::{Run, within};

/// The calls of one test, and the rows that there are.
#[derive(Default)]
struct Table {
    rows: BTreeMap<String, u64>,
    calls: Vec<String>,
}

static TABLES: LazyLock<Mutex<BTreeMap<String, Table>>> = LazyLock::new(Mutex::default);

fn table<T>(name: &str, f: impl FnOnce(&mut Table) -> T) -> T {
    f(TABLES.lock().unwrap().entry(name.to_owned()).or_default())
}

fn calls(name: &str) -> Vec<String> {
    table(name, |table| std::mem::take(&mut table.calls))
}

/// A row of a table: those of one table are grouped. `bad` can't be checked, `stuck` can't be applied.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:tuple", unwatched)]
struct Tuple {
    #[resource(name)]
    name: String,
    table: String,
    want: u64,
}

impl Converge for Tuple {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Err(Error::new("alone"))
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Err(Error::new("alone"))
    }
}

impl Grouped for Tuple {
    fn group_key(&self, known: &Known<'_>) -> Option<Cow<'static, str>> {
        known.is_known("table").then(|| Cow::Owned(self.table.clone()))
    }
}

fn note(what: &str, of: &str, names: impl Iterator<Item = String>) {
    let mut names: Vec<String> = names.collect();
    names.sort();
    table(of, |table| table.calls.push(format!("{what} {}", names.join(" "))));
}

impl ConvergeMany for Tuple {
    async fn check_many(items: Vec<CheckItem<Tuple>>) {
        let of = items[0].resource().table.clone();
        note("check", &of, items.iter().map(|item| item.resource().name.clone()));
        for item in items {
            let row = item.resource().clone();
            let found = table(&of, |table| table.rows.get(&row.name).copied().unwrap_or_default());
            // The answers come one by one, and late.
            tokio::time::sleep(Duration::from_millis(2)).await;
            item.answer(match &*row.name {
                "bad" => Err(Error::new("a bad row")),
                _ => Ok((found != row.want).then(|| Change::new("value", found, row.want))),
            });
        }
    }

    async fn apply_many(items: Vec<ApplyItem<Tuple>>) {
        let of = items[0].resource().table.clone();
        note("apply", &of, items.iter().map(|item| item.resource().name.clone()));
        for item in items {
            let row = item.resource().clone();
            if row.name == "stuck" {
                item.answer(Err(Error::new("it is locked")));
                continue;
            }
            table(&of, |table| table.rows.insert(row.name.clone(), row.want));
            item.answer(Ok(()));
        }
    }
}

/// Something that takes a while.
fn slow(name: &str) -> mgmt::resources::TestBuilder {
    Test::new(name).takes(Duration::from_millis(300)).changes(1u32)
}

#[tokio::test]
async fn a_group_waits_for_the_parents_of_all_and_is_one_call() {
    let of = "parents of all";
    let mut g = Graph::new(of);
    let slow = g.add(slow("slow"));
    g.add(Tuple::new("a", of, 1u64));
    g.add(Tuple::new("b", of, 1u64).after(&slow));
    let mut run = Run::new(g).await;
    run.stands("a", Standing::WaitingForGroup(vec!["test:tuple[b]".parse().unwrap()])).await;
    run.converged().await;
    assert_eq!(calls(of), ["check a b", "apply a b"]);
}

#[tokio::test]
async fn many_are_one_call_however_many() {
    let of = "many";
    let mut g = Graph::new(of);
    for n in 0..300 {
        g.add(Tuple::new(format!("{n}"), of, 1u64));
    }
    let mut run = Run::with(g, |builder| builder.running_max(2)).await;
    run.converged().await;
    let calls = calls(of);
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls.iter().all(|call| call.split(' ').count() == 301), "{calls:?}");
}

#[tokio::test]
async fn one_that_fails_fails_alone() {
    let of = "one fails";
    let mut g = Graph::new(of);
    for name in ["a", "bad", "b", "stuck"] {
        g.add(Tuple::new(name, of, 1u64));
    }
    let mut run = Run::new(g).await;
    let mut failed = Vec::new();
    while failed.len() < 2 {
        let failure = |event: &EventKind| match event {
            EventKind::Failed { id, error, .. } => Some(format!("{}: {error}", id.name)),
            _ => None,
        };
        failed.push(run.find(failure).await);
    }
    failed.sort();
    assert_eq!(failed, ["bad: a bad row", "stuck: it is locked"]);
    assert_eq!(calls(of), ["check a b bad stuck", "apply a b stuck"]);
    assert_eq!(run.standing("a").await, Standing::Settled);
}

#[tokio::test]
async fn a_parent_that_failed_holds_only_its_own_child_up() {
    let of = "a failed parent";
    let mut g = Graph::new(of);
    let broken = g.add(Test::new("broken").fail(Step::Check));
    g.add(Tuple::new("a", of, 1u64));
    g.add(Tuple::new("b", of, 1u64).after(&broken));
    let run = Run::new(g).await;
    run.stands("a", Standing::Settled).await;
    assert_eq!(calls(of), ["check a", "apply a"]);
    assert!(matches!(run.standing("b").await, Standing::Blocked(_)));
}

#[tokio::test]
async fn intents_are_written_first_and_each_notifies_for_itself() {
    let of = "notify";
    let mut g = Graph::new(of);
    let a = g.add(Tuple::new("a", of, 1u64));
    g.add(Tuple::new("b", of, 1u64));
    let told = g.add(Print::new("told").msg("hello"));
    g.notify(&a, &told);
    let mut run = Run::new(g).await;
    run.converged().await;
    assert_eq!(calls(of), ["check a b", "apply a b"]);
}

#[tokio::test]
async fn who_is_not_to_be_grouped_is_not() {
    let of = "alone";
    let mut g = Graph::new(of);
    let slow = g.add(slow("slow"));
    g.add(Tuple::new("a", of, 1u64).autogroup(false));
    g.add(Tuple::new("b", of, 1u64).after(&slow));
    let mut run = Run::new(g).await;
    run.converged().await;
    assert_eq!(calls(of), ["check a", "apply a", "check b", "apply b"]);
}

#[tokio::test]
async fn the_next_graph_has_its_own_groups() {
    let of = "next";
    let graph = |names: &[&str], want: u64| {
        let mut g = Graph::new(of);
        for name in names {
            g.add(Tuple::new(*name, of, want));
        }
        g
    };
    let mut run = Run::new(graph(&["a", "b"], 1)).await;
    run.converged().await;
    within(run.engine.swap(graph(&["b", "c", "d"], 2).finish().unwrap())).await.unwrap();
    run.converged().await;
    assert_eq!(calls(of), ["check a b", "apply a b", "check b c d", "apply b c d"]);
}

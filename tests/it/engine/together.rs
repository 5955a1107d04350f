//! Resources of one kind that are ready together, in one call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use mgmt::prelude::*;
use mgmt::resource::{ApplyItem, CheckItem, ConvergeMany, Error};
use mgmt::runtime::EventKind;

use crate::kit::{Run, within};

/// What the resources of one test have in common.
#[derive(Default)]
struct Table {
    rows: BTreeMap<String, u64>,
    /// What is under way.
    busy: BTreeSet<String>,
    calls: Vec<String>,
    /// Rows whose token has stopped.
    stopped: Vec<String>,
}

static TABLES: LazyLock<Mutex<BTreeMap<String, Table>>> = LazyLock::new(Mutex::default);

fn table<T>(name: &str, f: impl FnOnce(&mut Table) -> T) -> T {
    f(TABLES.lock().unwrap().entry(name.to_owned()).or_default())
}

/// A row of a table. Its name tells how it behaves: `bad`, `panic`, `silent`, `slow` (until its token
/// stops), `last` (when nothing else is left).
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "row", unwatched)]
struct Row {
    #[resource(name)]
    name: String,
    table: String,
    want: u64,
}

/// Never two operations of one row at once.
struct Busy(String, String);

impl Busy {
    fn new(row: &Row) -> Busy {
        assert!(table(&row.table, |table| table.busy.insert(row.name.clone())), "two operations of {}", row.name);
        Busy(row.table.clone(), row.name.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        table(&self.0, |table| table.busy.remove(&self.1));
    }
}

impl Converge for Row {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Err(Error::new("alone"))
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Err(Error::new("alone"))
    }
}

impl ConvergeMany for Row {
    async fn check_many(items: Vec<CheckItem<Row>>) {
        let of = items[0].resource().table.clone();
        let names: Vec<_> = items.iter().map(|item| item.resource().name.as_str()).collect();
        table(&of, |table| table.calls.push(format!("check {}", names.join(" "))));
        let (mut late, mut last, mut panics) = (Vec::new(), Vec::new(), false);
        for item in items {
            let row = item.resource().clone();
            let busy = Busy::new(&row);
            match row.name.as_str() {
                name if name.starts_with("bad") => item.answer(Err(Error::new("a bad row"))),
                "silent" => drop(item),
                "panic" => {
                    panics = true;
                    late.push((item, busy));
                }
                "slow" => late.push((item, busy)),
                "last" => last.push((item, busy)),
                _ => {
                    let found = table(&of, |table| table.rows.get(&row.name).copied().unwrap_or_default());
                    drop(busy);
                    item.answer(Ok((found != row.want).then(|| Change::new("value", found, row.want))));
                }
            }
        }
        tokio::task::yield_now().await;
        assert!(!panics, "the table is gone");
        for (item, busy) in late {
            let stopping = item.cx().stopping();
            stopping.stopped().await;
            table(&of, |table| table.stopped.push(item.resource().name.clone()));
            drop(busy);
            item.answer(Ok(None));
        }
        for (item, busy) in last {
            drop(busy);
            item.answer(Ok(None));
        }
    }

    async fn apply_many(items: Vec<ApplyItem<Row>>) {
        let of = items[0].resource().table.clone();
        let names: Vec<_> = items.iter().map(|item| item.resource().name.as_str()).collect();
        table(&of, |table| table.calls.push(format!("apply {}", names.join(" "))));
        for item in items {
            let _busy = Busy::new(item.resource());
            assert_eq!(item.drift.to, item.resource().want.to_string());
            table(&of, |table| table.rows.insert(item.resource().name.clone(), item.resource().want));
            item.answer(Ok(()));
        }
    }
}

/// A graph of rows, in which all may run at once.
async fn run(of: &str, names: &[&str], change: impl Fn(RowBuilder) -> RowBuilder) -> Run {
    let mut g = Graph::new(of);
    for name in names {
        g.add(change(Row::new(*name, of, 1u64)));
    }
    Run::with(g, |builder| builder.running_max(1000)).await
}

async fn failures(run: &mut Run, count: usize) -> Vec<String> {
    let mut failures = Vec::new();
    while failures.len() < count {
        let failed = |event: &EventKind| match event {
            EventKind::Failed { id, error, .. } => Some(format!("{}: {error}", id.name)),
            _ => None,
        };
        failures.push(run.find(failed).await);
    }
    failures.sort_unstable();
    failures
}

#[tokio::test]
async fn what_is_ready_together_is_one_call_and_each_has_its_own_answer() {
    table("one", |table| table.rows.insert("there".to_owned(), 1));
    let mut run = run("one", &["a", "b", "there", "c"], |row| row).await;
    let events = run.converged().await;
    assert_eq!(
        (events.iter().filter(|event| event.starts_with("applied")).count(), &events[..1]),
        (3, &["swapped".to_owned()][..])
    );
    assert!(events.contains(&"in sync there".to_owned()), "{events:?}");
    let calls = table("one", |table| std::mem::take(&mut table.calls));
    assert_eq!(calls[0], "check a b there c");
    let applied: usize = calls[1..].iter().map(|call| call.strip_prefix("apply ").unwrap().split(' ').count()).sum();
    assert_eq!(applied, 3, "{calls:?}");
    assert_eq!(table("one", |table| table.rows.len()), 4);
    run.stop().await;
}

#[tokio::test]
async fn a_call_has_a_bound() {
    let names: Vec<String> = (0..150).map(|n| n.to_string()).collect();
    // Each call is one operation of those that run at once.
    let mut g = Graph::new("bound");
    for name in names {
        g.add(Row::new(name, "bound", 1u64));
    }
    let mut run = Run::with(g, |builder| builder.running_max(2)).await;
    run.converged().await;
    let calls = table("bound", |table| std::mem::take(&mut table.calls));
    let checks = calls.iter().filter_map(|call| call.strip_prefix("check ")).map(|names| names.split(' ').count());
    let mut checks: Vec<_> = checks.collect();
    checks.sort_unstable();
    assert_eq!(checks, [22, 64, 64]);
    assert_eq!(table("bound", |table| table.rows.len()), 150);
    run.stop().await;
}

#[tokio::test]
async fn one_that_fails_and_one_without_an_answer_are_failures_of_their_own() {
    let mut run = run("fails", &["good", "bad", "silent", "fine"], |row| row).await;
    let expected = ["bad: a bad row", "silent: `check_many` of the kind `row` ended without an answer for it"];
    assert_eq!(failures(&mut run, 2).await, expected);
    within(async {
        while table("fails", |table| table.rows.len()) < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    run.stop().await;
}

#[tokio::test]
async fn a_panic_is_the_failure_of_those_without_an_answer_alone() {
    let mut run = run("panics", &["good", "panic", "slow"], |row| row).await;
    let expected = ["panic: panicked: the table is gone", "slow: panicked: the table is gone"];
    assert_eq!(failures(&mut run, 2).await, expected);
    within(async {
        while table("panics", |table| table.rows.len()) < 1 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    run.stop().await;
}

#[tokio::test]
async fn a_call_goes_on_for_those_that_are_not_cancelled() {
    let mut g = Graph::new("goes on");
    g.add(Row::new("slow", "goes on", 1u64).timeout(Duration::from_millis(100)));
    g.add(Row::new("last", "goes on", 1u64));
    let mut run = Run::new(g).await;
    assert_eq!(failures(&mut run, 1).await, ["slow: cancelled: it took longer than its `timeout`"]);
    within(async {
        while table("goes on", |table| table.busy.len()) > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    let (stopped, calls) = table("goes on", |table| (table.stopped.clone(), table.calls.clone()));
    assert_eq!((stopped, calls), (vec!["slow".to_owned()], vec!["check slow last".to_owned()]));
    run.stop().await;
}

#[tokio::test]
async fn a_cancelled_item_stops_its_token_and_the_others_keep_their_answers() {
    let slow = |row: RowBuilder| row.timeout(Duration::from_millis(300)).retry(1);
    let mut run = run("cancels", &["a", "slow", "b"], slow).await;
    // Both tries: the second one begins when the first has released the row; before that, `Busy` would panic.
    let expected = ["slow: cancelled: it took longer than its `timeout`"; 2];
    assert_eq!(failures(&mut run, 2).await, expected);
    assert_eq!(table("cancels", |table| table.rows.keys().cloned().collect::<Vec<_>>()), ["a", "b"]);
    run.stop().await;
    assert_eq!(table("cancels", |table| table.busy.len()), 0);
}

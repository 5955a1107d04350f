//! Operations that are cancelled: the work that they have begun ends first, is notified, or is named after the grace
//! time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mgmt::prelude::*;
use mgmt::runtime::{EventKind, Operation, Standing};
use serde::{Deserialize, Serialize};

use crate::kit::{Act, Desk, Gate, Op, Run, within};

const GRACE: Duration = Duration::from_millis(50);

/// The next warning.
async fn warning(run: &mut Run) -> String {
    run.find(|event| match event {
        EventKind::Warning { message, .. } => Some(message.clone()),
        _ => None,
    })
    .await
}

fn one(desk: &Desk, retry: i32) -> Graph {
    let mut g = Graph::new("stuck");
    g.add(desk.probe("a").want("x").timeout(Duration::from_millis(20)).retry(retry));
    g.add(desk.probe("b").want("x"));
    g
}

/// Its check blocks past its timeout; another resource is not held up, and once the work has ended the resource is
/// checked again.
async fn goes_on(act: fn(Gate) -> Act, doing: &str) {
    let (desk, gate) = (Desk::new(), Gate::new());
    desk.once("a", Op::Check, act(gate.clone()));
    let mut run = Run::with(one(&desk, 0), |builder| builder.grace(GRACE)).await;
    gate.reached().await;
    let first = warning(&mut run).await;
    let starts = format!("probe[a]: its check was cancelled, but 50ms later it is still {doing}: ");
    assert!(first.starts_with(&starts), "{first}");
    run.stands("a", Standing::Failed).await;
    run.stands("b", Standing::Settled).await;
    let status = run.engine.status().await.unwrap();
    let error =
        status.notable.iter().find(|resource| resource.id.name == "a").and_then(|resource| resource.error.clone());
    assert_eq!(error.unwrap(), "cancelled: it took longer than its `timeout`");
    desk.log();
    gate.open();
    assert_eq!(warning(&mut run).await, "probe[a]: its check, which was given up, has ended: it is checked again");
    run.converged().await;
    assert_eq!((desk.real("a").as_str(), desk.real("b").as_str()), ("x", "x"));
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_on_a_thread_that_does_not_end_is_named_and_holds_up_no_other() {
    goes_on(Act::Thread, "looking at the file system").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_check_that_blocks_its_thread_is_named_too() {
    // At its second poll, which is in a task.
    goes_on(Act::BlockLater, "blocking the thread that it runs on").await;
}

/// A check past its timeout, whose work ends long before the grace time.
async fn reported(act: fn(Gate) -> Act) {
    let (desk, gate) = (Desk::new(), Gate::new());
    desk.once("a", Op::Check, act(gate.clone()));
    let mut run = Run::with(one(&desk, 1), |builder| builder.grace(Duration::from_secs(600))).await;
    gate.reached().await;
    let failure = run.find(|event| match event {
        EventKind::Failed { error, operation, .. } => Some((error.clone(), *operation)),
        EventKind::Warning { message, .. } => panic!("{message}"),
        _ => None,
    });
    assert_eq!(failure.await, ("cancelled: it took longer than its `timeout`".to_owned(), Operation::Check));
    run.stands("b", Standing::Settled).await;
    // The next try waits for the work of this one, however long its own timeout is.
    tokio::time::sleep(Duration::from_millis(60)).await;
    run.stands("a", Standing::Running).await;
    assert_eq!(desk.count("check a"), 1, "never two at once");
    gate.open();
    run.stands("a", Standing::Settled).await;
    assert_eq!(desk.real("a"), "x");
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_timeout_is_reported_when_it_is_over_not_when_the_work_has_ended() {
    reported(Act::Thread).await;
    reported(Act::BlockLater).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_such_work_leaves_and_stops() {
    let (desk, gate) = (Desk::new(), Gate::new());
    desk.once("a", Op::Check, Act::Thread(gate.clone()));
    let mut run = Run::with(one(&desk, -1), |builder| builder.grace(Duration::from_millis(300))).await;
    run.find(|event| matches!(event, EventKind::Failed { .. }).then_some(())).await;
    run.stands("a", Standing::Running).await;
    run.engine.swap(Graph::new("empty").finish().unwrap()).await.unwrap();
    run.engine.swap(one(&desk, -1).finish().unwrap()).await.unwrap();
    gate.open();
    run.stands("a", Standing::Settled).await;
    assert_eq!(desk.real("a"), "x");
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn until_the_work_has_ended_further_checks_fail_with_that_reason() {
    let (desk, gate) = (Desk::new(), Gate::new());
    desk.once("a", Op::Check, Act::Thread(gate.clone()));
    let mut run = Run::with(one(&desk, -1), |builder| builder.grace(GRACE)).await;
    gate.reached().await;
    let failure = run.find(|event| match event {
        EventKind::Failed { error, .. } if error.starts_with("its") => Some(error.clone()),
        _ => None,
    });
    assert_eq!(failure.await, "its check was given up and has not ended: it is still looking at the file system");
    assert_eq!(desk.count("check a"), 1, "never two at once");
    gate.open();
    run.converged().await;
    assert_eq!(desk.real("a"), "x");
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_completes_without_what_does_not_end() {
    let (desk, gate) = (Desk::new(), Gate::new());
    desk.once("a", Op::Apply, Act::Thread(gate.clone()));
    let mut g = Graph::new("stuck");
    g.add(desk.probe("a").want("x"));
    let mut run = Run::with(g, |builder| builder.grace(GRACE)).await;
    gate.reached().await;
    let began = Instant::now();
    run.engine.cancel();
    assert!(warning(&mut run).await.starts_with("probe[a]: its apply was cancelled, but"));
    within(run.engine.ended()).await.unwrap();
    assert!(began.elapsed() >= GRACE, "{:?}", began.elapsed());
    gate.open();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_that_left_and_comes_back_waits_for_its_old_work() {
    let (desk, gate) = (Desk::new(), Gate::new());
    desk.once("a", Op::Check, Act::Thread(gate.clone()));
    let graph = |with: bool| {
        let mut g = Graph::new("stuck");
        if with {
            g.add(desk.probe("a").want("x"));
        }
        g.finish().unwrap()
    };
    let mut g = Graph::new("stuck");
    g.add(desk.probe("a").want("x"));
    let mut run = Run::with(g, |builder| builder.grace(GRACE)).await;
    gate.reached().await;
    run.engine.swap(graph(false)).await.unwrap();
    assert!(warning(&mut run).await.starts_with("probe[a]: its check was cancelled, but"));
    desk.log();
    run.engine.swap(graph(true)).await.unwrap();
    run.stands("a", Standing::Failed).await;
    assert_eq!(desk.log(), ["watch a"], "no check beside the old one");
    gate.open();
    run.until("applied a").await;
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_check_does_not_fail_once_the_work_has_ended() {
    let (desk, gate) = (Desk::new(), Gate::new());
    desk.once("a", Op::Check, Act::Thread(gate.clone()));
    let graph = |with: bool| {
        let mut g = Graph::new("stuck");
        if with {
            g.add(desk.probe("a").want("x").retry(0));
        }
        g
    };
    let mut run = Run::with(graph(true), |builder| builder.grace(GRACE)).await;
    gate.reached().await;
    run.engine.swap(graph(false).finish().unwrap()).await.unwrap();
    assert!(warning(&mut run).await.starts_with("probe[a]: its check was cancelled, but"));
    run.engine.swap(graph(true).finish().unwrap()).await.unwrap();
    within(async {
        while !run.engine.status().await.unwrap().running.iter().any(|running| running.operation == "wait") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    gate.open();
    run.converged().await;
    run.stop().await;
}

/// What the instances of a test share.
#[derive(Debug, Default)]
struct Book {
    notes: Mutex<Vec<&'static str>>,
    kept: Mutex<Vec<CheckCx>>,
}

static BOOKS: Mutex<Vec<(String, Arc<Book>)>> = Mutex::new(Vec::new());

fn book(name: &str) -> Arc<Book> {
    let mut books = BOOKS.lock().unwrap();
    if let Some((_, book)) = books.iter().find(|(of, _)| of == name) {
        return Arc::clone(book);
    }
    books.push((name.to_owned(), Arc::default()));
    Arc::clone(&books[books.len() - 1].1)
}

/// Keeps its context forever, registers a cancel hook, and has its own task.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[resource(kind = "keeper", unwatched)]
struct Keeper {
    #[resource(name)]
    name: String,
    /// What its check does.
    way: String,
}

impl Converge for Keeper {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let book = book(&self.name);
        book.kept.lock().unwrap().push(cx.clone());
        let note = |note| book.notes.lock().unwrap().push(note);
        match self.way.as_str() {
            "tell" => {
                let told = Arc::clone(&book);
                let _armed = cx.on_cancel(async move {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    told.notes.lock().unwrap().push("told");
                });
                let disarmed = cx.on_cancel(async { unreachable!("it was disarmed") });
                drop(disarmed);
                note("began");
                std::future::pending().await
            }
            "task" => {
                let (work, stopping, book) = (cx.work("waiting for a task"), cx.stopping(), Arc::clone(&book));
                tokio::spawn(async move {
                    stopping.stopped().await;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    book.notes.lock().unwrap().push("task ended");
                    drop(work);
                });
                note("began");
                std::future::pending().await
            }
            "return" => {
                let (work, stopping, told) = (cx.work("waiting for a task"), cx.stopping(), Arc::clone(&book));
                let armed = cx.on_cancel(async move { told.notes.lock().unwrap().push("told") });
                tokio::spawn(async move {
                    stopping.stopped().await;
                    drop((armed, work));
                });
                note("returned");
                Ok(None)
            }
            "outdated" => {
                let outdated = || Err(mgmt::resource::Error::new("just changing").outdated());
                let tries = book.notes.lock().unwrap().len();
                note("checked");
                match tries {
                    // After these, its answer is held back for 64 ms.
                    0..5 => outdated(),
                    5 => {
                        let (work, stopping) = (cx.work("waiting for a task"), cx.stopping());
                        tokio::spawn(async move {
                            stopping.stopped().await;
                            drop(work);
                        });
                        outdated()
                    }
                    _ => Ok(None),
                }
            }
            "blocks" => {
                tokio::task::yield_now().await;
                note("began");
                let stopping = cx.stopping();
                while !stopping.is_stopped() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(None)
            }
            _ => {
                tokio::task::yield_now().await;
                note("checked");
                Ok(None)
            }
        }
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

async fn keeper(name: &str, way: &str) -> (Run, Arc<Book>) {
    let mut g = Graph::new("keeper");
    g.add(Keeper::new(name, way));
    (Run::new(g).await, book(name))
}

/// Waits until the check has noted something.
async fn noted(book: &Book) {
    within(async {
        while book.notes.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_kind_that_keeps_its_context_does_not_block_its_resource() {
    let (mut run, book) = keeper("keeps", "end").await;
    run.converged().await;
    let mut g = Graph::new("keeper");
    g.add(Keeper::new("keeps", "end again"));
    run.engine.swap(g.finish().unwrap()).await.unwrap();
    run.converged().await;
    assert_eq!(*book.notes.lock().unwrap(), ["checked", "checked"]);
    assert_eq!(book.kept.lock().unwrap().len(), 2);
    let (cancelled, _) = keeper("is cancelled", "tell").await;
    noted(&self::book("is cancelled")).await;
    let began = Instant::now();
    cancelled.stop().await;
    run.stop().await;
    assert!(began.elapsed() < Duration::from_secs(4), "it did not take the grace time: {:?}", began.elapsed());
}

#[tokio::test]
async fn what_wants_to_be_told_of_a_cancellation_is_told_before_the_operation_has_ended() {
    let (run, book) = keeper("tells", "tell").await;
    noted(&book).await;
    run.stop().await;
    assert_eq!(*book.notes.lock().unwrap(), ["began", "told"]);
}

#[tokio::test]
async fn a_task_of_a_kind_is_stopped_and_waited_for() {
    let (run, book) = keeper("task", "task").await;
    noted(&book).await;
    run.stop().await;
    assert_eq!(*book.notes.lock().unwrap(), ["began", "task ended"]);
}

#[tokio::test]
async fn work_that_outlives_the_future_is_stopped_by_a_cancellation_too() {
    let (run, book) = keeper("returns", "return").await;
    noted(&book).await;
    let began = Instant::now();
    run.engine.cancel();
    run.stop().await;
    assert!(began.elapsed() < Duration::from_secs(4), "it did not take the grace time: {:?}", began.elapsed());
    assert_eq!(*book.notes.lock().unwrap(), ["returned", "told"]);
}

#[tokio::test]
async fn a_cancelled_operation_that_is_outdated_is_answered_once() {
    let mut g = Graph::new("keeper");
    g.add(Keeper::new("outdated", "outdated").timeout(Duration::from_millis(20)).retry(-1));
    let mut run = Run::with(g, |builder| builder.grace(Duration::from_millis(40))).await;
    let events = run.converged().await;
    assert_eq!(events.iter().filter(|event| *event == "in sync outdated").count(), 1, "{events:?}");
    // On a loaded machine a check may take longer than the timeout, and is made again.
    assert!(book("outdated").notes.lock().unwrap().len() >= 7);
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn code_that_blocks_sees_the_cancellation_and_its_answer_then_counts_as_none() {
    let mut g = Graph::new("keeper");
    g.add(Keeper::new("blocks", "blocks").timeout(Duration::from_millis(20)).retry(0));
    let mut run = Run::new(g).await;
    let error = run.find(|event| match event {
        EventKind::Failed { error, .. } => Some(error.clone()),
        EventKind::InSync { .. } => Some("in sync".to_owned()),
        _ => None,
    });
    assert_eq!(error.await, "cancelled: it took longer than its `timeout`");
    run.stop().await;
}

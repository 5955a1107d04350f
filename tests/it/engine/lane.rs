//! Operations of a kind that is not inline are polled on threads that may block: what holds for all operations holds
//! there.

use std::time::{Duration, Instant};

use mgmt::prelude::*;
use mgmt::runtime::{EventKind, Standing};

use crate::kit::{Act, Desk, Gate, Op, Run, within};

const GRACE: Duration = Duration::from_millis(50);

/// Probes, and what happens in their operations.
struct Bench {
    desk: Desk,
    g: Graph,
}

impl Bench {
    fn new() -> Bench {
        Bench { desk: Desk::new(), g: Graph::new("lane") }
    }

    fn add(&mut self, name: &str, check: Act, apply: Act, timeout: Option<Duration>) {
        self.desk.once(name, Op::Check, check);
        self.desk.once(name, Op::Apply, apply);
        let probe = self.desk.probe(name).want("x").retry(0);
        self.g.add(match timeout {
            Some(timeout) => probe.timeout(timeout),
            None => probe,
        });
    }

    async fn run(self) -> (Desk, Run) {
        (self.desk, Run::with(self.g, |builder| builder.grace(GRACE).running_max(8)).await)
    }
}

/// The next warning.
async fn warning(run: &mut Run) -> String {
    run.find(|event| match event {
        EventKind::Warning { message, .. } => Some(message.clone()),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_blocks_stays_where_it_is_polled() {
    let mut bench = Bench::new();
    for n in 0..20 {
        bench.add(&format!("p{n}"), Act::Look, Act::Look, None);
    }
    let (desk, mut run) = bench.run().await;
    run.converged().await;
    for n in 0..20 {
        assert_eq!(desk.count(&format!("stays p{n}")), 2, "its check and its apply");
        assert_eq!(desk.real(&format!("p{n}")), "x");
    }
    desk.log();
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_block_at_once_as_may_run() {
    let (mut bench, gate) = (Bench::new(), Gate::new());
    for n in 0..8 {
        bench.add(&format!("p{n}"), Act::Thread(gate.clone()), Act::Look, None);
    }
    let (desk, mut run) = bench.run().await;
    for _ in 0..8 {
        gate.reached().await;
    }
    (0..8).for_each(|_| gate.open());
    run.converged().await;
    assert_eq!(desk.running_max(), 8);
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_does_not_end_is_named_and_holds_up_no_other() {
    let (mut bench, gate) = (Bench::new(), Gate::new());
    bench.add("a", Act::Thread(gate.clone()), Act::Look, Some(Duration::from_millis(20)));
    bench.add("b", Act::Look, Act::Look, None);
    let (desk, mut run) = bench.run().await;
    gate.reached().await;
    let first = warning(&mut run).await;
    assert!(
        first.starts_with("probe[a]: its check was cancelled, but 50ms later it is still looking at the file system: "),
        "{first}"
    );
    run.stands("a", Standing::Failed).await;
    run.stands("b", Standing::Settled).await;
    gate.open();
    assert_eq!(warning(&mut run).await, "probe[a]: its check, which was given up, has ended: it is checked again");
    run.converged().await;
    assert_eq!((desk.real("a").as_str(), desk.real("b").as_str()), ("x", "x"));
    desk.log();
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_learns_that_its_operation_was_cancelled() {
    let mut bench = Bench::new();
    bench.add("a", Act::LookUntilStopped, Act::Look, Some(Duration::from_millis(20)));
    let (_desk, mut run) = bench.run().await;
    let failed = run.find(|event| match event {
        EventKind::Failed { error, .. } => Some(error.clone()),
        EventKind::Warning { message, .. } => panic!("{message}"),
        _ => None,
    });
    assert_eq!(failed.await, "cancelled: it took longer than its `timeout`");
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_work_is_a_failure_of_its_resource() {
    let mut bench = Bench::new();
    bench.add("a", Act::PanicThere("not like this"), Act::Look, None);
    bench.add("b", Act::Look, Act::Look, None);
    let (desk, mut run) = bench.run().await;
    let failed = run.find(|event| match event {
        EventKind::Failed { error, .. } => Some(error.clone()),
        _ => None,
    });
    assert_eq!(failed.await, "panicked: not like this");
    run.stands("b", Standing::Settled).await;
    assert_eq!(desk.real("b"), "x");
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_completes_without_work_that_does_not_end() {
    let (mut bench, gate) = (Bench::new(), Gate::new());
    bench.add("a", Act::Look, Act::Thread(gate.clone()), None);
    let (_desk, mut run) = bench.run().await;
    gate.reached().await;
    let began = Instant::now();
    run.engine.cancel();
    assert!(warning(&mut run).await.starts_with("probe[a]: its apply was cancelled, but"));
    within(run.engine.ended()).await.unwrap();
    assert!(began.elapsed() >= GRACE, "{:?}", began.elapsed());
    gate.open();
}

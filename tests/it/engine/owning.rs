//! What a resource owns by a value that it has received: never two at work on it, and never two owners.

use std::sync::Mutex;
use std::time::Duration;

use mgmt::prelude::*;
use mgmt::resource::{Known, Leave, Uid, UidKey};
use mgmt::runtime::{EventKind, Standing};
use serde::{Deserialize, Serialize};

use crate::kit::book::{At, gate, log, overlaps, with_book};
use crate::kit::{Run, within};

/// A key of the test's own.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Spot(String);

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl UidKey for Spot {
    const WORD: &'static str = "spot";
}

/// Takes a spot, and gives it back when it leaves.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[resource(kind = "takes:spot", unwatched)]
struct Takes {
    #[resource(name)]
    name: String,
    test: String,
    spot: String,
    /// What its apply and its leave do: nothing, or wait at the gate `test`.
    #[resource(default)]
    apply_waits: bool,
    #[resource(default)]
    leave_waits: bool,
}

impl Takes {
    async fn act(&self, what: &str, waits: bool) -> At<'_> {
        let entry = format!("{what} {} at {}", self.name, self.spot);
        let at = At::enter(&self.test, &self.spot, entry);
        if waits {
            gate(&self.test).acquire().await.unwrap().forget();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        at
    }
}

#[derive(Default)]
struct Taken(Mutex<Option<String>>);

impl Converge for Takes {
    type Drift = Change;

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        if known.is_known("spot") { vec![Uid::of(Spot(self.spot.clone()))] } else { Vec::new() }
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let taken = cx.local::<Taken>().0.lock().unwrap().clone();
        Ok((taken.as_ref() != Some(&self.spot)).then(|| Change::new("spot", "free", &self.spot)))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        let _at = self.act("apply", self.apply_waits).await;
        *cx.local::<Taken>().0.lock().unwrap() = Some(self.spot.clone());
        Ok(())
    }
}

impl Leave for Takes {
    async fn leave(&self, cx: &ApplyCx) -> Result<()> {
        let _at = self.act("leave", self.leave_waits).await;
        *cx.local::<Taken>().0.lock().unwrap() = None;
        Ok(())
    }
}

/// A graph of resources that have their spots as fields, and of those that receive them: (name, spot).
fn graph(declared: Vec<TakesBuilder>, receiving: &[(&str, &str)], test: &str) -> GraphConfig {
    let mut g = Graph::new("owning");
    for takes in declared {
        g.add(takes);
    }
    for (name, spot) in receiving {
        let value = g.add(Value::new(*name).value(*spot));
        g.add(Takes::new(*name, test, value.value()));
    }
    g.finish().unwrap()
}

async fn start(config: GraphConfig) -> Run {
    Run::start(mgmt::Engine::builder().graph(config)).await
}

async fn until_logged(test: &str, entry: &str) {
    within(async {
        while with_book(test, |book| !book.log.iter().any(|logged| logged == entry)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

async fn failure(run: &mut Run, name: &str) -> String {
    run.find(|event| match event {
        EventKind::Failed { id, error, .. } if id.name == name => Some(error.clone()),
        _ => None,
    })
    .await
}

async fn waits_for(run: &mut Run, name: &str) -> Vec<String> {
    within(async {
        loop {
            if let Standing::WaitingForPredecessor(by) = run.standing(name).await {
                return by.iter().map(ToString::to_string).collect();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
}

#[tokio::test]
async fn what_receives_the_spot_of_one_that_leaves_waits_for_its_last_operation_and_its_leave() {
    let test = "leaves";
    let mut run = start(graph(vec![Takes::new("old", test, "x").apply_waits(true).leave_waits(true)], &[], test)).await;
    until_logged(test, "apply old at x").await;
    gate(test).add_permits(1);
    run.converged().await;
    run.engine.swap(graph(vec![], &[("new", "x"), ("other", "y")], test)).await.unwrap();
    assert_eq!(waits_for(&mut run, "new").await, ["takes:spot[old]"]);
    run.stands("other", Standing::Settled).await;
    assert_eq!(log(test), ["apply old at x", "leave old at x", "apply other at y"]);
    gate(test).add_permits(1);
    run.converged().await;
    assert_eq!(log(test), ["apply new at x"]);
    assert_eq!(overlaps(test), [""; 0]);
    run.stop().await;
}

#[tokio::test]
async fn what_waits_and_leaves_itself_has_nothing_to_leave() {
    let test = "gives up";
    let mut run = start(graph(vec![Takes::new("old", test, "x").leave_waits(true)], &[], test)).await;
    run.converged().await;
    run.engine.swap(graph(vec![], &[("new", "x")], test)).await.unwrap();
    assert_eq!(waits_for(&mut run, "new").await, ["takes:spot[old]"]);
    run.engine.swap(graph(vec![], &[], test)).await.unwrap();
    gate(test).add_permits(1);
    run.find(|event| matches!(event, EventKind::Left { id, .. } if id.name == "old").then_some(())).await;
    run.stop().await;
    assert_eq!(log(test), ["apply old at x", "leave old at x"]);
}

#[tokio::test]
async fn what_receives_what_a_changed_resource_gave_up_waits_for_its_operation() {
    let test = "turned";
    let mut run = start(graph(vec![Takes::new("a", test, "x").apply_waits(true)], &[], test)).await;
    until_logged(test, "apply a at x").await;
    run.engine.swap(graph(vec![Takes::new("a", test, "y")], &[("b", "x")], test)).await.unwrap();
    assert_eq!(waits_for(&mut run, "b").await, ["takes:spot[a]"]);
    assert_eq!(log(test), ["apply a at x"]);
    gate(test).add_permits(1);
    run.converged().await;
    run.stop().await;
    assert_eq!(overlaps(test), [""; 0]);
}

#[tokio::test]
async fn of_two_that_receive_one_spot_the_second_fails_until_the_first_is_gone() {
    let test = "twice";
    let mut run = start(graph(vec![], &[("first", "x")], test)).await;
    run.converged().await;
    run.engine.swap(graph(vec![], &[("first", "x"), ("second", "x")], test)).await.unwrap();
    let error = failure(&mut run, "second").await;
    assert_eq!(
        error,
        "with what it received, takes:spot[second] owns the spot `x`, which takes:spot[first] owns too: they would undo \
         each other's work; leave it to one of them"
    );
    run.stands("first", Standing::Settled).await;
    assert_eq!(log(test), ["apply first at x"]);
    run.engine.swap(graph(vec![], &[("second", "x")], test)).await.unwrap();
    run.converged().await;
    assert_eq!(log(test), ["leave first at x", "apply second at x"]);
    run.stop().await;
    assert_eq!(overlaps(test), [""; 0]);
}

#[tokio::test]
async fn what_receives_the_spot_that_a_field_names_fails_and_a_field_takes_it_from_a_receiver() {
    let test = "field";
    let mut run = start(graph(vec![], &[("receives", "x")], test)).await;
    run.converged().await;
    run.engine.swap(graph(vec![Takes::new("declares", test, "x")], &[("receives", "x")], test)).await.unwrap();
    let error = failure(&mut run, "receives").await;
    assert!(error.contains("takes:spot[receives]") && error.contains("takes:spot[declares]"), "{error}");
    run.stands("declares", Standing::Settled).await;
    run.engine.swap(graph(vec![], &[("receives", "x")], test)).await.unwrap();
    run.converged().await;
    run.stop().await;
    assert_eq!(overlaps(test), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_change_their_spots_among_themselves_never_meet() {
    let test = "among";
    let spots = ["x", "y", "z"];
    let names = ["a", "b", "c"];
    let turned = |by: usize| {
        let pairs: Vec<(&str, &str)> = (0..3).map(|at| (names[at], spots[(at + by) % 3])).collect();
        graph(vec![], &pairs, test)
    };
    let mut run = start(turned(0)).await;
    for turn in 1..60 {
        run.engine.swap(turned(turn)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(turn as u64 % 5)).await;
    }
    run.converged().await;
    run.stop().await;
    assert_eq!(overlaps(test), [""; 0]);
}

#[tokio::test]
async fn a_plan_reports_the_second_owner_too() {
    let test = "plan";
    let config = graph(vec![Takes::new("declares", test, "x")], &[("receives", "x")], test);
    let plan = mgmt::Engine::builder().graph(config).plan().await.unwrap().to_string();
    assert!(plan.contains("takes:spot[receives] owns the spot `x`, which takes:spot[declares] owns too"), "{plan}");
}

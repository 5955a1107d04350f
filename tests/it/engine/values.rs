//! Values from resource to resource.

use std::sync::Mutex;
use std::time::Duration;

use mgmt::prelude::*;
use mgmt::runtime::{EventKind, Standing};

use crate::kit::run::list;
use crate::kit::{Act, Desk, Op, Run, within};

#[tokio::test]
async fn a_receiver_gets_what_its_sender_made_and_waits_for_it() {
    let desk = Desk::new();
    let mut g = Graph::new("send");
    let a = g.add(desk.probe("a").want("secret sauce"));
    g.add(desk.probe("b").want(a.made()));
    let mut run = Run::new(g).await;
    assert_eq!(
        run.converged().await,
        list("swapped, drifted a, sent b by a, applied a, drifted b, applied b, converged")
    );
    assert_eq!(desk.real("b"), "secret sauce");
    run.stop().await;
}

#[tokio::test]
async fn a_new_value_reaches_receivers_and_an_equal_one_does_not_wake_them() {
    let desk = Desk::new();
    desk.put("a", "one");
    let mut g = Graph::new("send");
    let a = g.add(desk.probe("a"));
    let b = g.add(desk.probe("b").want(a.made()));
    g.add(desk.probe("c").want(b.made()));
    let mut run = Run::new(g).await;
    run.converged().await;
    desk.log();
    desk.wake("a");
    assert_eq!(run.until("in sync a").await, list("in sync a"));
    assert_eq!(desk.log(), list("check a"));
    desk.touch("a", "two");
    let events = run.converged().await;
    assert_eq!(
        events,
        list("sent b by a, in sync a, drifted b, sent c by b, applied b, drifted c, applied c, converged")
    );
    assert_eq!((desk.real("b"), desk.real("c")), ("two".into(), "two".into()));
    run.stop().await;
}

#[tokio::test]
async fn values_are_mapped_zipped_and_gathered_from_several_senders() {
    let desk = Desk::new();
    let mut g = Graph::new("send");
    let many: Vec<_> = (0..3).map(|n| g.add(desk.probe(&n.to_string()).want(format!("v{n}")))).collect();
    let all = Output::all(many.iter().map(|one| one.made()));
    g.add(desk.probe("all").want(all.map(|all| all.join(","))));
    let pair = many[0].made().zip(many[2].made().map(|text| text.len()));
    g.add(desk.probe("pair").want(pair.map(|(text, length)| format!("{text}/{length}"))));
    let mut run = Run::new(g).await;
    run.converged().await;
    assert_eq!((desk.real("all"), desk.real("pair")), ("v0,v1,v2".into(), "v0/2".into()));
    assert_eq!(desk.count("check all"), 1, "it waits for all of them");
    run.stop().await;
}

#[tokio::test]
async fn a_value_that_cannot_be_made_fails_its_receiver_with_the_place_and_all_of_them_are_reported() {
    let desk = Desk::new();
    let mut g = Graph::new("send");
    let a = g.add(desk.probe("a").want("ten"));
    let number = || {
        a.made().try_map(|text| text.parse::<u32>().map(|_| text.clone()).map_err(|error| format!("`{text}`: {error}")))
    };
    let wrong = line!() + 1;
    let probe = desk.probe("b").want(number()).bad(number());
    g.add(probe);
    let mut run = Run::new(g).await;
    let why = run.find(|event| Some(event.to_string()).filter(|text| text.contains("probe[b]: check failed"))).await;
    let problem =
        format!("set at tests/it/engine/values.rs:{wrong}, has no value: `ten`: invalid digit found in string");
    assert!(why.contains(&format!("`want`, {problem}")) && why.contains(&format!("`bad`, {problem}")), "{why}");
    run.stop().await;
}

#[tokio::test]
async fn a_receiver_waits_for_a_sender_that_has_sent_nothing_yet() {
    let desk = Desk::new();
    desk.put("a", "value");
    desk.once("a", Op::Check, Act::Silent);
    let mut g = Graph::new("send");
    let a = g.add(desk.probe("a"));
    g.add(desk.probe("b").want(a.made()));
    let mut run = Run::new(g).await;
    run.until("in sync a").await;
    let Standing::WaitingForValue(by) = run.standing("b").await else { panic!("{:?}", run.standing("b").await) };
    assert_eq!(by[0].name, "a");
    assert!(!run.engine.is_converged());
    desk.wake("a");
    run.converged().await;
    assert_eq!(desk.real("b"), "value");
    run.stop().await;
}

#[tokio::test]
async fn a_receiver_of_a_failed_sender_is_blocked() {
    let desk = Desk::new();
    desk.always("a", Op::Check, Act::Fail("no"));
    let mut g = Graph::new("send");
    let a = g.add(desk.probe("a"));
    g.add(desk.probe("b").want(a.made()));
    let mut run = Run::new(g).await;
    run.until("blocked b").await;
    run.until("hopeless").await;
    assert_eq!(desk.count("check b"), 0);
    assert!(run.engine.status().await.unwrap().hopeless);
    run.stop().await;
}

#[tokio::test]
async fn a_received_value_is_validated() {
    let desk = Desk::new();
    desk.put("a", "odd");
    let mut g = Graph::new("send");
    let a = g.add(desk.probe("a"));
    g.add(desk.probe("b").bad(a.made()));
    let mut run = Run::new(g).await;
    let why = run.find(|event| match event {
        EventKind::Failed { error, .. } => Some(error.clone()),
        _ => None,
    });
    assert_eq!(why.await, "with what it received: odd");
    run.stop().await;
}

#[tokio::test]
async fn another_closure_makes_another_value_at_the_next_swap() {
    let desk = Desk::new();
    desk.put("a", "x");
    let graph = |suffix: &'static str| {
        let mut g = Graph::new("send");
        let a = g.add(desk.probe("a"));
        g.add(desk.probe("b").want(a.made().map(move |text| format!("{text}{suffix}"))));
        g
    };
    let mut run = Run::new(graph("1")).await;
    run.converged().await;
    assert_eq!(desk.real("b"), "x1");
    run.engine.swap(graph("2").finish().unwrap()).await.unwrap();
    run.converged().await;
    assert_eq!(desk.real("b"), "x2");
    assert_eq!(desk.count("check a"), 1);
    run.stop().await;
}

#[tokio::test]
async fn a_receiver_of_another_sender_is_checked_again() {
    let desk = Desk::new();
    desk.put("a", "from a");
    desk.put("b", "from b");
    let graph = |from_b: bool| {
        let mut g = Graph::new("send");
        let (a, b) = (g.add(desk.probe("a")), g.add(desk.probe("b")));
        g.add(desk.probe("c").want(if from_b { b.made() } else { a.made() }));
        g
    };
    let mut run = Run::new(graph(false)).await;
    run.converged().await;
    assert_eq!(desk.real("c"), "from a");
    run.engine.swap(graph(true).finish().unwrap()).await.unwrap();
    run.converged().await;
    assert_eq!(desk.real("c"), "from b");
    run.stop().await;
}

#[tokio::test]
async fn the_slot_of_a_sender_that_left_says_nothing_for_who_comes_after_it() {
    let desk = Desk::new();
    desk.put("old", "same");
    desk.put("new", "same");
    let graph = |name: &str| {
        let mut g = Graph::new("send");
        let sender = g.add(desk.probe(name));
        g.add(desk.probe("receiver").want(sender.made()));
        g
    };
    let mut run = Run::new(graph("old")).await;
    run.converged().await;
    // The sender leaves during its check: what it sends then goes nowhere.
    let gate = desk.gate("old", Op::Check);
    desk.wake("old");
    gate.reached().await;
    run.engine.swap(Graph::new("none").finish().unwrap()).await.unwrap();
    gate.open();
    desk.put("receiver", "broken");
    run.engine.swap(graph("new").finish().unwrap()).await.unwrap();
    run.until("applied receiver").await;
    run.converged().await;
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_command_says_is_written_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let mut g = Graph::new("send");
    let words = g.add(Exec::new("words").cmd("printf 'one two'").shell("/bin/sh"));
    let value = g.add(Value::new("passed on").value(words.stdout()));
    g.add(File::new(path("words")).content(words.stdout().map(|words| words.to_uppercase())));
    g.add(
        File::new(path("passed")).content(value.value().zip(words.stderr()).map(|(out, err)| format!("{out}|{err}"))),
    );
    let mut run = Run::new(g).await;
    run.converged().await;
    assert_eq!(std::fs::read_to_string(path("words")).unwrap(), "ONE TWO");
    assert_eq!(std::fs::read_to_string(path("passed")).unwrap(), "one two|");
    run.stop().await;
}

#[tokio::test]
async fn a_field_that_is_still_to_come_is_judged_by_the_value_that_comes() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let mut g = Graph::new("coming");
    let seven = g.add(Exec::new("seven").cmd("echo 7"));
    let number = || seven.stdout().map(|text| text.trim().parse::<u64>().unwrap_or_default());
    let password = g.add(Password::new("p").length(number().map(|n| usize::try_from(n).unwrap_or_default())));
    g.add(File::new(file("password")).content(password.password()));
    g.add(Timer::new("t", number().map(Duration::from_secs)));
    g.add(HttpServer::new("web").address(seven.stdout().map(|_| "127.0.0.1:0".to_owned())));
    let command = g.add(Exec::new("command").cmd("echo").args(["touch".to_owned(), file("made")]));
    g.add(Exec::new("late").cmd(command.stdout()).creates(file("made")));
    let mut run = Run::new(g).await;
    run.converged().await;
    assert_eq!(std::fs::read_to_string(file("password")).unwrap().len(), 7);
    assert!(dir.path().join("made").exists());
    run.stop().await;
}

#[tokio::test]
async fn a_value_that_comes_and_does_not_fit_is_the_failure_of_its_receiver_with_all_that_is_wrong() {
    let mut g = Graph::new("coming");
    let zero = g.add(Exec::new("zero").cmd("echo 0"));
    let number = zero.stdout().map(|text| text.trim().parse::<usize>().unwrap_or(24));
    g.add(Password::new("p").length(number));
    g.add(HttpServer::new("w").address(zero.stdout()).auth_path(zero.stdout()).auth_user("u"));
    let mut run = Run::new(g).await;
    let mut errors = Vec::new();
    while errors.len() < 2 {
        let failed = |event: &EventKind| match event {
            EventKind::Failed { id, error, .. } => Some(format!("{}: {error}", id.name)),
            _ => None,
        };
        errors.push(run.find(failed).await);
    }
    errors.sort_unstable();
    assert_eq!(
        errors,
        [
            "p: with what it received: `length` is 0: give 1 to 65535 characters",
            "w: with what it received: `address` is `0\\n`: give host and port, as 127.0.0.1:8080, or 0.0.0.0:8080 for \
             all that can reach this machine; `auth_path`: `0\\n`: it does not begin with `/`",
        ]
    );
    run.stop().await;
}

#[tokio::test]
async fn a_file_with_a_path_that_it_received_is_watched_there_and_not_purged_also_after_a_swap() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let graph = |content: &str| {
        let mut g = Graph::new("received path");
        let says = g.add(Exec::new("says").cmd("printf").args(["%s".to_owned(), path("kept/made")]));
        let made = g.add(File::new(path("nowhere")).path(says.stdout().map(|path| path)).content(content));
        g.add(File::new(path("kept/")).purge(true).after(&made));
        g
    };
    std::fs::create_dir(path("kept")).unwrap();
    let mut run = Run::new(graph("one")).await;
    run.converged().await;
    let repaired = format!("applied {}", path("nowhere"));
    for content in ["one", "one", "two"] {
        run.engine.swap(graph(content).finish().unwrap()).await.unwrap();
        // Not by an event: one of before the swap may still be unread.
        within(run.engine.converged()).await.unwrap();
        assert_eq!(std::fs::read_to_string(path("kept/made")).unwrap(), content);
        while run.events.try_next().is_some() {}
        std::fs::remove_file(path("kept/made")).unwrap();
        run.until(&repaired).await;
        within(run.engine.converged()).await.unwrap();
        assert_eq!(std::fs::read_to_string(path("kept/made")).unwrap(), content);
        assert!(!dir.path().join("nowhere").exists());
    }
    // What the purge may take it still takes.
    std::fs::write(path("kept/other"), "").unwrap();
    run.until(&format!("applied {}", path("kept/"))).await;
    assert!(!dir.path().join("kept/other").exists() && dir.path().join("kept/made").exists());
    run.stop().await;
}

/// What each check got: the fields that had changed, and whether a refresh was owed.
static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:attentive", unwatched)]
struct Attentive {
    #[resource(name)]
    name: String,
    left: Option<String>,
    right: Option<String>,
}

impl Converge for Attentive {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let mut told: Vec<&str> = ["left", "right"].into_iter().filter(|field| cx.is_updated(field)).collect();
        told.extend(cx.refresh_owed().then_some("refresh"));
        TOLD.lock().unwrap().push(told.join(" "));
        if self.right.as_deref() == Some("fail") { Err(mgmt::Error::new("it can't")) } else { Ok(None) }
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

impl Refresh for Attentive {
    async fn refresh(&self, _: &ApplyCx) -> Result<bool> {
        Ok(true)
    }
}

#[tokio::test]
async fn a_check_can_ask_which_fields_have_changed_and_whether_a_refresh_is_owed() {
    let desk = Desk::new();
    ["left", "right", "bell"].iter().for_each(|name| desk.put(name, "one"));
    let mut g = Graph::new("attentive");
    let (left, right) = (g.add(desk.probe("left")), g.add(desk.probe("right")));
    let bell = g.add(desk.probe("bell").want("one"));
    let attentive = Attentive::new("a").left(left.made()).right(right.made()).subscribe(&bell).retry(-1);
    g.add(attentive);
    let mut run = Run::new(g).await;
    let told = || std::mem::take(&mut *TOLD.lock().unwrap());
    run.converged().await;
    assert_eq!(told(), ["left right"], "at first all is new");
    desk.touch("left", "two");
    run.converged().await;
    assert_eq!(told(), ["left"]);
    // As long as nothing ends well, it stays news.
    desk.touch("right", "fail");
    run.find(|event| matches!(event, EventKind::Failed { .. }).then_some(())).await;
    desk.touch("left", "three");
    desk.touch("right", "two");
    run.converged().await;
    let told_of_failures = told();
    assert!(told_of_failures.starts_with(&["right".to_owned()]), "{told_of_failures:?}");
    assert_eq!(told_of_failures.last().unwrap(), "left right");
    desk.touch("bell", "broken");
    run.converged().await;
    assert_eq!(told(), ["refresh"]);
    run.stop().await;
}

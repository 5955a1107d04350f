//! Runs that stay when the near end leaves: found, shown, stopped, and lost.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use mgmt::prelude::*;
use mgmt::remote::{Detached, Ended, HowEnded, Job, RemoteError, Report, Run, StopStep};
use mgmt::runtime::EventKind;
use serde_json::{Value as Json, json};

use crate::executable::program;
use crate::kit::{There, files, host, is_alive, until, until_event, wait};

const CANARY: &str = "canary-in-a-run-that-stays";

/// The machine, on which nothing is left at the end of the test.
struct Stage(There);

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(pid) = self.record().and_then(|record| record["pid"].as_u64())
            && std::thread::panicking()
            && pid_is_ours(pid, &self.0)
        {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
    }
}

/// Whether the process works in this prefix.
fn pid_is_ours(pid: u64, there: &There) -> bool {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    String::from_utf8_lossy(&environ).contains(&there.text("prefix"))
}

impl Stage {
    fn new() -> Stage {
        Stage(There::new())
    }

    fn record(&self) -> Option<Json> {
        serde_json::from_slice(&std::fs::read(self.0.prefix().join("detached/run.json")).ok()?).ok()
    }

    async fn job(&self, declare: impl FnOnce(&mut Graph)) -> Job {
        self.0.job(declare).await
    }

    fn about(&self, job: Job) -> Job {
        job.arguments(["remote", "attach", "there"]).prefix(self.0.prefix())
    }

    /// Leaves a run there.
    async fn leave(&self, job: Job) -> Detached {
        let mut run = host().run(&job.detach()).await.unwrap();
        let left = until(&mut run, |report| matches!(report, Report::Left(_))).await;
        assert_eq!(ended(&run).await.how, HowEnded::Detached);
        let Report::Left(left) = left else { panic!() };
        *left
    }

    async fn attach(&self) -> Run {
        let mut run = host().run(&self.about(Job::attach())).await.unwrap();
        until(&mut run, |report| matches!(report, Report::Attached(_))).await;
        run
    }

    async fn found(&self) -> Option<Detached> {
        host().detached(&self.about(Job::own())).await.unwrap()
    }

    async fn stop(&self) {
        let run = host().run(&self.about(Job::stop_detached())).await.unwrap();
        assert_eq!((ended(&run).await.code, ended(&run).await.how), (0, HowEnded::Stopped));
    }

    async fn error(&self, job: Job) -> String {
        let run = host().run(&job).await.unwrap();
        run.ended().await.expect_err("it must fail").to_string()
    }
}

async fn ended(run: &Run) -> Ended {
    run.ended().await.unwrap()
}

fn applied(event: &EventKind) -> bool {
    matches!(event, EventKind::Applied { changed: true, .. })
}

#[tokio::test]
async fn a_run_that_stays_repairs_without_a_near_end_is_shown_again_and_stopped() {
    let stage = Stage::new();
    let file = stage.0.text("file");
    assert_eq!(stage.found().await, None);
    let absent = stage.error(stage.about(Job::attach())).await;
    assert!(absent.contains("no run that was left here"), "{absent}");
    let job = stage.job(|g| _ = g.add(File::new(&file).content("kept\n"))).await;
    let left = stage.leave(job.clone()).await;
    wait("the file", || stage.0.read("file").is_some()).await;
    assert!(is_alive(left.pid) && stage.found().await == Some(left.clone()));
    std::fs::write(&file, "drift\n").unwrap();
    wait("the repair without a near end", || stage.0.read("file").as_deref() == Some("kept\n")).await;
    // What was missed comes first, then what happens.
    let mut run = stage.attach().await;
    until_event(&mut run, applied).await;
    until_event(&mut run, |event| *event == EventKind::Converged).await;
    std::fs::write(&file, "again\n").unwrap();
    until_event(&mut run, applied).await;
    until_event(&mut run, |event| *event == EventKind::Converged).await;
    let status = run.status().await.unwrap();
    assert_eq!((status.resources, status.converged), (1, true));
    // To stop it here is to leave it, and so is to drop it.
    run.stop(StopStep::Drain);
    assert_eq!(ended(&run).await.how, HowEnded::Detached);
    drop(stage.attach().await);
    let mut run = stage.attach().await;
    std::fs::write(&file, "third\n").unwrap();
    let first = until(&mut run, |report| matches!(report, Report::Event(_))).await;
    let Report::Event(first) = first else { panic!() };
    assert!(!matches!(first.kind, EventKind::Converged | EventKind::Applied { .. }), "seen before: {first:?}");
    // Another run has to leave it alone.
    let refused = stage.error(job).await;
    for text in ["`--detach`", "`remote attach`", "`remote stop`", &left.pid.to_string()] {
        assert!(refused.contains(text), "{refused}");
    }
    assert_eq!(stage.0.read("file").as_deref(), Some("kept\n"));
    stage.stop().await;
    assert!(!is_alive(left.pid));
    assert_eq!((ended(&run).await.code, ended(&run).await.how), (0, HowEnded::Stopped), "who sees it sees the end");
    let found = stage.found().await.unwrap();
    assert_eq!((found.runs, found.ended.map(|end| (end.code, end.how))), (false, Some((0, HowEnded::Stopped))));
    let absent = stage.error(stage.about(Job::stop_detached())).await;
    assert!(absent.contains("has ended at") && absent.contains("exit code 0"), "{absent}");
}

#[tokio::test]
async fn the_ladder_of_a_stop_cancels_what_does_not_end() {
    let stage = Stage::new();
    let pid = stage.0.text("pid");
    let line = format!("trap '' TERM; echo $$ >{pid}; sleep 1000");
    let left = stage.leave(stage.job(|g| _ = g.add(Exec::new("slow").cmd(line).shell("/bin/sh"))).await).await;
    wait("the command", || stage.0.read("pid").is_some_and(|text| text.ends_with('\n'))).await;
    let command: u32 = stage.0.read("pid").unwrap().trim().parse().unwrap();
    let mut run = host().run(&stage.about(Job::stop_detached())).await.unwrap();
    until(&mut run, |report| matches!(report, Report::Attached(_))).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(is_alive(left.pid) && is_alive(command), "an operation under way may end");
    run.stop(StopStep::Drain);
    assert_eq!(ended(&run).await.how, HowEnded::Stopped);
    wait("the command is ended", || !is_alive(command)).await;
    assert!(!is_alive(left.pid));
}

#[tokio::test]
async fn a_run_with_a_timeout_ends_by_itself_and_a_wrong_one_does_not_begin() {
    let stage = Stage::new();
    // It converges only when it has been left there.
    let gate = stage.0.text("gate");
    let line = format!("while ! [ -e {gate} ]; do sleep 0.05; done");
    let job = stage.job(|g| _ = g.add(Exec::new("waits").cmd(line).shell("/bin/sh"))).await;
    let left = stage.leave(job.clone().converged_timeout(Duration::from_millis(10))).await;
    std::fs::write(&gate, "").unwrap();
    wait("its end", || !is_alive(left.pid)).await;
    let found = stage.found().await.unwrap();
    assert_eq!(found.ended.map(|end| (end.code, end.how)), Some((0, HowEnded::Converged)));
    // The engine there can't use this prefix.
    std::fs::write(stage.0.prefix().join("journal.redb"), "no journal").unwrap();
    let before = stage.record();
    let refused = host().run(&job.clone().detach()).await.unwrap().ended().await;
    match refused {
        // An engine that can begin anew with such a file runs, and is stopped.
        Ok(ended) => {
            assert_eq!(ended.how, HowEnded::Detached);
            stage.stop().await;
        }
        Err(error) => assert_eq!(stage.record(), before, "{error}"),
    }
    let lost = Job::own().arguments(["remote", "run", "--tmp-prefix", "there"]).detach();
    let error = host().run(&lost).await.unwrap().ended().await.unwrap_err();
    assert!(error.to_string().contains("a working directory that lasts"), "{error}");
}

#[tokio::test]
async fn a_secret_of_a_run_that_stays_is_in_no_argument_no_variable_and_no_file() {
    let stage = Stage::new();
    let secret = stage.0.text("secret");
    let job = stage.job(|g| _ = g.add(File::new(&secret).content(Secret::new(CANARY.to_owned())).mode(0o600))).await;
    let left = stage.leave(job).await;
    wait("the file", || stage.0.read("secret").as_deref() == Some(CANARY)).await;
    for name in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{}/{name}", left.pid)).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(CANARY), "{name}");
    }
    stage.stop().await;
    for (path, bytes) in files(&stage.0.prefix()) {
        assert!(!String::from_utf8_lossy(&bytes).contains(CANARY), "{}", path.display());
    }
}

#[tokio::test]
async fn a_run_that_was_killed_or_hangs_is_reported_and_keeps_no_other_from_its_place() {
    let stage = Stage::new();
    let file = stage.0.text("file");
    let job = stage.job(|g| _ = g.add(File::new(&file).content("x"))).await;
    let left = stage.leave(job.clone()).await;
    let signal = |name: &str| Command::new("kill").args([name, &left.pid.to_string()]).status().unwrap();
    signal("-STOP");
    let hangs = stage.error(stage.about(Job::attach())).await;
    assert!(hangs.contains("does not answer") && hangs.contains(&left.pid.to_string()), "{hangs}");
    signal("-CONT");
    let run = stage.attach().await;
    signal("-KILL");
    let killed = run.ended().await.unwrap_err();
    assert!(matches!(&killed, RemoteError::Failed(why) if why.contains("was killed")), "{killed}");
    let found = stage.found().await.unwrap();
    assert_eq!((found.runs, found.ended), (false, None));
    let absent = stage.error(stage.about(Job::stop_detached())).await;
    assert!(absent.contains("was killed, or ended by a reboot"), "{absent}");
    let second = stage.leave(job).await;
    assert_ne!(second.pid, left.pid);
    stage.stop().await;
}

/// The near end as lines written by hand.
fn near(stage: &Stage) -> std::process::Child {
    std::fs::write(stage.0.path("graph.yaml"), "graph: g\nresources: {}\n").unwrap();
    Command::new(program())
        .args(["remote", "run", "there", "--yaml"])
        .arg(stage.0.path("graph.yaml"))
        .arg("--prefix")
        .arg(stage.0.prefix())
        .env("MGMT_FAR_END", "nonce")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_run_stays_only_if_the_near_end_asks_for_it_after_its_start() {
    let stage = Stage::new();
    let settings = json!({ "noop": false, "alert_only": false, "no_watch": false });
    let task = json!({ "detach": { "variables": [] } });
    let begin = json!({ "m": "begin", "v": { "version": 1, "task": task, "settings": settings, "graph": null } });
    let mut child = near(&stage);
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{begin}").unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut seen = String::new();
    while !seen.contains(r#"{"m":"begun""#) {
        assert!(lines.read_line(&mut seen).unwrap() > 0, "{seen}");
    }
    let lock = stage.0.prefix().join("detached/lock");
    let is_held = |path: &Path| std::fs::File::open(path).unwrap().try_lock().is_err();
    assert!(is_held(&lock));
    // It is lost before it has asked.
    drop(stdin);
    wait("the end of the run", || !is_held(&lock)).await;
    let _ = lines.read_to_string(&mut seen);
    child.wait().unwrap();
    assert!(!seen.contains(r#"{"m":"left""#), "{seen}");
    assert_eq!(stage.record(), None);
}

#[tokio::test]
async fn other_users_and_strange_messages_do_a_run_no_harm() {
    let stage = Stage::new();
    let file = stage.0.text("file");
    let left = stage.leave(stage.job(|g| _ = g.add(File::new(&file).content("x"))).await).await;
    let socket = stage.0.prefix().join("detached/socket");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let long = vec![b'x'; 3 << 20];
    for text in [&b"no message\n"[..], b"{\"m\":\"stop\",\"v\":1}\n", b"{\"m\":\"begin\"}\n", &long, b"\n\n\n", b""] {
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        // It may close the connection before all is written.
        let _ = stream.write_all(text);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!String::from_utf8_lossy(&answer).contains("\"event\""), "{text:?}");
    }
    // Another graph is refused, and the one in force stays.
    let run = stage.attach().await;
    let refused = run.swap(&crate::kit::parcel(|_| {}).await).await.unwrap_err();
    assert!(refused.to_string().contains("takes no other graph"), "{refused}");
    assert_eq!(run.status().await.unwrap().resources, 1);
    assert!(is_alive(left.pid));
    stage.stop().await;
}

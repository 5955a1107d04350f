//! Runs whose changes are put back unless they are confirmed by a new connection.

use std::future::Future;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mgmt::prelude::*;
use mgmt::remote::{
    Channel, Fleet, FleetUntil, Host, HowEnded, Job, Launch, Local, RemoteError, Report, Run, StopStep, Transport,
};
use mgmt::runtime::EventKind;
use tokio::io::{AsyncWriteExt as _, copy, duplex};
use tokio::sync::watch;

use crate::executable::program;
use crate::kit::{There, files, host, is_alive, pid, until, until_event, wait};

type Starting = Pin<Box<dyn Future<Output = Result<Channel, RemoteError>> + Send>>;

/// A machine that can be cut off: connections that exist end then, and new ones can be refused.
#[derive(Clone)]
struct Cut {
    /// Ends the connections that exist.
    cut: watch::Sender<bool>,
    /// New connections are refused.
    refuses: Arc<AtomicBool>,
    is_new: bool,
}

impl Cut {
    fn new(refuses: bool) -> Cut {
        Cut { cut: watch::Sender::new(false), refuses: Arc::new(AtomicBool::new(refuses)), is_new: false }
    }

    fn host(&self) -> Host {
        Host::new("there", self.clone())
    }

    fn cut(&self) {
        self.cut.send_replace(true);
    }

    fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }
}

impl Transport for Cut {
    fn start(&self, launch: Launch) -> Starting {
        let me = self.clone();
        Box::pin(async move {
            if me.is_new && me.refuses.load(Ordering::Relaxed) {
                return Err(RemoteError::Start("the machine can't be reached".to_owned()));
            }
            let real = Local::program(program()).start(launch).await?;
            if me.is_new {
                return Ok(real);
            }
            let (Channel { mut stdin, mut stdout, stderr, ended, .. }, mut is_cut) = (real, me.cut.subscribe());
            let ((near_in, mut far_in), (near_out, mut far_out)) = (duplex(1 << 16), duplex(1 << 16));
            tokio::spawn(async move {
                tokio::select! {
                    _ = copy(&mut far_in, &mut stdin) => {}
                    _ = copy(&mut stdout, &mut far_out) => {}
                    _ = is_cut.wait_for(|is_cut| *is_cut) => {}
                }
                let _ = stdin.shutdown().await;
            });
            Ok(Channel { stdin: Box::new(near_in), stdout: Box::new(near_out), stderr, ended })
        })
    }

    fn fresh(&self) -> Option<Arc<dyn Transport>> {
        Some(Arc::new(Cut { is_new: true, ..self.clone() }))
    }

    fn is_here(&self) -> bool {
        true
    }
}

/// A graph that changes a file and makes another one.
async fn job(there: &There) -> Job {
    std::fs::write(there.path("was"), "before\n").unwrap();
    let (was, new) = (there.text("was"), there.text("new"));
    let job = there.job(|g| {
        g.add(File::new(&was).content("after\n"));
        g.add(File::new(&new).content("new\n"));
    });
    job.await.converged_timeout(Duration::ZERO)
}

fn is_changed(there: &There) -> bool {
    there.read("was").as_deref() == Some("after\n") && there.read("new").is_some()
}

fn is_as_before(there: &There) -> bool {
    there.read("was").as_deref() == Some("before\n") && there.read("new").is_none()
}

/// Nothing of the trial is left: no process that watches, and no record.
async fn nothing_is_left(there: &There) {
    let prefix = there.prefix();
    let watches = || {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        all.filter_map(|process| std::fs::read(process.path().join("environ")).ok()).any(|environ| {
            let text = String::from_utf8_lossy(&environ).into_owned();
            text.contains("MGMT_FAR_END=guard") && text.contains(&*prefix.to_string_lossy())
        })
    };
    wait("no process watches any more", || !watches()).await;
    // A run that was confirmed by another connection notices that a moment later.
    wait("no record is left", || files(&prefix.join("trial/records")).is_empty()).await;
}

async fn rest(run: &mut Run) -> Vec<Report> {
    let mut all = Vec::new();
    while let Some(report) = run.next().await {
        all.push(report);
    }
    all
}

#[tokio::test]
async fn a_run_that_can_be_confirmed_stays() {
    let there = There::new();
    let mut run = host().run(&job(&there).await.confirm(Duration::from_secs(60))).await.unwrap();
    let reports = rest(&mut run).await;
    let ended = run.ended().await.unwrap();
    assert_eq!((ended.code, ended.how), (0, HowEnded::Converged), "{reports:?}");
    assert!(reports.contains(&Report::Confirmed) && !reports.contains(&Report::PuttingBack), "{reports:?}");
    assert!(is_changed(&there));
    nothing_is_left(&there).await;
}

#[tokio::test]
async fn without_a_new_connection_all_is_put_back() {
    let there = There::new();
    let mut run = Cut::new(true).host().run(&job(&there).await.confirm(Duration::from_secs(2))).await.unwrap();
    until_event(&mut run, |event| *event == EventKind::Converged).await;
    assert!(is_changed(&there));
    let reports = rest(&mut run).await;
    let error = run.ended().await.unwrap_err().to_string();
    assert!(error.contains("not confirmed within 2 s"), "{error}");
    let undone =
        |report: &Report| matches!(report, Report::Event(event) if matches!(event.kind, EventKind::Undone { .. }));
    assert_eq!(reports.iter().filter(|report| undone(report)).count(), 2, "{reports:?}");
    assert!(reports.contains(&Report::PuttingBack) && is_as_before(&there));
    nothing_is_left(&there).await;
}

#[tokio::test]
async fn a_run_that_is_killed_is_put_back_by_the_process_that_watches() {
    let there = There::new();
    let mut run = Cut::new(true).host().run(&job(&there).await.confirm(Duration::from_secs(600))).await.unwrap();
    let far = pid(&mut run).await;
    until_event(&mut run, |event| *event == EventKind::Converged).await;
    assert!(is_changed(&there));
    assert!(Command::new("kill").args(["-9", &far.to_string()]).status().unwrap().success());
    wait("it is put back", || is_as_before(&there)).await;
    nothing_is_left(&there).await;
}

#[tokio::test]
async fn a_run_after_one_that_was_confirmed_is_watched_over_too() {
    let there = There::new();
    let mut run = host().run(&job(&there).await.confirm(Duration::from_secs(60))).await.unwrap();
    rest(&mut run).await;
    assert!(is_changed(&there));
    let more = there.text("more");
    let job = there.job(|g| _ = g.add(File::new(&more).content("more\n"))).await;
    let job = job.converged_timeout(Duration::ZERO).confirm(Duration::from_secs(600));
    let mut run = Cut::new(true).host().run(&job).await.unwrap();
    let far = pid(&mut run).await;
    until_event(&mut run, |event| *event == EventKind::Converged).await;
    assert!(there.read("more").is_some());
    assert!(Command::new("kill").args(["-9", &far.to_string()]).status().unwrap().success());
    wait("it is put back", || there.read("more").is_none()).await;
    assert!(is_changed(&there), "what was confirmed stays");
    nothing_is_left(&there).await;
    // A run that stays there has no end here that could confirm it.
    let error = host().run(&job.detach()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_run_that_is_killed_before_it_has_converged_is_put_back_too() {
    let there = There::new();
    std::fs::write(there.path("was"), "before\n").unwrap();
    let (was, pid_file) = (there.text("was"), there.text("pid"));
    let job = there.job(|g| {
        let file = g.add(File::new(&was).content("after\n"));
        let slow = format!("echo $$ >{pid_file}; exec sleep 1000");
        g.add(Exec::new("slow").cmd(slow).shell("/bin/sh").undo("true").after(&file));
    });
    let mut run = host().run(&job.await.confirm(Duration::from_secs(600))).await.unwrap();
    let far = pid(&mut run).await;
    wait("the command runs", || there.read("pid").is_some_and(|text| text.ends_with('\n'))).await;
    assert!(Command::new("kill").args(["-9", &far.to_string()]).status().unwrap().success());
    wait("it is put back", || there.read("was").as_deref() == Some("before\n")).await;
    nothing_is_left(&there).await;
}

#[tokio::test]
async fn a_run_that_is_left_alone_puts_itself_back() {
    let there = There::new();
    let mut run = Cut::new(true).host().run(&job(&there).await.confirm(Duration::from_secs(2))).await.unwrap();
    let far = pid(&mut run).await;
    until_event(&mut run, |event| *event == EventKind::Converged).await;
    drop(run);
    wait("it is put back", || is_as_before(&there)).await;
    wait("its process has ended", || !is_alive(far)).await;
    nothing_is_left(&there).await;
}

#[tokio::test]
async fn what_is_stopped_is_put_back() {
    let there = There::new();
    let mut run = Cut::new(true).host().run(&job(&there).await.confirm(Duration::from_secs(600))).await.unwrap();
    until_event(&mut run, |event| *event == EventKind::Converged).await;
    run.stop(StopStep::Drain);
    run.stop(StopStep::Cancel);
    rest(&mut run).await;
    let ended = run.ended().await.unwrap();
    assert_eq!((ended.code, ended.how), (0, HowEnded::Stopped));
    assert!(is_as_before(&there));
    nothing_is_left(&there).await;
}

#[tokio::test]
async fn a_machine_that_is_only_reached_by_another_connection_is_confirmed_by_that() {
    let there = There::new();
    let machine = Cut::new(true);
    let mut run = machine.host().run(&job(&there).await.confirm(Duration::from_secs(60))).await.unwrap();
    until_event(&mut run, |event| *event == EventKind::Converged).await;
    machine.cut();
    until(&mut run, |report| matches!(report, Report::Warning(note) if note.message.contains("connecting again")))
        .await;
    machine.refuse(false);
    until(&mut run, |report| *report == Report::Confirmed).await;
    let ended = run.ended().await.unwrap();
    assert_eq!((ended.code, ended.how), (0, HowEnded::Confirmed));
    nothing_is_left(&there).await;
    assert!(is_changed(&there));
}

#[tokio::test]
async fn a_machine_that_is_cut_off_for_good_is_reported_and_puts_itself_back() {
    let there = There::new();
    let machine = Cut::new(true);
    let mut run = machine.host().run(&job(&there).await.confirm(Duration::from_secs(2))).await.unwrap();
    until_event(&mut run, |event| *event == EventKind::Converged).await;
    machine.cut();
    rest(&mut run).await;
    let error = run.ended().await.unwrap_err();
    assert!(matches!(error, RemoteError::Unconfirmed { .. }), "{error:?}");
    assert!(error.to_string().contains("can't be reached") && error.to_string().contains("puts back"), "{error}");
    wait("it is put back", || is_as_before(&there)).await;
    nothing_is_left(&there).await;
}

#[tokio::test]
async fn what_can_not_be_put_back_is_refused_before_anything_is_changed() {
    let there = There::new();
    let (file, made) = (there.text("file"), there.text("made"));
    let job = there.job(|g| {
        g.add(File::new(&file).content("a\n"));
        g.add(Exec::new("make").cmd(format!("touch {made}")).creates(&made));
    });
    let job = job.await.converged_timeout(Duration::ZERO).confirm(Duration::from_secs(60));
    let error = host().run(&job).await.unwrap_err().to_string();
    assert!(
        error.contains("exec[make]: can't be put back: it has no `undo`") && error.contains("--confirm-partial"),
        "{error}"
    );
    assert!(there.read("file").is_none() && there.read("made").is_none());
    let mut run = host().run(&job.confirm_partial(true)).await.unwrap();
    rest(&mut run).await;
    assert_eq!(run.ended().await.unwrap().code, 0);
    assert!(there.read("file").is_some() && there.read("made").is_some());
}

#[tokio::test]
async fn a_graph_that_can_not_converge_is_put_back() {
    let there = There::new();
    std::fs::write(there.path("was"), "before\n").unwrap();
    let was = there.text("was");
    let job = there.job(|g| {
        let file = g.add(File::new(&was).content("after\n"));
        g.add(Exec::new("fails").cmd("false").undo("true").after(&file));
    });
    let job = job.await.converged_timeout(Duration::ZERO).confirm(Duration::from_secs(600));
    let mut run = host().run(&job).await.unwrap();
    let reports = rest(&mut run).await;
    let ended = run.ended().await.unwrap();
    assert_eq!((ended.code, ended.how), (1, HowEnded::Hopeless), "{reports:?}");
    assert_eq!(there.read("was").as_deref(), Some("before\n"));
    nothing_is_left(&there).await;
}

#[tokio::test]
async fn many_hosts_have_converged_when_all_are_confirmed() {
    let (one, two) = (There::new(), There::new());
    let hosts = vec![Host::new("one", Local::program(program())), Host::new("two", Local::program(program()))];
    let own = |job: Job| job.confirm(Duration::from_secs(60)).stays(true);
    let fleet = Fleet::new(hosts).until(FleetUntil::AllConverge);
    let fleet = fleet.own_job("one", own(job(&one).await)).own_job("two", own(job(&two).await));
    let run = fleet.run(Job::own());
    let ended = run.ended().await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert!(is_changed(&one) && is_changed(&two));
    nothing_is_left(&one).await;
    nothing_is_left(&two).await;
}

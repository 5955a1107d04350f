//! The near end on a machine that does not behave: a shell there answers in place of the executable.

use std::time::{Duration, Instant};

use mgmt::remote::{Channel, Host, Job, Launch, Local, RemoteError, Report, Transport};
use mgmt::resource::BoxFuture;

use crate::kit::{LONG, There, parcel};

/// A machine where this script answers. It has begun as a far end does, if `greets`.
fn shell(script: &str, greets: bool) -> (Host, Vec<String>) {
    let greeting = if greets { "echo \"mgmt far end 1 $MGMT_FAR_END\"; " } else { "" };
    (Host::new("there", Local::program("/bin/sh")), vec!["-c".to_owned(), format!("{greeting}{script}")])
}

async fn error_of(script: &str, greets: bool) -> RemoteError {
    let (host, arguments) = shell(script, greets);
    let run = host.run(&Job::own().arguments(arguments)).await.unwrap();
    tokio::time::timeout(LONG, run.ended()).await.expect("it does not end").unwrap_err()
}

#[tokio::test]
async fn banners_before_the_first_line_are_skipped_and_shown() {
    let script = r#"echo 'Welcome!'; printf '$ mgmt far end 1 %s\n' "$MGMT_FAR_END"; echo noise
        echo '{"m":"end","v":{"code":7,"error":null,"how":"exit"}}'"#;
    let (host, arguments) = shell(script, false);
    let mut run = host.run(&Job::own().arguments(arguments)).await.unwrap();
    let mut lines = Vec::new();
    while let Some(report) = run.next().await {
        if let Report::Log(line) = report {
            lines.push(line);
        }
    }
    assert_eq!(run.ended().await.unwrap().code, 7);
    assert_eq!(lines, ["Welcome!", "noise"]);
}

#[tokio::test]
async fn a_machine_that_answers_with_something_else_is_an_error_with_its_words() {
    let error = error_of("echo This account is not available.; exit 3", false).await;
    let RemoteError::NoFarEnd { why, printed } = &error else { panic!("{error:?}") };
    assert_eq!(printed, &["This account is not available."]);
    assert!(why.contains("exit code 3"), "{why}");
    let error = error_of("yes", false).await;
    assert!(error.to_string().contains("1048576 bytes of other output"), "{error}");
    // The mark of another run is none.
    let error = error_of("echo mgmt far end 1 other", false).await;
    assert!(matches!(error, RemoteError::NoFarEnd { .. }), "{error:?}");
}

/// A connection that is lost before the machine answers.
struct Lost;

impl Transport for Lost {
    fn start(&self, _: Launch) -> BoxFuture<Result<Channel, RemoteError>> {
        let (stdout, stderr) = (Box::new(tokio::io::empty()), Box::new(tokio::io::empty()));
        let ended = Box::pin(async { Err("the network is gone".to_owned()) });
        Box::pin(async move { Ok(Channel { stdin: Box::new(tokio::io::sink()), stdout, stderr, ended }) })
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_before_the_machine_answers_is_lost_and_no_strange_machine() {
    let run = Host::new("there", Lost).run(&Job::own()).await.unwrap();
    let error = tokio::time::timeout(LONG, run.ended()).await.expect("it does not end").unwrap_err();
    assert_eq!(error, RemoteError::Lost { why: "the network is gone".to_owned(), printed: Vec::new() });
}

#[tokio::test]
async fn another_version_there_is_named() {
    let error = error_of("echo \"mgmt far end 2 $MGMT_FAR_END\"; sleep 1", false).await;
    assert_eq!(error, RemoteError::Version { here: 1, there: 2 });
}

#[tokio::test]
async fn garbage_huge_lines_and_unknown_messages_cost_themselves_only() {
    let script = r#"
        echo '{"m":"of a later version","v":{}}'; echo garbage; printf '\377\376\n'
        head -c 3000000 /dev/zero | tr '\0' x; echo
        echo '{"m":"event","v":{"at":1,"event":"of a later version","id":"file[x]"}}'
        echo '{"m":"event","v":{"at":2,"event":"converged"}}'
        echo '{"m":"end","v":{"code":0,"error":null,"how":"converged"}}'"#;
    let (host, arguments) = shell(script, true);
    let mut run = host.run(&Job::own().arguments(arguments)).await.unwrap();
    let (mut words, mut warnings, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(report) = run.next().await {
        match report {
            Report::Event(event) => words.push(event.kind.word()),
            Report::Warning(note) => warnings.push(note.message),
            Report::Log(line) => lines.push(line),
            _ => {}
        }
    }
    assert_eq!(words, ["unknown", "converged"]);
    assert!(warnings.len() == 1 && warnings[0].contains("3000000 bytes"), "{warnings:?}");
    assert!(lines.len() == 3 && lines.contains(&"garbage".to_owned()), "{lines:?}");
    assert_eq!(run.ended().await.unwrap().code, 0);
}

#[tokio::test]
async fn a_machine_that_is_silent_is_lost_after_ten_seconds() {
    let began = Instant::now();
    let error = error_of("sleep 60", true).await;
    assert!(matches!(&error, RemoteError::Lost { why, .. } if why.contains("10 s")), "{error:?}");
    assert!(began.elapsed() > Duration::from_secs(9), "{:?}", began.elapsed());
}

#[tokio::test]
async fn questions_to_a_silent_machine_do_not_keep_the_run_alive() {
    let (host, arguments) = shell("sleep 60", true);
    let run = host.run(&Job::own().arguments(arguments)).await.unwrap();
    let began = Instant::now();
    while tokio::time::timeout(Duration::from_secs(1), run.status()).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "it is not lost");
    }
    assert!(matches!(run.ended().await, Err(RemoteError::Lost { .. })));
}

#[tokio::test]
async fn no_file_leaves_this_machine_that_was_not_offered() {
    let here = There::new();
    std::fs::write(here.path("offered"), "offered\n").unwrap();
    let parcel = parcel(|g| _ = g.add(mgmt::prelude::File::new("/x").source(here.text("offered")))).await;
    // The SHA-256 of `offered\n`, and of the empty text, which is no content of the graph.
    let offered = {
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(b"offered\n");
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let heard = here.text("heard");
    // What was asked for twice comes once.
    let script = format!(
        r#"echo '{{"m":"want","v":["{empty}","{offered}"]}}'; echo '{{"m":"want","v":["{offered}"]}}'
           timeout 3 cat >{heard}; echo '{{"m":"end","v":{{"code":0,"error":null,"how":"stopped"}}}}'"#
    );
    let (host, arguments) = shell(&script, true);
    let run = host.run(&Job::graph(parcel).arguments(arguments)).await.unwrap();
    run.ended().await.unwrap();
    let heard = here.read("heard").unwrap();
    let parts = |id: &str| heard.lines().filter(|line| line.contains("\"part\"") && line.contains(id)).count();
    assert_eq!((parts(&offered), parts(empty)), (1, 0), "{heard}");
}

#[tokio::test]
async fn a_plan_that_is_damaged_or_missing_is_an_error() {
    let id = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let part = |bytes: u64| {
        let of = format!(r#"{{"sha256":"{id}","bytes":{bytes}}}"#);
        format!(r#"echo '{{"m":"plan","v":{{"of":{of},"data":"e30="}}}}'; sleep 5"#)
    };
    let plan = |script: String| async move {
        let (host, arguments) = shell(&script, true);
        host.plan(&Job::own().arguments(arguments)).await.unwrap_err().to_string()
    };
    assert!(plan(part(2)).await.contains("damaged"));
    assert!(plan(part(1 << 40)).await.contains("limit"));
    let end = r#"echo '{"m":"end","v":{"code":0,"error":null,"how":"planned"}}'"#.to_owned();
    assert!(plan(end).await.contains("did not arrive"));
    // A machine that must only plan can't make the near end keep anything else.
    let flood = format!(
        r#"echo '{{"m":"packed","v":{{"of":{{"sha256":"{id}","bytes":0}},"data":""}}}}'
           echo '{{"m":"cargo","v":{{"name":"x","resources":0,"carried":null}}}}'
           echo '{{"m":"end","v":{{"code":0,"error":null,"how":"planned"}}}}'"#
    );
    assert!(plan(flood).await.contains("did not arrive"));
}

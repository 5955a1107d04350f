//! Files of this machine that a graph reads, and secrets: what travels, and where it is then.

use std::os::unix::fs::PermissionsExt as _;

use mgmt::gapi::builtin_kinds;
use mgmt::prelude::*;
use mgmt::remote::{HowEnded, Job, Parcel, RemoteError, Report, StopStep};
use mgmt::runtime::EventKind;

use crate::kit::{There, files, graph, host, parcel, pid, until_event};

/// The bytes of large files, which travel in many parts.
const LARGE: usize = 3 << 20;

#[tokio::test]
async fn files_and_trees_travel_once_and_are_private_there() {
    let (here, there) = (There::new(), There::new());
    std::fs::create_dir(here.path("tree")).unwrap();
    std::fs::write(here.path("tree/a b\n"), "tree\n").unwrap();
    let large: Vec<u8> = (0..LARGE).map(|n| (n % 251) as u8).collect();
    std::fs::write(here.path("large"), &large).unwrap();
    std::fs::set_permissions(here.path("large"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let declare = |g: &mut Graph| {
        g.add(File::new(there.text("large")).source(here.text("large")));
        g.add(File::new(there.text("tree/")).source(here.text("tree/")).recurse(true));
    };
    let sent = parcel(declare).await;
    assert!(sent.bytes() > LARGE as u64);
    assert_eq!(sent.files().count(), 2);
    let job = there.job(declare).await.converged_timeout(std::time::Duration::ZERO);
    let run = host().run(&job).await.unwrap();
    assert_eq!(run.ended().await.unwrap().how, HowEnded::Converged);
    assert_eq!(std::fs::read(there.path("large")).unwrap(), large);
    assert_eq!(there.read("tree/a b\n").as_deref(), Some("tree\n"));
    let hold = there.prefix().join("cargo");
    assert_eq!(std::fs::metadata(&hold).unwrap().permissions().mode() & 0o777, 0o700);
    // What is there already is not sent again: it would be written again.
    let before = files(&hold);
    std::fs::remove_file(there.path("large")).unwrap();
    let run = host().run(&job).await.unwrap();
    assert_eq!(run.ended().await.unwrap().how, HowEnded::Converged);
    assert_eq!(files(&hold), before);
    assert_eq!(std::fs::read(there.path("large")).unwrap(), large);
    // A plan reads what is there, and keeps nothing.
    assert!(host().plan(&job).await.unwrap().plan.is_empty());
    assert_eq!(files(&hold), before);
}

#[tokio::test]
async fn a_plan_with_files_leaves_nothing_there() {
    let (here, there) = (There::new(), There::new());
    std::fs::write(here.path("source"), "content\n").unwrap();
    let declare = |g: &mut Graph| _ = g.add(File::new(there.text("file")).source(here.text("source")));
    let temp = there.path("temp");
    std::fs::create_dir(&temp).unwrap();
    let job = there.job(declare).await.variable("TMPDIR", &temp);
    let planned = host().plan(&job).await.unwrap();
    assert_eq!(planned.plan.summary.drifted, 1, "{}", planned.plan);
    assert_eq!(files(&temp), []);
    assert!(!there.prefix().exists());
}

#[tokio::test]
async fn files_of_graphs_that_are_over_are_removed() {
    let (here, there) = (There::new(), There::new());
    for name in ["one", "two", "three"] {
        std::fs::write(here.path(name), format!("{name}\n")).unwrap();
    }
    let declare = |name: &'static str| {
        let (source, file) = (here.text(name), there.text("file"));
        move |g: &mut Graph| _ = g.add(File::new(file).source(source))
    };
    let mut run = host().run(&there.job(declare("one")).await).await.unwrap();
    until_event(&mut run, |event| *event == EventKind::Converged).await;
    for name in ["two", "three"] {
        run.swap(&parcel(declare(name)).await).await.unwrap();
    }
    let hold = there.prefix().join("cargo");
    let contents = || files(&hold).into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>();
    crate::kit::wait("the file of the first graph is removed", || !contents().contains(&b"one\n".to_vec())).await;
    assert!(contents().contains(&b"two\n".to_vec()) && contents().contains(&b"three\n".to_vec()));
    run.stop(StopStep::Drain);
    run.ended().await.unwrap();
}

#[tokio::test]
async fn a_graph_that_is_made_there_names_the_files_that_have_travelled() {
    let (here, there) = (There::new(), There::new());
    std::fs::write(here.path("source"), "content\n").unwrap();
    std::fs::write(here.path("other"), "other\n").unwrap();
    let yaml = |source: &str| {
        let text = format!(
            "graph: own\nresources:\n  file:\n    - name: {}\n      source: {}\n",
            there.text("file"),
            here.text(source)
        );
        std::fs::write(here.path("graph.yaml"), text).unwrap();
    };
    yaml("source");
    let arguments =
        ["remote", "run", "there", "--yaml"].map(str::to_owned).into_iter().chain([here.text("graph.yaml")]);
    let arguments: Vec<String> = arguments.collect();
    let job = Job::own().arguments(&arguments).prefix(here.path("prefix"));
    let packed = host().pack(&job, &[]).await.unwrap();
    assert_eq!(packed.files().collect::<Vec<_>>(), [here.text("source")]);
    assert!(!here.path("prefix").exists());
    let job = || {
        let job = Job::own_with(packed.clone()).arguments(&arguments).prefix(there.prefix());
        job.converged_timeout(std::time::Duration::ZERO)
    };
    // The machine there does not have it.
    std::fs::rename(here.path("source"), here.path("moved")).unwrap();
    let run = host().run(&job()).await.unwrap();
    assert_eq!(run.ended().await.unwrap().how, HowEnded::Converged);
    assert_eq!(there.read("file").as_deref(), Some("content\n"));
    // A file that did not travel is an error, although there is one of that name.
    yaml("other");
    let run = host().run(&job()).await.unwrap();
    let Err(RemoteError::Graph(notes)) = run.ended().await else { panic!("{:?}", run.ended().await) };
    assert!(notes[0].message.contains("did not travel"), "{notes:?}");
}

#[tokio::test]
async fn a_file_that_can_not_travel_is_named_before_anything_is_sent() {
    let declared = graph(|g| _ = g.add(File::new("/x").source("/nonexistent/source")));
    let error = Parcel::of(declared, &builtin_kinds(), &[]).await.unwrap_err().to_string();
    assert!(error.contains("/nonexistent/source") && error.contains("not on this machine"), "{error}");
}

#[tokio::test]
async fn a_secret_is_in_the_channel_alone() {
    const CANARY: &str = "correct-horse-battery-staple";
    let there = There::new();
    let secret = there.path("secret");
    let declare = |g: &mut Graph| {
        let content = Secret::new(CANARY.to_owned());
        _ = g.add(File::new(secret.to_str().unwrap()).content(content).mode(0o600));
    };
    let sent = parcel(declare).await;
    assert!(!format!("{sent:?}").contains(CANARY));
    let job = there.job(declare).await;
    let mut run = host().run(&job).await.unwrap();
    let pid = pid(&mut run).await;
    for file in ["environ", "cmdline"] {
        let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(CANARY));
    }
    until_event(&mut run, |event| *event == EventKind::Converged).await;
    std::fs::write(&secret, "other").unwrap();
    until_event(&mut run, |event| matches!(event, EventKind::Applied { .. })).await;
    run.stop(StopStep::Drain);
    while let Some(report) = run.next().await {
        assert!(!format!("{report:?}").contains(CANARY));
        if let Report::Event(event) = report {
            assert!(!serde_json::to_string(&event).unwrap().contains(CANARY));
        }
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), CANARY);
    let planned = host()
        .plan(
            &there
                .job(|g| {
                    let content = Secret::new(format!("not {CANARY}"));
                    _ = g.add(File::new(secret.to_str().unwrap()).content(content).mode(0o600));
                })
                .await,
        )
        .await
        .unwrap();
    assert!(!format!("{planned:?}").contains(CANARY));
    let elsewhere = files(there.dir.path()).into_iter().filter(|(path, _)| *path != secret);
    for (path, bytes) in elsewhere {
        assert!(!String::from_utf8_lossy(&bytes).contains(CANARY), "{}", path.display());
    }
}

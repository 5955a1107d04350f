//! The control socket of an engine inside of a program: clients that keep the rules, and clients that do not.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mgmt::prelude::*;
use mgmt::runtime::control::{Ask, Client, ClientError, Reply, SOCKET};
use mgmt::{Engine, id::ResourceId};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::kit::{Run, within};

/// A client of the engine at this prefix, once that listens.
async fn listening(prefix: &Path) -> Client {
    within(async {
        loop {
            if let Ok(client) = Client::connect(prefix).await {
                return client;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
}

/// An engine with this many resources without work, and its prefix.
async fn noops(count: usize) -> (Run, tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let prefix = dir.path().join("prefix");
    let mut g = Graph::new("noops");
    for n in 0..count {
        g.add(Noop::new(format!("{n}")));
    }
    let run = Run::with(g, |builder| builder.prefix(&prefix).control(true)).await;
    within(run.engine.converged()).await.unwrap();
    listening(&prefix).await;
    (run, dir, prefix)
}

/// Sends this, and reads the next line, or nothing if the connection is closed.
async fn line(prefix: &Path, text: &[u8]) -> Option<Json> {
    let stream = UnixStream::connect(prefix.join(SOCKET)).await.unwrap();
    let mut stream = BufReader::new(stream);
    // The engine may have closed already.
    let _ = stream.get_mut().write_all(text).await;
    let mut line = String::new();
    within(stream.read_line(&mut line)).await.unwrap();
    (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
}

async fn all(client: &mut Client, ask: Ask) -> Result<Vec<Reply>, ClientError> {
    client.ask(ask).await?;
    let mut all = Vec::new();
    while let Some(reply) = within(client.next()).await? {
        all.push(reply);
    }
    Ok(all)
}

fn status() -> Ask {
    Ask::Status { names: Vec::new(), kind: None, failed: false }
}

#[tokio::test]
async fn without_the_setting_and_without_a_prefix_there_is_no_socket() {
    let dir = tempfile::tempdir().unwrap();
    let graph = || {
        let mut g = Graph::new("g");
        g.add(Noop::new("n"));
        g
    };
    let run = Run::with(graph(), |builder| builder.prefix(dir.path().join("prefix"))).await;
    within(run.engine.converged()).await.unwrap();
    let error = Client::connect(&dir.path().join("prefix")).await.unwrap_err();
    assert!(matches!(error, ClientError::NoEngine { .. }), "{error}");
    run.stop().await;
    let run = Run::with(graph(), |builder| builder.control(true)).await;
    within(run.engine.converged()).await.unwrap();
    run.stop().await;
}

#[tokio::test]
async fn a_request_that_is_wrong_is_refused_in_words_and_the_next_one_is_answered() {
    let (run, _dir, prefix) = noops(3).await;
    for (text, error) in [
        ("garbage\n", "the request is not understood: expected value at line 1 column 1"),
        ("{}\n", "a request has the version of the protocol: \"v\":1"),
        ("{\"v\":2,\"ask\":\"status\"}\n", "this engine speaks version 1 of the protocol, not 2"),
        ("{\"v\":1,\"ask\":\"dance\"}\n", "the request is not understood: unknown variant `dance`"),
        ("{\"v\":1,\"ask\":\"poke\",\"names\":[]}\n", "which resources?"),
        ("{\"v\":1,\"ask\":\"why\",\"id\":\"x\"}\n", "does not name a resource"),
    ] {
        let reply = line(&prefix, text.as_bytes()).await.unwrap();
        assert_eq!((&reply["v"], &reply["reply"]), (&json!(1), &json!("refused")), "{text}");
        assert!(reply["error"].as_str().unwrap().contains(error), "{text}: {reply}");
    }
    let reply = line(&prefix, &[b'x'; 100_000]).await.unwrap();
    assert!(reply["error"].as_str().unwrap().contains("more than 65536 bytes"), "{reply}");
    assert!(line(&prefix, b"\xff\xfe\n").await.unwrap()["error"].as_str().unwrap().contains("UTF-8"));
    let mut client = Client::connect(&prefix).await.unwrap();
    let unknown = all(&mut client, Ask::Why { id: ResourceId::new("noop", "nine") }).await.unwrap_err();
    assert!(matches!(unknown, ClientError::Refused(_)), "{unknown}");
    let replies = all(&mut client, status()).await.unwrap();
    assert!(matches!(&replies[0], Reply::Engine(engine) if engine.resources == 3), "{replies:?}");
    assert!(matches!(&replies[4], Reply::Done { count: 3, paused: false }), "{replies:?}");
    run.stop().await;
    assert!(!prefix.join(SOCKET).exists());
}

#[tokio::test]
async fn clients_beyond_the_bound_are_refused_until_one_has_gone() {
    let (run, _dir, prefix) = noops(1).await;
    let mut held = Vec::new();
    for _ in 0..32 {
        let mut client = Client::connect(&prefix).await.unwrap();
        all(&mut client, status()).await.unwrap();
        held.push(client);
    }
    let mut one_more = Client::connect(&prefix).await.unwrap();
    let refused = all(&mut one_more, status()).await.unwrap_err();
    assert!(refused.to_string().contains("32 clients are served already"), "{refused}");
    held.pop();
    within(async {
        loop {
            let mut client = Client::connect(&prefix).await.unwrap();
            if all(&mut client, status()).await.is_ok() {
                return;
            }
        }
    })
    .await;
    // Clients that are connected do not keep the engine from ending.
    let began = Instant::now();
    run.stop().await;
    assert!(began.elapsed() < Duration::from_secs(30));
}

/// Checks all of 256 resources this often.
async fn poke(client: &mut Client, times: usize) -> Duration {
    let began = Instant::now();
    for _ in 0..times {
        let done = all(client, Ask::Poke { names: vec!["*".into()] }).await.unwrap();
        assert!(matches!(done[..], [Reply::Done { count: 256, .. }]), "{done:?}");
    }
    began.elapsed()
}

#[tokio::test]
async fn a_client_that_does_not_read_misses_events_and_delays_nothing() {
    let (run, _dir, prefix) = noops(256).await;
    let Run { engine, events } = run;
    drop(events);
    let mut client = Client::connect(&prefix).await.unwrap();
    let alone = poke(&mut client, 100).await;
    let mut deaf = UnixStream::connect(prefix.join(SOCKET)).await.unwrap();
    deaf.write_all(b"{\"v\":1,\"ask\":\"events\",\"follow\":true,\"last\":0}\n").await.unwrap();
    let mut first = [0; 1];
    within(deaf.read_exact(&mut first)).await.unwrap();
    // 51,200 checks and as many events before each: more than are kept for a reader.
    let with = poke(&mut client, 200).await;
    println!("100 rounds alone: {alone:?}; 200 rounds with a client that does not read: {with:?}");
    within(engine.converged()).await.unwrap();
    let mut lines = BufReader::new(deaf).lines();
    within(lines.next_line()).await.unwrap().unwrap();
    let missed = within(async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the engine runs");
            let reply: Json = serde_json::from_str(&line).unwrap();
            if reply["reply"] == "missed" {
                return reply["events"].as_u64().unwrap();
            }
        }
    })
    .await;
    assert!(missed > 10_000, "{missed}");
    // What follows is complete again.
    let line = within(lines.next_line()).await.unwrap().unwrap();
    assert_eq!(serde_json::from_str::<Json>(&line).unwrap()["reply"], "event");
    within(engine.stop()).await.unwrap();
}

#[tokio::test]
async fn a_large_graph_is_reported_in_slices_in_its_order() {
    let (run, _dir, prefix) = noops(3000).await;
    let mut client = Client::connect(&prefix).await.unwrap();
    let replies = all(&mut client, status()).await.unwrap();
    let names: Vec<_> = replies
        .iter()
        .filter_map(|reply| match reply {
            Reply::Resource(resource) => Some(resource.id.name.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(names, (0..3000).map(|n| n.to_string()).collect::<Vec<_>>());
    run.stop().await;
}

#[tokio::test]
async fn a_socket_that_is_deleted_is_made_again_and_the_prefix_too() {
    let (run, _dir, prefix) = noops(1).await;
    for gone in [prefix.join(SOCKET), prefix.clone()] {
        let _ = (std::fs::remove_file(&gone), std::fs::remove_dir_all(&gone));
        within(async {
            loop {
                if let Ok(mut client) = Client::connect(&prefix).await
                    && all(&mut client, status()).await.is_ok()
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }
    run.stop().await;
}

#[tokio::test]
async fn no_resource_may_own_the_socket_and_a_graph_may_have_files_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let prefix = dir.path().join("prefix");
    let graph = |name: &str| {
        let mut g = Graph::new("g");
        g.add(File::new(prefix.join(name).to_str().unwrap()).content("mine"));
        g
    };
    let builder = Engine::builder().graph(graph(SOCKET).finish().unwrap()).prefix(&prefix).control(true);
    let error = builder.start().await.unwrap_err();
    assert!(error.to_string().contains("owns"), "{error}");
    let run = Run::with(graph("control.conf"), |builder| builder.prefix(&prefix).control(true)).await;
    within(run.engine.converged()).await.unwrap();
    let replies = all(&mut listening(&prefix).await, status()).await.unwrap();
    // It may be looked at once more, because of the event of its own repair.
    let is_whole =
        matches!(&replies[0], Reply::Engine(engine) if engine.converged && engine.settled + engine.running == 1);
    assert!(is_whole, "{replies:?}");
    assert_eq!(std::fs::read_to_string(prefix.join("control.conf")).unwrap(), "mine");
    run.stop().await;
}

async fn names(client: &mut Client, names: &[&str], kind: Option<&str>) -> Result<String, String> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let ask = Ask::Names { names, kind: kind.map(str::to_owned) };
    let replies = all(client, ask).await.map_err(|error| error.to_string())?;
    let named = replies.into_iter().filter_map(|reply| match reply {
        Reply::Name { id } => Some(id.name),
        _ => None,
    });
    Ok(named.collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn names_select_what_they_fit_in_the_order_of_the_graph_and_an_equal_name_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut g = Graph::new("g");
    for name in ["a", "ab", "b*", "bc", "http://x"] {
        g.add(Noop::new(name));
    }
    let run = Run::with(g, |builder| builder.prefix(dir.path().join("prefix")).control(true)).await;
    let mut client = listening(&dir.path().join("prefix")).await;
    for (given, kind, selected) in [
        (&[][..], None, Ok("a ab b* bc http://x")),
        (&["noop[a*]"], None, Ok("a ab")),
        (&["Noop[b*]"], None, Ok("b*")),
        (&["?b", "a"], None, Ok("a ab")),
        (&["*[*x]"], Some("noop"), Ok("http://x")),
        (&["noop[abb]"], None, Err("the graph has no resource `noop[abb]`; did you mean `noop[ab]`?")),
        (&["http://y"], None, Err("the graph has no resource `http://y`; did you mean `http://x`?")),
        (&["far away"], None, Err("the graph has no resource `far away`")),
        (&[], Some("nop"), Err("the graph has no resource of the kind `nop`; did you mean `noop`?")),
    ] {
        let found = names(&mut client, given, kind).await;
        assert_eq!(found, selected.map(str::to_owned).map_err(str::to_owned), "{given:?}");
    }
    run.stop().await;
}

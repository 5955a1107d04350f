//! What it costs that clients can ask an engine, and that one asks which does not read.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::runtime::control::{Ask, Client, Reply, SOCKET};

use crate::kit::{median, row, scratch};

fn independent(count: usize) -> mgmt::graph::GraphConfig {
    let mut g = Graph::new("noops");
    for n in 0..count {
        g.add(Noop::new(format!("noop{n}")));
    }
    g.finish().expect("the graph is right")
}

/// From a graph in hand to converged, without and with a control socket.
pub(crate) async fn start() {
    const COUNT: usize = 1_000_000;
    let (_dir, dir) = scratch();
    let mut times = [Vec::new(), Vec::new()];
    for n in 0..14 {
        let (is_on, config) = (n % 2 == 1, independent(COUNT));
        let begun = Instant::now();
        let engine = Engine::builder().graph(config).prefix(dir.join("prefix")).control(is_on).start().await;
        let engine = engine.expect("it starts");
        engine.converged().await.expect("it converges");
        times[usize::from(is_on)].push(begun.elapsed());
        engine.stop().await.expect("it stops");
    }
    let [off, on] = times.map(|times| median(times).0);
    row("asked 1000000 noops, nobody asks", &format!("{on:.1?}"), &format!("{off:.1?} without a control socket"));
}

pub(crate) async fn poke(client: &mut Client, times: usize) -> Duration {
    let begun = Instant::now();
    for _ in 0..times {
        client.ask(Ask::Poke { names: vec!["*".to_owned()] }).await.expect("it is asked");
        while client.next().await.expect("it answers").is_some() {}
    }
    begun.elapsed()
}

/// Checks of 256 resources, again and again: alone, with a client that reads, and with one that does not.
pub(crate) async fn readers() {
    const ROUNDS: usize = 300;
    let (_dir, dir) = scratch();
    let prefix = dir.join("prefix");
    let engine = Engine::builder().graph(independent(256)).prefix(&prefix).control(true).start().await;
    let engine = engine.expect("it starts");
    engine.converged().await.expect("it converges");
    while !prefix.join(SOCKET).exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut client = Client::connect(&prefix).await.expect("it listens");
    poke(&mut client, ROUNDS).await;
    let each = |took: Duration| format!("{:.0} ns", took.as_nanos() as f64 / (ROUNDS * 256) as f64);
    let alone = poke(&mut client, ROUNDS).await;
    let deaf = follow(&prefix);
    let beside_deaf = poke(&mut client, ROUNDS).await;
    drop(deaf);
    let mut reader = Client::connect(&prefix).await.expect("it listens");
    let reads = tokio::spawn(async move {
        let events = Ask::Events { names: Vec::new(), kind: None, last: Some(0), follow: true };
        reader.ask(events).await.expect("it is asked");
        let mut missed = 0;
        while let Ok(Some(reply)) = reader.next().await {
            if let Reply::Missed { events } = reply {
                missed += events;
            }
        }
        missed
    });
    let beside_reader = poke(&mut client, ROUNDS).await;
    engine.stop().await.expect("it stops");
    let missed = reads.await.expect("it ends");
    let more = format!("alone {}, beside one that reads {} (it misses {missed})", each(alone), each(beside_reader));
    row("asked a check beside a client that is deaf", &each(beside_deaf), &more);
}

/// A client that follows events and reads none.
fn follow(prefix: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(prefix.join(SOCKET)).expect("it listens");
    stream.write_all(b"{\"v\":1,\"ask\":\"events\",\"follow\":true,\"last\":0}\n").expect("it takes it");
    stream.read_exact(&mut [0]).expect("it answers");
    stream
}

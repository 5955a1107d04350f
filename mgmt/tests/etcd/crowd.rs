//! Very many hosts in one process on one etcd, and what they ask of it. The benchmark of the engine uses it too.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::runtime::Doors;
use mgmt::world::Etcd;
use tokio::sync::mpsc;

use crate::server::Server;

/// How many exports each host has.
pub(crate) const EXPORTS: usize = 10;
/// What the first host exports to all.
const NEWS: &str = "news";

/// A number that a host keeps in its memory, so that applying it costs nothing but the engine.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "mark", unwatched, provided = Board)]
pub(crate) struct Mark {
    /// Its name.
    #[resource(name)]
    name: String,
    /// The number.
    value: u64,
}

/// The numbers of a host.
pub(crate) struct Board {
    host: usize,
    values: Mutex<BTreeMap<String, u64>>,
    applied: mpsc::UnboundedSender<Applied>,
}

/// A host has applied a mark.
#[derive(Debug)]
struct Applied {
    host: usize,
    name: String,
    value: u64,
    at: Instant,
}

impl Converge for Mark {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let found = cx.provided::<Board>()?.values.lock().unwrap().get(&self.name).copied();
        Ok((found != Some(self.value)).then(|| Change::new("value", format!("{found:?}"), self.value.to_string())))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        let board = cx.provided::<Board>()?;
        board.values.lock().unwrap().insert(self.name.clone(), self.value);
        let applied = Applied { host: board.host, name: self.name.clone(), value: self.value, at: Instant::now() };
        // An error means that the test has ended.
        let _ = board.applied.send(applied);
        Ok(())
    }
}

fn name(host: usize) -> String {
    format!("host{host:05}")
}

/// The graph of a host: each exports a few marks, each to one of those that come after it, and the first one something
/// to all.
fn declared(host: usize, count: usize, news: u64) -> GraphConfig {
    let mut g = Graph::new("crowd");
    for n in 0..EXPORTS {
        let to = (host + 1 + n) % count;
        g.export(Mark::new(format!("of {host}, {n}"), n as u64)).to([name(to)]);
    }
    if host == 0 {
        g.export(Mark::new(NEWS, news));
    }
    g.collect::<Mark>();
    g.finish().unwrap()
}

/// What the hosts of a crowd have in common.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) count: usize,
    /// Each host has a connection of its own, as on a machine of its own.
    pub(crate) apart: bool,
    /// How long a host counts as alive. It writes to etcd three times in this time.
    pub(crate) alive_ttl: Duration,
}

/// Hosts that have converged.
pub(crate) struct Crowd {
    terms: Terms,
    engines: Vec<Engine>,
    sender: mpsc::UnboundedSender<Applied>,
    applied: mpsc::UnboundedReceiver<Applied>,
    doors: Doors,
    news: u64,
}

impl Crowd {
    /// Starts all hosts at once. Returns when each has what it collects, and has converged.
    pub(crate) async fn start(server: &Server, terms: Terms) -> Crowd {
        let (sender, applied) = mpsc::unbounded_channel();
        let mut crowd = Crowd { terms, engines: Vec::new(), sender, applied, doors: Doors::default(), news: 0 };
        crowd.start_all(server).await;
        crowd
    }

    async fn start_all(&mut self, server: &Server) {
        let (shared, count) = (server.world(), self.terms.count);
        self.news += 1;
        let mut starts = Vec::new();
        for host in 0..count {
            let board = Board { host, values: Mutex::default(), applied: self.sender.clone() };
            let world: Etcd = if self.terms.apart { server.world() } else { shared.clone() };
            let engine = Engine::builder().world(world).hostname(name(host)).alive_ttl(self.terms.alive_ttl);
            let engine = engine.doors(self.doors.clone()).graph(declared(host, count, self.news)).provide(board);
            starts.push(tokio::spawn(async move {
                let engine = engine.start().await.unwrap();
                engine.converged().await.unwrap();
                engine
            }));
        }
        for start in starts {
            self.engines.push(start.await.unwrap());
        }
        let mut missing: BTreeSet<(usize, String)> = (0..count)
            .flat_map(|host| (0..EXPORTS).map(move |n| ((host + 1 + n) % count, format!("of {host}, {n}"))))
            .chain((0..count).map(|host| (host, NEWS.to_owned())))
            .collect();
        while !missing.is_empty() {
            let applied = tokio::time::timeout(Duration::from_secs(60), self.applied.recv()).await;
            let Applied { host, name, .. } = applied.expect("each host collects in time").expect("it is open");
            missing.remove(&(host, name));
        }
        for engine in &self.engines {
            engine.converged().await.unwrap();
        }
    }

    /// The first host exports something else. Returns how long it took until each host had applied it.
    pub(crate) async fn change(&mut self) -> Vec<Duration> {
        self.news += 1;
        let graph = declared(0, self.terms.count, self.news);
        let (began, mut times) = (Instant::now(), BTreeMap::new());
        self.engines[0].swap(graph).await.unwrap();
        while times.len() < self.terms.count {
            let applied = tokio::time::timeout(Duration::from_secs(60), self.applied.recv()).await;
            let applied = applied.expect("each host applies it in time").expect("it is open");
            if applied.name == NEWS && applied.value == self.news {
                times.insert(applied.host, applied.at - began);
            }
        }
        times.into_values().collect()
    }

    /// All hosts end at once, and start again at once.
    pub(crate) async fn restart(&mut self, server: &Server) {
        self.end().await;
        self.start_all(server).await;
    }

    async fn end(&mut self) {
        let ends: Vec<_> =
            self.engines.drain(..).map(|engine| tokio::spawn(async move { engine.stop().await })).collect();
        for end in ends {
            end.await.unwrap().unwrap();
        }
    }

    pub(crate) async fn stop(mut self) {
        self.end().await;
        self.doors.close().await;
    }
}

/// The counters of an etcd.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(BTreeMap<String, f64>);

impl Counters {
    /// Asks an etcd without certificates.
    pub(crate) fn of(server: &Server) -> Counters {
        let url = server.url();
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let counter = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Counters(lines.filter_map(counter).collect())
    }

    /// All counters with this name, whatever their labels are.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        let of = self.0.iter().filter(|(key, _)| key.split('{').next() == Some(name));
        of.map(|(_, value)| *value as u64).sum()
    }

    /// The only counter with this name.
    pub(crate) fn value(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// What was asked since then, by method; a message of a stream is one.
    pub(crate) fn requests_since(&self, before: &Counters) -> BTreeMap<String, u64> {
        self.by_method("grpc_server_msg_received_total", before)
    }

    /// The streams that were opened since then, by method.
    pub(crate) fn streams_since(&self, before: &Counters) -> BTreeMap<String, u64> {
        let mut all = self.by_method("grpc_server_started_total", before);
        all.retain(|method, _| ["Watch", "LeaseKeepAlive"].contains(&method.as_str()));
        all
    }

    fn by_method(&self, counter: &str, before: &Counters) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for (key, value) in self.0.iter().filter(|(key, _)| key.split('{').next() == Some(counter)) {
            let more = value - before.0.get(key).copied().unwrap_or_default();
            let method = key.split("grpc_method=\"").nth(1).and_then(|rest| rest.split('"').next());
            if let Some(method) = method.filter(|_| more > 0.0) {
                *all.entry(method.to_owned()).or_default() += more as u64;
            }
        }
        all
    }

    pub(crate) fn requests(&self, before: &Counters) -> u64 {
        self.requests_since(before).values().sum()
    }
}

/// Waits until nothing has been asked for a second.
pub(crate) async fn calm(server: &Server) -> Counters {
    let mut last = Counters::of(server);
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = Counters::of(server);
        if now.requests(&last) == 0 {
            return now;
        }
        last = now;
    }
}

/// How many requests etcd gets in each tenth of a second, while that future runs.
pub(crate) async fn load<T>(server: Arc<Server>, work: impl Future<Output = T>) -> (T, Vec<u64>) {
    let (mut counts, mut last) = (Vec::new(), Counters::of(&server));
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return (done, counts),
            _ = ticks.tick() => {
                let server = Arc::clone(&server);
                let now = tokio::task::spawn_blocking(move || Counters::of(&server)).await.unwrap();
                counts.push(now.requests(&last));
                last = now;
            }
        }
    }
}

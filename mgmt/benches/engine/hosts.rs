//! Very many hosts in one process on one real etcd with its default limits: how soon a change of one is applied by all,
//! what each asks of etcd, how much memory it takes, and what happens if all restart at once. The process has two
//! threads for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::crowd::{Counters, Crowd, EXPORTS, Terms, calm, load};
use crate::kit::{again, median, row, status_kib};
use crate::server::Server;

/// How often the export changes.
const CHANGES: u32 = 20;
/// How long nothing happens, to see what that costs.
const IDLE: Duration = Duration::from_secs(15);
const MIB: f64 = (1 << 20) as f64;

/// In a process of its own, so that its memory is that of the hosts.
pub(crate) fn hosts(count: usize, apart: bool) {
    let apart = if apart { "apart" } else { "together" };
    let status = again().args(["child", "hosts", &count.to_string(), apart]).status().expect("it runs");
    assert!(status.success(), "the hosts have failed");
}

struct Rows {
    name: String,
    count: f64,
}

impl Rows {
    fn row(&self, what: &str, figure: &str, more: &str) {
        row(&format!("{}: {what}", self.name), figure, more);
    }

    /// Requests for each host, by method.
    fn each(&self, requests: &BTreeMap<String, u64>) -> (String, String) {
        let all: u64 = requests.values().sum();
        let of = |(method, count): (&String, &u64)| format!("{method} {:.3}", *count as f64 / self.count);
        (format!("{:.2}", all as f64 / self.count), requests.iter().map(of).collect::<Vec<_>>().join(", "))
    }
}

pub(crate) async fn as_child(count: usize, apart: bool) {
    let words = if apart { ", each with its own connection" } else { "" };
    let rows = Rows { name: format!("hosts {count}{words}"), count: count as f64 };
    let server = Arc::new(Server::start());
    let terms = Terms { count, apart, alive_ttl: Duration::from_secs(15) };
    let (before, memory) = (Counters::of(&server), status_kib("VmRSS"));
    let began = Instant::now();
    let (mut crowd, counts) = load(Arc::clone(&server), Crowd::start(&server, terms)).await;
    let took = began.elapsed();
    let now = Counters::of(&server);
    let (each, methods) = rows.each(&now.requests_since(&before));
    let most = counts.iter().max().copied().unwrap_or_default();
    rows.row("start with 10 exports each", &format!("{took:.2?}"), &format!("at most {most} requests in 0.1 s"));
    rows.row("requests of a start, each", &each, &methods);
    let grown = status_kib("VmRSS").saturating_sub(memory);
    rows.row("memory, each", &format!("{} KiB", grown / count as u64), &etcd(&now));
    changes(&rows, &server, &mut crowd).await;
    idle(&rows, &server).await;
    let before = Counters::of(&server);
    let began = Instant::now();
    let ((), counts) = load(Arc::clone(&server), crowd.restart(&server)).await;
    let took = began.elapsed();
    let most = counts.iter().max().copied().unwrap_or_default();
    let (each, _) = rows.each(&Counters::of(&server).requests_since(&before));
    let more = format!("{each} requests each, at most {most} in 0.1 s");
    rows.row("all restart at once", &format!("{took:.2?}"), &more);
    crowd.stop().await;
}

fn etcd(now: &Counters) -> String {
    let memory = now.sum("process_resident_memory_bytes") as f64 / MIB;
    let (watches, streams) =
        (now.sum("etcd_debugging_mvcc_watcher_total"), now.sum("etcd_debugging_mvcc_watch_stream_total"));
    format!("etcd has {memory:.0} MiB, {watches} watches in {streams} streams")
}

async fn changes(rows: &Rows, server: &Server, crowd: &mut Crowd) {
    calm_or_not(server).await;
    let (mut times, mut last) = (Vec::new(), Vec::new());
    let before = Counters::of(server);
    for _ in 0..CHANGES {
        let all = crowd.change().await;
        last.extend(all.iter().max().copied());
        times.extend(all);
        // What follows a change must not delay the next.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let now = Counters::of(server);
    let ((p50, p99), (last, _)) = (median(times), median(last));
    let show = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1e3);
    rows.row("a change to applied, p50", &show(p50), &format!("{CHANGES} changes of {EXPORTS}+1 exports"));
    rows.row("a change to applied, p99", &show(p99), &format!("the last host, median: {}", show(last)));
    let per = |all: BTreeMap<String, u64>| {
        all.into_iter().map(|(method, count)| (method, count / u64::from(CHANGES))).collect::<BTreeMap<_, _>>()
    };
    let (each, methods) = rows.each(&per(now.requests_since(&before)));
    rows.row("requests of a change, each", &each, &format!("with renewals in 2 s: {methods}"));
    let sent = (now.sum("etcd_network_client_grpc_sent_bytes_total")
        - before.sum("etcd_network_client_grpc_sent_bytes_total")) as f64;
    rows.row("bytes of a change, each", &format!("{:.0}", sent / f64::from(CHANGES) / rows.count), "sent by etcd");
}

/// Until nothing has been asked for a second, or five seconds: hosts renew their leases all the time.
async fn calm_or_not(server: &Server) {
    let _ = tokio::time::timeout(Duration::from_secs(5), calm(server)).await;
}

async fn idle(rows: &Rows, server: &Server) {
    calm_or_not(server).await;
    let before = Counters::of(server);
    tokio::time::sleep(IDLE).await;
    let now = Counters::of(server);
    let per_second: BTreeMap<String, f64> = now
        .requests_since(&before)
        .into_iter()
        .map(|(method, count)| (method, count as f64 / IDLE.as_secs_f64() / rows.count))
        .collect();
    let methods: Vec<_> = per_second.iter().map(|(method, count)| format!("{method} {count:.3}")).collect();
    let all: f64 = per_second.values().sum();
    let cpu = now.value("process_cpu_seconds_total") - before.value("process_cpu_seconds_total");
    let more = format!("{}; etcd uses {:.1} % of a core", methods.join(", "), cpu / IDLE.as_secs_f64() * 100.0);
    rows.row("requests a second, each, idle", &format!("{all:.3}"), &more);
}

//! Figures for Prometheus: counted from the engine's events, served as text at one address.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::runtime::{Engine, EventKind};

/// Longer requests are not answered.
const REQUEST_MAX: usize = 8 << 10;
/// Whoever is slower is not answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was counted.
#[derive(Debug, Default)]
struct Figures {
    checks: BTreeMap<(String, &'static str), u64>,
    applies: BTreeMap<(String, &'static str), (u64, f64)>,
    failures: BTreeMap<(String, &'static str), u64>,
    swaps: u64,
    rejected: u64,
}

impl Figures {
    fn count(&mut self, event: &EventKind) {
        match event {
            EventKind::Swapped { .. } => return self.swaps += 1,
            EventKind::Rejected { .. } => return self.rejected += 1,
            _ => {}
        }
        let Some(kind) = event.id().map(|id| id.kind.as_str().to_owned()) else { return };
        match event {
            EventKind::InSync { .. } => *self.checks.entry((kind, "in_sync")).or_default() += 1,
            EventKind::Drifted { .. } => *self.checks.entry((kind, "drifted")).or_default() += 1,
            EventKind::Applied { changed, took, .. } => {
                self.add(kind, if *changed { "changed" } else { "unchanged" }, *took);
            }
            EventKind::Refreshed { took, .. } => self.add(kind, "refreshed", *took),
            EventKind::Failed { watch, .. } => {
                *self.failures.entry((kind, if *watch { "watch" } else { "resource" })).or_default() += 1;
            }
            _ => {}
        }
    }

    fn add(&mut self, kind: String, outcome: &'static str, took: Duration) {
        let (count, seconds) = self.applies.entry((kind, outcome)).or_default();
        *count += 1;
        *seconds += took.as_secs_f64();
    }
}

/// Serves the figures of this engine until it ends.
pub(crate) async fn serve(address: SocketAddr, engine: &Engine) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(target: "mgmt", "figures at http://{}/metrics", listener.local_addr()?);
    let figures = Arc::new(Mutex::new(Figures::default()));
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let (mut events, counted) = (engine.events(), Arc::clone(&figures));
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            counted.lock().unwrap_or_else(PoisonError::into_inner).count(&event.kind);
        }
    });
    let engine = engine.clone();
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = engine.ended() => return,
            };
            // Out of descriptors, most likely: others need them too.
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (engine, figures) = (engine.clone(), Arc::clone(&figures));
            tokio::spawn(async move {
                // Whoever goes away has no use for an answer.
                let _ = tokio::time::timeout(PATIENCE, answer(stream, &engine, &figures, began)).await;
            });
        }
    });
    Ok(())
}

async fn answer(mut stream: TcpStream, engine: &Engine, figures: &Mutex<Figures>, began: f64) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 || request.len() > REQUEST_MAX {
            return Ok(());
        }
    }
    let found = request.starts_with(b"GET /metrics ") || request.starts_with(b"GET / ");
    let (status, body) = if found {
        ("200 OK", text(engine, figures, began).await)
    } else {
        ("404 Not Found", "see /metrics\n".to_owned())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

async fn text(engine: &Engine, figures: &Mutex<Figures>, began: f64) -> String {
    let status = engine.status().await.ok();
    let mut page = Page::default();
    page.metric("mgmt_start_time_seconds", "gauge", "When it started, since 1970.");
    page.value("", began);
    if let Some(status) = status {
        let of = |page: &mut Page, name, what, value: f64| {
            page.metric(name, "gauge", what);
            page.value("", value);
        };
        of(&mut page, "mgmt_resources", "Resources of the graph.", status.resources as f64);
        of(&mut page, "mgmt_resources_settled", "Resources with nothing to do.", status.settled as f64);
        of(&mut page, "mgmt_resources_failed", "Resources that have failed for good.", status.failed as f64);
        of(&mut page, "mgmt_refreshes_owed", "Refreshes that are owed.", status.owed.len() as f64);
        of(
            &mut page,
            "mgmt_converged",
            "1 if all have been settled for the converged timeout.",
            f64::from(u8::from(status.converged)),
        );
        of(&mut page, "mgmt_graph_generation", "Which graph is in force.", status.generation.0 as f64);
    }
    let figures = figures.lock().unwrap_or_else(PoisonError::into_inner);
    page.metric("mgmt_checks_total", "counter", "Checks, by kind and outcome.");
    for ((kind, outcome), count) in &figures.checks {
        page.value(&labels(kind, "outcome", outcome), *count as f64);
    }
    page.metric("mgmt_applies_total", "counter", "Applies and refreshes, by kind and outcome.");
    for ((kind, outcome), (count, _)) in &figures.applies {
        page.value(&labels(kind, "outcome", outcome), *count as f64);
    }
    page.metric(
        "mgmt_apply_seconds_total",
        "counter",
        "How long they took in all, with the checks that found the drift.",
    );
    for ((kind, outcome), (_, seconds)) in &figures.applies {
        page.value(&labels(kind, "outcome", outcome), *seconds);
    }
    page.metric("mgmt_failures_total", "counter", "Failures, by kind and what failed.");
    for ((kind, what), count) in &figures.failures {
        page.value(&labels(kind, "what", what), *count as f64);
    }
    page.metric("mgmt_graphs_total", "counter", "Graphs that were put in force, and those that were refused.");
    page.value("{outcome=\"accepted\"}", figures.swaps as f64);
    page.value("{outcome=\"refused\"}", figures.rejected as f64);
    page.text
}

fn labels(kind: &str, label: &str, value: &str) -> String {
    format!("{{kind=\"{kind}\",{label}=\"{value}\"}}")
}

/// Text in Prometheus' form.
#[derive(Default)]
struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    fn metric(&mut self, name: &'static str, sort: &str, help: &str) {
        self.name = name;
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {sort}");
    }

    fn value(&mut self, labels: &str, value: f64) {
        let _ = writeln!(self.text, "{}{labels} {value}", self.name);
    }
}

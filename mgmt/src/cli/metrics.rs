//! Metrics for Prometheus: the engine's measurements, served as text at one address.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;

use crate::runtime::{DURATION_CLASSES, Engine, Measure, Measures};
use crate::sys::listen::{self, Activity, Answers, Bounds};

/// Only a few programs ask, each of them rarely, so few connections are enough.
const BOUNDS: Bounds = Bounds { connections: 32, of_peer: 16, keep_alive: false };
/// A connection without progress for this long is closed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Binds the address.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(target: "mgmt", "metrics at http://{}/metrics", listener.local_addr()?);
    Ok(listener)
}

/// Serves the metrics of this engine until the engine ends.
pub(crate) fn serve(listener: TcpListener, engine: &Engine) {
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let engine = engine.clone();
    let figures = Arc::new(Figures { engine: engine.clone(), began });
    tokio::spawn(async move {
        tokio::select! {
            () = listen::serve(listener, BOUNDS, figures) => {}
            _ = engine.ended() => {}
        }
    });
}

/// Answers requests with the metrics of one engine.
struct Figures {
    engine: Engine,
    began: f64,
}

impl Answers for Figures {
    type Body = Full<Bytes>;

    async fn answer(&self, request: Request<Incoming>, _: Arc<Activity>) -> Response<Full<Bytes>> {
        match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/metrics" | "/") => {
                page(StatusCode::OK, text(&self.engine, self.began).await)
            }
            (&Method::GET | &Method::HEAD, _) => page(StatusCode::NOT_FOUND, "see /metrics\n".to_owned()),
            _ => page(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
        }
    }

    fn refuse(&self) -> Response<Full<Bytes>> {
        page(StatusCode::BAD_REQUEST, "a request names one Host\n".to_owned())
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}

fn page(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut page = Response::new(Full::new(Bytes::from(text)));
    *page.status_mut() = status;
    let form = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    page.headers_mut().insert(CONTENT_TYPE, form);
    page
}

async fn text(engine: &Engine, began: f64) -> String {
    let (status, measures) = (engine.status().await.ok(), engine.measures().await.ok());
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
        of(&mut page, "mgmt_alerts", "Resources whose drift is an alert, now.", status.alerts as f64);
        of(
            &mut page,
            "mgmt_converged",
            "1 if all have been settled for the converged timeout.",
            f64::from(u8::from(status.converged)),
        );
        of(&mut page, "mgmt_graph_generation", "Which graph is in force.", status.generation.0 as f64);
    }
    if let Some(measures) = measures {
        measured(&mut page, &measures);
    }
    page.text
}

fn measured(page: &mut Page, measures: &Measures) {
    page.metric("mgmt_watches", "gauge", "Resources that are watched.");
    page.value("", measures.watches as f64);
    page.metric("mgmt_refreshes_owed", "gauge", "Refreshes that are owed.");
    page.value("", measures.owed as f64);
    page.metric("mgmt_graphs_total", "counter", "Graphs that were put in force, and those that were refused.");
    page.value(&labels(&[("outcome", "accepted")]), measures.graphs as f64);
    page.value(&labels(&[("outcome", "refused")]), measures.rejected as f64);
    page.metric("mgmt_failures_total", "counter", "Failures of checks, applies, refreshes and watches, by kind.");
    for measure in measures.operations.iter().filter(|measure| measure.outcome == "failed") {
        page.value(&labels(&[("kind", measure.kind), ("operation", measure.operation)]), measure.count as f64);
    }
    for (kind, count) in &measures.watch_failures {
        page.value(&labels(&[("kind", kind), ("operation", "watch")]), *count as f64);
    }
    for (operation, name, help) in [
        ("check", "mgmt_check_seconds", "Checks, by kind and outcome, and how long they took."),
        ("apply", "mgmt_apply_seconds", "Applies, by kind and outcome, and how long they took."),
        ("refresh", "mgmt_refresh_seconds", "Refreshes, by kind and outcome, and how long they took."),
    ] {
        page.metric(name, "histogram", help);
        for measure in measures.operations.iter().filter(|measure| measure.operation == operation) {
            page.histogram(measure);
        }
    }
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

/// A page in the text format of Prometheus.
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

    fn histogram(&mut self, measure: &Measure) {
        let (name, sum) = (self.name, measure.took.as_secs_f64());
        let of = |end: Option<&str>| {
            let own = [("kind", measure.kind), ("outcome", measure.outcome)];
            labels(&own.into_iter().chain(end.map(|end| ("le", end))).collect::<Vec<_>>())
        };
        let mut count = 0;
        for (end, more) in DURATION_CLASSES.iter().zip(&measure.classes) {
            count += more;
            let _ = writeln!(self.text, "{name}_bucket{} {count}", of(Some(&end.as_secs_f64().to_string())));
        }
        let _ = writeln!(self.text, "{name}_bucket{} {}", of(Some("+Inf")), measure.count);
        let _ = writeln!(self.text, "{name}_sum{} {sum}\n{name}_count{} {}", of(None), of(None), measure.count);
    }
}

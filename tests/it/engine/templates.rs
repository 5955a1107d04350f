//! A text that a template makes of several values, a secret among them, over restarts and losses.

use std::fs;
use std::path::{Path, PathBuf};

use mgmt::prelude::*;

use crate::kit::Run;

/// A password and a name, made a line of a file by a resource and by a wire.
fn graph(dir: &Path, template: &str) -> Graph {
    let mut g = Graph::new("templates");
    let password = g.add(Password::new("p").length(20usize));
    let name = g.add(Exec::new("name").cmd("echo web"));
    let values = || Named::new().and("name", name.stdout()).and_secret("p", password.password());
    let line = g.add(Value::new("line").template(template).values(values()));
    let file = |name: &str| dir.join(name).display().to_string();
    g.add(File::new(file("resource")).content(line.secret()));
    g.add(File::new(file("wire")).content(values().template(template)));
    g
}

async fn once(dir: &Path, template: &str) -> Vec<String> {
    let prefix: PathBuf = dir.join("prefix");
    let mut run = Run::with(graph(dir, template), |builder| builder.prefix(prefix)).await;
    let events = run.converged().await;
    run.stop().await;
    events
}

const TEMPLATE: &str = "{{ name | trim }}:{{ p }}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_made_once_and_a_restart_makes_no_new_password() {
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    once(dir.path(), TEMPLATE).await;
    let made = read("resource");
    assert!(made.starts_with("web:") && made.len() == "web:\n".len() + 20, "{made}");
    assert_eq!(read("wire"), made);
    for _ in 0..2 {
        let events = once(dir.path(), TEMPLATE).await;
        let drifted: Vec<_> = events.iter().filter(|event| event.starts_with("drifted")).collect();
        assert!(drifted.iter().all(|event| **event == "drifted name"), "{events:?}");
        assert_eq!((read("resource"), read("wire")), (made.clone(), made.clone()));
    }
    // The value itself is needed: the password is made again, everywhere the same.
    fs::remove_file(dir.path().join("resource")).unwrap();
    once(dir.path(), TEMPLATE).await;
    assert_eq!(read("resource"), read("wire"));
    assert_ne!(read("resource"), made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_template_makes_another_text() {
    let dir = tempfile::tempdir().unwrap();
    once(dir.path(), TEMPLATE).await;
    once(dir.path(), "{{ p }}").await;
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!((read("resource").len(), read("wire")), (20, read("resource")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_nowhere_in_events_and_data() {
    let dir = tempfile::tempdir().unwrap();
    let events = once(dir.path(), TEMPLATE).await;
    let made = fs::read_to_string(dir.path().join("wire")).unwrap();
    let secret = made.trim_start_matches("web:").trim();
    assert!(!events.join("\n").contains(secret));
    let config = graph(dir.path(), TEMPLATE).finish().unwrap();
    let data = serde_json::to_string(&config).unwrap();
    assert!(data.contains(r#""names":["name","p"]"#), "{data}");
}

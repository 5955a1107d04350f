//! Programs as users write them: they compile, and do what their lines say.

use std::fs;

use mgmt::graph::validate;
use mgmt::prelude::*;

/// A setting in a file.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[resource(kind = "knob")]
pub struct Knob {
    /// The path of its file.
    #[resource(name)]
    key: String,
    /// What it shall be.
    value: String,
    /// Also after a restart: kept in this file.
    #[resource(default)]
    persist: Option<String>,
    /// What it was.
    #[resource(send)]
    previous: String,
}

impl Converge for Knob {
    type Drift = Vec<Change>;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Vec<Change>>> {
        let places: Vec<_> = std::iter::once(&self.key).chain(&self.persist).cloned().collect();
        let found = cx.look(move |_, _| places.iter().map(fs::read_to_string).collect::<Vec<_>>()).await;
        let found: Vec<_> = found.into_iter().map(|text| text.unwrap_or_default().trim().to_owned()).collect();
        cx.send(Self::PREVIOUS, found[0].clone());
        let wrong = ["value", "persist"].into_iter().zip(&found).filter(|(_, found)| **found != self.value);
        let changes: Vec<_> = wrong.map(|(field, found)| Change::new(field, found, &self.value)).collect();
        Ok((!changes.is_empty()).then_some(changes))
    }

    async fn apply(&self, cx: &ApplyCx, drift: Vec<Change>) -> Result<()> {
        let this = self.clone();
        cx.change(move |_, _| {
            for change in drift {
                let place = if change.field == "persist" { this.persist.as_ref() } else { Some(&this.key) };
                place.map(|place| fs::write(place, &change.to)).transpose()?;
            }
            Ok(())
        })
        .await
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        cx.fs().path(&self.key)
    }
}

#[tokio::test]
async fn a_kind_of_ones_own_is_declared_wired_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("swappiness"), "60\n").unwrap();

    let mut g = Graph::new("kernel");
    let swappiness = g.add(Knob::new(path("swappiness"), "10").persist(Some(path("kept"))));
    g.add(Knob::new(path("before"), swappiness.previous()).retry(2));
    let engine = mgmt::Engine::builder().graph(g.finish().unwrap()).start().await.unwrap();
    engine.converged().await.unwrap();
    let read = |name: &str| fs::read_to_string(path(name)).unwrap();
    assert_eq!((read("swappiness").as_str(), read("kept").as_str()), ("10", "10"));
    assert!(["60", "10"].contains(&read("before").as_str()), "what the output said when it was looked at");

    fs::write(path("swappiness"), "99").unwrap();
    let repaired = async {
        while read("swappiness") != "10" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), repaired).await.expect("the watch says that it changed");
    engine.stop().await.unwrap();
}

#[test]
fn a_setter_takes_a_value_or_another_resources_output() {
    let mut g = Graph::new("wiring");
    let pw = g.add(Password::new("admin").length(24));
    let seed = g.add(Exec::new("seed").cmd("od -An -N8 -tx8 /dev/urandom").shell("/bin/sh"));
    g.add(File::new("/etc/app/secret").content(pw.password()).mode(0o600));
    let both = pw.password().zip(seed.stdout()).map(|(p, s)| p.map(|p| format!("{p}:{s}")));
    g.add(File::new("/etc/app/both").content(both));
    let config = g.finish().unwrap();
    validate(&config).unwrap();
    let edges: Vec<_> = config.edges.iter().map(|edge| (edge.from, edge.to, edge.notify)).collect();
    assert_eq!(edges, [(0, 2, false), (0, 3, false), (1, 3, false)], "the edges are made by themselves");
    assert_eq!(config.links.iter().map(|link| link.wire.closure).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn order_and_refresh_are_said_where_a_resource_is_declared() {
    let mut g = Graph::new("order");
    let pkg = g.add(Noop::new("pkg"));
    let conf = g.add(File::new("/etc/nginx/nginx.conf").content("conf").after(&pkg));
    let svc = Noop::new("svc").subscribe(&conf).retry(3).delay(Duration::from_secs(1));
    let svc = g.add(svc);
    g.add(Noop::new("first").before((&pkg, &conf)));
    g.add(Noop::new("told").notify([&svc]));
    let config = g.finish().unwrap();
    validate(&config).unwrap();
    let edges: Vec<_> = config.edges.iter().map(|edge| (edge.from, edge.to, edge.notify)).collect();
    assert_eq!(edges, [(0, 1, false), (1, 2, true), (3, 0, false), (3, 1, false), (4, 2, true)]);
    let meta = config.vertices[2].meta();
    assert_eq!((meta.retry, meta.delay), (3, Duration::from_secs(1)));
    let here = file!().rsplit('/').next().unwrap();
    assert!(config.edges.iter().all(|edge| edge.origin.to_string().contains(here)), "every edge knows its line");
}

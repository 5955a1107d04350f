//! The engine inside an existing tokio program: start it, query it, read its events, change its graph, stop it. Two
//! engines run here.

use std::path::Path;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::runtime::EventKind;

fn site(dir: &Path, greeting: &str) -> Result<GraphConfig> {
    let mut g = Graph::new("site");
    let base = g.add(File::new(format!("{}/", dir.display())));
    g.add(File::new(format!("{}/motd", dir.display())).content(greeting).after(&base));
    Ok(g.finish()?)
}

/// Engines share nothing: each has its own graph, its own directory for its state, and its own events.
async fn start(dir: &Path, site_dir: &str, greeting: &str) -> Result<Engine> {
    let graph = site(&dir.join(site_dir), greeting)?;
    Ok(Engine::builder().graph(graph).prefix(dir.join(format!("{site_dir}-state"))).start().await?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let dir = std::env::temp_dir().join(format!("mgmt-embed-{}", std::process::id()));
    std::fs::create_dir(&dir)?;
    let motd = |site: &str| std::fs::read_to_string(dir.join(site).join("motd"));

    let (inner, outer) = tokio::try_join!(start(&dir, "inner", "hello\n"), start(&dir, "outer", "keep out\n"))?;
    tokio::try_join!(inner.converged(), outer.converged())?;
    println!("converged: {:?} and {:?}", motd("inner")?, motd("outer")?);

    // Another program breaks the file. The engine notices this by itself, and reports what it does.
    let mut events = inner.events();
    std::fs::write(dir.join("inner/motd"), "broken\n")?;
    while let Some(event) = events.next().await {
        if let EventKind::Applied { id, changes, .. } = event.kind {
            let fields: Vec<_> = changes.iter().map(|change| change.field.as_str()).collect();
            println!("repaired: {} of the {}", fields.join(", "), id.kind);
            break;
        }
    }

    // Another graph: only the difference is applied. The rest, and the other engine, are left alone.
    inner.swap(site(&dir.join("inner"), "good evening\n")?).await?;
    inner.converged().await?;
    println!("swapped: {:?} and {:?}", motd("inner")?, motd("outer")?);

    // An invalid graph is refused, and the previous one stays in force.
    let mut wrong = Graph::new("wrong");
    wrong.add(Noop::new("twice"));
    wrong.add(Noop::new("twice"));
    let refused = inner.swap(wrong.finish()?).await.is_err();
    let (inner_status, outer_status) = tokio::try_join!(inner.status(), outer.status())?;
    println!("refused: {refused}; graphs {} and {} go on", inner_status.generation, outer_status.generation);

    tokio::try_join!(inner.stop(), outer.stop())?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

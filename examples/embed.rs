//! The engine inside somebody else's tokio program: start it, ask it, listen to it, change its graph, stop it.

use std::path::Path;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::runtime::EventKind;

fn site(dir: &Path, greeting: &str) -> Result<GraphConfig> {
    let mut g = Graph::new("site");
    let base = g.add(File::new(format!("{}/site/", dir.display())));
    g.add(File::new(format!("{}/site/motd", dir.display())).content(greeting).after(&base));
    Ok(g.finish()?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let dir = std::env::temp_dir().join(format!("mgmt-embed-{}", std::process::id()));
    std::fs::create_dir(&dir)?;
    let motd = dir.join("site/motd");

    let engine = Engine::builder().graph(site(&dir, "hello\n")?).prefix(dir.join("state")).start().await?;
    engine.converged().await?;
    println!("converged: motd says {:?}", std::fs::read_to_string(&motd)?);

    // Somebody breaks it. The engine sees that by itself, and tells what it does.
    let mut events = engine.events();
    std::fs::write(&motd, "broken\n")?;
    while let Some(event) = events.next().await {
        if let EventKind::Applied { changes, .. } = event.kind {
            let fields: Vec<_> = changes.iter().map(|change| change.field.as_str()).collect();
            println!("repaired: {}", fields.join(", "));
            break;
        }
    }

    // Another graph: the difference is applied, the rest is left alone.
    engine.swap(site(&dir, "good evening\n")?).await?;
    engine.converged().await?;
    println!("swapped: motd says {:?}", std::fs::read_to_string(&motd)?);

    // A wrong one is refused, and the one before goes on.
    let mut wrong = Graph::new("wrong");
    wrong.add(Noop::new("twice"));
    wrong.add(Noop::new("twice"));
    let refused = engine.swap(wrong.finish()?).await.is_err();
    let status = engine.status().await?;
    println!("refused: {refused}; still graph {} with {} resources", status.generation, status.resources);

    engine.stop().await?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

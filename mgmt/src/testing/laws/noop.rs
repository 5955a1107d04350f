//! The law that noop never applies. Tried with an engine, which enforces it.

use std::sync::Arc;

use tokio::time::timeout;

use crate::runtime::{Engine, EventKind};
use crate::testing::laws::stage::{Seen, Stage};
use crate::testing::laws::subject::{HOST, Subject};
use crate::testing::temp::TempDir;

pub(super) async fn hold(subject: &Subject) -> Seen<bool> {
    run(&Stage::new(subject).await?, "before anything was applied").await?;
    for way in &subject.breaks {
        let stage = Stage::settled(subject).await?;
        stage.break_it(way).await;
        run(&stage, &format!("after the change made at {}", way.at)).await?;
    }
    Ok(true)
}

async fn run(stage: &Stage<'_>, when: &str) -> Seen<()> {
    let before = stage.state().await?;
    let engines_own = TempDir::new().map_err(|error| format!("no prefix for an engine: {error}"))?;
    let graph = (stage.subject.noop_graph)(stage.fake.dir());
    let builder = Engine::builder().graph(graph).prefix(engines_own.path());
    let builder = builder.provisions(stage.subject.provisions.clone());
    let builder = match &stage.subject.world {
        Some(world) => builder.world(Arc::clone(world)).hostname(HOST),
        None => builder,
    };
    let mut events = builder.events();
    let engine = builder.start().await.map_err(|error| format!("the engine did not start: {error}"))?;
    let looked = timeout(stage.subject.patience, async {
        while let Some(event) = events.next().await {
            match event.kind {
                EventKind::InSync { .. } | EventKind::Drifted { .. } => return Ok(()),
                EventKind::Failed { error, .. } => return Err(format!("in noop {when}, check failed: {error}")),
                _ => {}
            }
        }
        Err("the engine ended".to_owned())
    });
    let looked = match looked.await {
        Ok(looked) => looked,
        Err(_) => Err(format!("in noop {when}, check had not ended after {:?}", stage.subject.patience)),
    };
    let stopped = timeout(stage.subject.patience, engine.stop()).await;
    looked?;
    match stopped {
        Ok(stopped) => stopped.map_err(|error| format!("the engine: {error}"))?,
        Err(_) => return Err(format!("the engine did not stop within {:?}", stage.subject.patience)),
    }
    let mut applied = false;
    while let Some(event) = events.next().await {
        applied |= matches!(event.kind, EventKind::Applied { .. } | EventKind::Refreshed { .. });
    }
    if applied {
        return Err(format!("in noop {when}, it was applied"));
    }
    match before.difference(&stage.state().await?, true) {
        None => Ok(()),
        Some(difference) => Err(format!("in noop {when}, {difference}")),
    }
}

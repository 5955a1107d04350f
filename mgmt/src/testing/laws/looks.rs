//! The law that a check changes nothing.

use crate::testing::laws::stage::{Seen, Stage};
use crate::testing::laws::subject::Subject;

pub(super) async fn hold(subject: &Subject) -> Seen<bool> {
    let stage = Stage::new(subject).await?;
    look(&stage, "before the first apply").await?;
    // Whether check and apply work at all is tested by the next law.
    if stage.settle().await.is_err() {
        return Ok(true);
    }
    look(&stage, "after an apply").await?;
    for way in &subject.breaks {
        stage.break_it(way).await;
        look(&stage, &format!("after the change made at {}", way.at)).await?;
        if stage.settle().await.is_err() {
            break;
        }
    }
    Ok(true)
}

async fn look(stage: &Stage<'_>, when: &str) -> Seen<()> {
    let before = stage.state().await?;
    drop(stage.check().await);
    match before.difference(&stage.state().await?, true) {
        None => Ok(()),
        Some(difference) => Err(format!("by a check {when}, {difference}")),
    }
}

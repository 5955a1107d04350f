//! The law that a check after an apply is in sync, and that drift is found.

use crate::testing::laws::stage::{Seen, Stage};
use crate::testing::laws::subject::Subject;

pub(super) async fn hold(subject: &Subject) -> Seen<bool> {
    let stage = Stage::new(subject).await?;
    if let Some(drift) = stage.check().await?
        && drift.changes.is_empty()
    {
        return Err("check found drift that names no change".to_owned());
    }
    stage.settle().await?;
    stage.must_be_in_sync("after an apply").await?;
    for way in &subject.breaks {
        stage.break_it(way).await;
        if !stage.settle().await? {
            return Err(format!("after the change made at {}, check found nothing", way.at));
        }
        stage.must_be_in_sync(&format!("after the change made at {} and an apply", way.at)).await?;
    }
    Ok(true)
}

//! The law that applying twice is the same as applying once: what is in sync is not changed, and repairs lead to the
//! same state.

use crate::testing::laws::stage::{Seen, Stage};
use crate::testing::laws::subject::Subject;

pub(super) async fn hold(subject: &Subject) -> Seen<bool> {
    let stage = Stage::settled(subject).await?;
    let first = stage.state().await?;
    for _ in 0..3 {
        stage.must_be_in_sync("while nothing was changed from outside").await?;
    }
    for way in &subject.breaks {
        stage.break_it(way).await;
        stage.settle().await?;
        let again = stage.state().await?;
        if let (Some(difference), false) = (first.difference(&again, false), subject.is_new_each_time) {
            let at = way.at;
            return Err(format!(
                "the change made at {at} was repaired to another state than the first apply's: {difference}"
            ));
        }
    }
    Ok(true)
}

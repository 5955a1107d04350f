//! The law that a change from outside makes the watch report it.

use crate::testing::laws::listen::Listener;
use crate::testing::laws::stage::{Seen, Stage};
use crate::testing::laws::subject::Subject;

/// The number of changes from outside: more than one, so that a watch that reports only once is found.
const ROUNDS: usize = 3;

pub(super) async fn hold(subject: &Subject) -> Seen<bool> {
    if subject.breaks.is_empty() || !subject.is_watched {
        return Ok(false);
    }
    for way in &subject.breaks {
        let stage = Stage::settled(subject).await?;
        let watch = stage.trial.watch();
        if watch.is_none() {
            return Err(format!("it has no watch, so it does not notice the change made at {}", way.at));
        }
        let told = format!("{watch:?}");
        let mut listener = Listener::new(watch, subject.patience).await?;
        for round in 1..=ROUNDS {
            listener.quiet().await?;
            stage.break_it(way).await;
            if !listener.changed().await? {
                return Err(format!(
                    "the watch {told} reported nothing for {:?} after the change made at {}, the {round}. time",
                    subject.patience, way.at
                ));
            }
            stage.settle().await?;
        }
    }
    Ok(true)
}

//! Waiting for what a domain does by itself.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::resource::{Error, Obstacle, ObstacleKind, Result};
use crate::sys::libvirt::{Libvirt, Subscription};

/// The pause between two looks where there are no events.
const PAUSE: Duration = Duration::from_millis(100);

/// The events of a domain from now on, up to a time.
pub(super) struct Wait {
    events: Option<Subscription>,
    until: Instant,
}

impl Wait {
    pub(super) fn begin(libvirt: &Libvirt, name: &str, longest: Duration) -> Wait {
        Wait { events: libvirt.subscribe(name), until: Instant::now() + longest }
    }

    /// Waits until something may have changed. `false`: the time is over.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) async fn next(&mut self) -> Result<bool> {
        let Some(events) = &mut self.events else {
            sleep_until(self.until.min(Instant::now() + PAUSE)).await;
            return Ok(Instant::now() < self.until);
        };
        match timeout_at(self.until, events.changed()).await {
            Ok(true) => Ok(true),
            Ok(false) => {
                let why = "the connection to libvirt was lost; this waits until it is back";
                Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::NoComponent)))
            }
            Err(_) => Ok(false),
        }
    }
}

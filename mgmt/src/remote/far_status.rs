//! The state of a run at the far end, as the near end gets it.

use crate::remote::lines::LINE_BYTES_MAX;
use crate::remote::message::line;
use crate::runtime::{Engine, Status};

/// The exit code of a run with alerts, as of one on this machine.
const PENDING: u8 = 2;

/// The status in a form that fits into a line: first its diffs are left out, then what follows the first resources.
pub(super) fn fitting(mut status: Status) -> Status {
    let is_too_long =
        |status: &Status| line(&status).is_ok_and(|line| line.len() > LINE_BYTES_MAX - LINE_BYTES_MAX / 16);
    if is_too_long(&status) {
        for change in status.notable.iter_mut().flat_map(|resource| &mut resource.changes) {
            change.diff = None;
        }
    }
    while is_too_long(&status) && !(status.notable.is_empty() && status.owed.is_empty() && status.running.is_empty()) {
        status.notable.truncate(status.notable.len() / 2);
        status.owed.truncate(status.owed.len() / 2);
        status.running.truncate(status.running.len() / 2);
    }
    status
}

/// The exit code of a run that ends by itself.
pub(super) async fn alerts(engine: &Engine) -> u8 {
    match engine.status().await {
        Ok(status) if status.alerts > 0 => PENDING,
        _ => 0,
    }
}

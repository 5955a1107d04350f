//! Listening to the signals of a service on a bus.

use std::num::NonZero;

use zbus::{Connection, MessageStream};

use super::own_task::in_own_task;

/// The signals that match a rule, from now on. The connection stands still while more of them than `queue` (64 if it is
/// not given) wait to be read.
///
/// # Errors
/// The rule is not one, or the bus refuses it or is gone.
pub async fn subscribe(bus: &Connection, rule: String, queue: Option<NonZero<usize>>) -> zbus::Result<MessageStream> {
    let bus = bus.clone();
    in_own_task(async move { MessageStream::for_match_rule(rule.as_str(), &bus, queue).await }).await
}

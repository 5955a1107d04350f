//! `value`: passes a value on.

use std::convert::Infallible;

use crate::resource::{ApplyCx, CheckCx, Converge, Error, Output, Result};
use mgmt_macros::Resource;

/// Passes a value on: the value that is set or received is sent. A named point between senders and receivers, for
/// example between graphs given as data.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "value", unwatched, inline)]
pub struct Value {
    /// The name of the resource.
    #[resource(name)]
    name: String,
    /// The value. Must be set or received.
    value: Option<String>,

    /// The value.
    #[resource(send)]
    output: String,
}

impl ValueHandle {
    /// The value: the same as `output`.
    pub fn value(&self) -> Output<String> {
        self.output()
    }
}

impl Converge for Value {
    type Drift = Infallible;

    const STANDS_ALONE: bool = true;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Infallible>> {
        match &self.value {
            Some(value) => cx.send(Value::OUTPUT, value.clone()),
            None => return Err(Error::new("`value` is missing: there is nothing to pass on; set it, or send to it")),
        }
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, drift: Infallible) -> Result<()> {
        match drift {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fake;

    #[tokio::test]
    async fn what_is_set_is_sent_and_nothing_is_an_error_not_an_empty_value() {
        let host = Fake::new().unwrap();
        let sent =
            async |value: ValueBuilder| host.put(value).settle().await.map(|outcome| outcome.value(Value::OUTPUT));
        assert_eq!(sent(Value::new("x").value("text")).await.unwrap().unwrap(), "text");
        assert_eq!(sent(Value::new("x").value("")).await.unwrap().unwrap(), "");
        assert!(sent(Value::new("x")).await.unwrap_err().to_string().contains("`value` is missing"));
    }
}

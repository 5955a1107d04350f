//! The kind `probe`: a value on a desk.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use mgmt::prelude::*;
use mgmt::resource::{Error, WatchEvent};
use tokio::sync::mpsc;

use super::desk::{Op, Shared, Then};

/// A value on a desk: watched, kept, sent.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "probe")]
pub struct Probe {
    #[resource(name)]
    name: String,
    /// Whose.
    desk: String,
    /// What it should be. Left out: whatever it is.
    want: Option<String>,
    /// Wrong on purpose: what `validate` does.
    bad: Option<String>,
    #[resource(send)]
    made: String,
}

impl Probe {
    fn shared(&self) -> std::sync::Arc<Shared> {
        Shared::of(&self.desk)
    }
}

impl Converge for Probe {
    type Drift = Change;

    fn validate(&self, _: &Known<'_>) -> Vec<FieldProblem> {
        match self.bad.as_deref() {
            Some("panic") => panic!("validate gave up"),
            Some(why) => vec![FieldProblem::whole(why, "")],
            None => Vec::new(),
        }
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let desk = self.shared();
        let then = desk.act(cx, &self.name, Op::Check).await?;
        let real = desk.real(&self.name);
        match &self.want {
            Some(want) if *want != real => return Ok(Some(Change::new("value", real, want))),
            _ => {}
        }
        if !matches!(then, Then::Silent) {
            cx.send(Probe::MADE, real);
        }
        Ok(None)
    }

    async fn apply(&self, cx: &ApplyCx, drift: Change) -> Result<()> {
        let desk = self.shared();
        let then = desk.act(cx, &self.name, Op::Apply).await?;
        desk.set(&self.name, &drift.to);
        if matches!(then, Then::Unchanged) {
            cx.unchanged();
        }
        cx.send(Probe::MADE, drift.to);
        Ok(())
    }

    fn watch(&self, _: &WatchCx) -> Watch {
        Watch::stream(Listening(self.shared().watch(&self.name)))
    }
}

impl Refresh for Probe {
    async fn refresh(&self, cx: &ApplyCx) -> Result<bool> {
        let then = self.shared().act(cx, &self.name, Op::Refresh).await?;
        Ok(!matches!(then, Then::Unchanged))
    }
}

/// What a desk tells a watch.
struct Listening(mpsc::UnboundedReceiver<Result<WatchEvent, String>>);

impl Stream for Listening {
    type Item = Result<WatchEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|said| {
            let said = said?;
            if said.as_ref().is_err_and(|why| why == "panic") {
                panic!("the stream gave up");
            }
            Some(said.map_err(Error::new))
        })
    }
}

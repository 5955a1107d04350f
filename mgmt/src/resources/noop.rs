//! `noop`: nothing to do. An anchor for edges.

use std::borrow::Cow;
use std::convert::Infallible;

use crate::resource::{ApplyCx, CheckCx, Converge, Grouped, Known, Result};
use mgmt_macros::Resource;

/// Nothing to do: always in sync. Useful as an anchor for edges, and to measure the engine.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "noop", unwatched, quiet, inline)]
pub struct Noop {
    #[resource(name)]
    name: String,
    /// What the resource stands for, in words. Default: none.
    comment: Option<String>,
}

impl Converge for Noop {
    type Drift = Infallible;

    const STANDS_ALONE: bool = true;
    const LASTS: bool = false;

    async fn check(&self, _: &CheckCx) -> Result<Option<Infallible>> {
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, drift: Infallible) -> Result<()> {
        match drift {}
    }
}

/// Noops are grouped with noops.
impl Grouped for Noop {
    fn group_key(&self, _: &Known<'_>) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed("noop"))
    }
}

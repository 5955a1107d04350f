//! What it does without what it is.
// expects: `User` is not a resource

use mgmt::prelude::*;

#[derive(Clone, Debug, PartialEq)]
struct User {
    name: String,
}

impl Converge for User {
    type Drift = Change;
    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }
    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

fn main() {}

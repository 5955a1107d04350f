//! A struct without the other derives that a resource needs.
// expects: add `#[derive(Debug)]` to `User`

use mgmt::prelude::*;

#[derive(Resource, Clone, PartialEq)]
#[resource(kind = "user")]
struct User {
    #[resource(name)]
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

fn main() {
    let mut g = Graph::new("case");
    g.add(User::new("root"));
}

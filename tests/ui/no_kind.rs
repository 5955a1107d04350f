//! The name of the kind is missing.
// expects: no kind: write `#[resource(kind = "user")]`

use mgmt::prelude::*;

#[derive(Resource, Clone, Debug, PartialEq)]
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

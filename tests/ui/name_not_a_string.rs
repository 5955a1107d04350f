//! The name is a number.
// expects: the name is a `String`

use mgmt::prelude::*;

#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "user")]
struct User {
    #[resource(name)]
    uid: u32,
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

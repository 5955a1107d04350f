//! A default that its field can't take.
// expects: can't be set on a field of type `u32`

use mgmt::prelude::*;

#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "user")]
struct User {
    #[resource(name)]
    name: String,
    #[resource(default = "one")]
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

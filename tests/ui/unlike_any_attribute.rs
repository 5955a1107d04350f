//! An attribute that exists elsewhere.
// expects: no attribute `rename`: there are `name`, `default`, `send`

use mgmt::prelude::*;

#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "user")]
struct User {
    #[resource(name)]
    name: String,
    #[resource(rename = "id")]
    uid: Option<u32>,
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

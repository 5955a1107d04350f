//! Drift of a type that can't be shown.
// expects: `String` can't be shown as drift

use mgmt::prelude::*;

#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "user")]
struct User {
    #[resource(name)]
    name: String,
}

impl Converge for User {
    type Drift = String;
    async fn check(&self, _: &CheckCx) -> Result<Option<String>> {
        Ok(None)
    }
    async fn apply(&self, _: &ApplyCx, _: String) -> Result<()> {
        Ok(())
    }
}

fn main() {
    let mut g = Graph::new("case");
    g.add(User::new("root"));
}

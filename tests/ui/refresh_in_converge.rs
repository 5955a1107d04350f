//! A refresh among what every kind does: it is a trait of its own.
// expects: method `refresh` is not a member of trait `Converge`

use mgmt::prelude::*;

#[derive(Resource, Clone, Debug, PartialEq)]
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
    async fn refresh(&self, _: &ApplyCx) -> Result<bool> {
        Ok(true)
    }
}

fn main() {
    let mut g = Graph::new("case");
    g.add(User::new("root"));
}

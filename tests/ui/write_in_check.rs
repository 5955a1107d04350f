//! A check that wants to write.
// expects: no method named `change`

use mgmt::prelude::*;

#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "user")]
struct User {
    #[resource(name)]
    name: String,
}

impl Converge for User {
    type Drift = Change;
    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        cx.change(|_, _| ()).await;
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

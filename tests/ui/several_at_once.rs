//! All mistakes in attributes are reported at once.
// expects: no attribute `nmae`: did you mean `name`?
// messages: 4

use mgmt::prelude::*;

#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kidn = "user")]
struct User {
    #[resource(nmae)]
    name: String,
    #[resource(defualt = 3)]
    uid: u32,
    #[resource(sned)]
    home: String,
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

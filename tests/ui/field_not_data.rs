//! A field that can't be written as data.
// expects: a field of type `Shell` can't be written as data

use mgmt::prelude::*;

#[derive(Clone, Debug, Default, PartialEq)]
struct Shell(u8);

#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "user")]
struct User {
    #[resource(name)]
    name: String,
    #[resource(default)]
    shell: Shell,
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

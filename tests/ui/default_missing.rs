//! A default of a type that has none.
// expects: the trait bound `Shell: Default` is not satisfied

use mgmt::prelude::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
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

//! A kind with a type parameter.
// expects: a resource can't be generic

use mgmt::prelude::*;

#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "user")]
struct User<T> {
    #[resource(name)]
    name: String,
    shell: Option<T>,
}

impl Converge for User<u32> {
    type Drift = Change;
    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }
    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

fn main() {}

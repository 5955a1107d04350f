//! A kind that declares its fields, but not what it does.
// expects: this kind has no `impl Converge`

use mgmt::prelude::*;

#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "user")]
struct User {
    #[resource(name)]
    name: String,
    #[resource(send)]
    home: String,
}

fn main() {
    let mut g = Graph::new("case");
    g.add(User::new("root"));
}

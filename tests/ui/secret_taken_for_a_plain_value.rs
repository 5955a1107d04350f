//! A secret is given to a template as if it were a plain value.
// expects: a secret goes with `and_secret`

use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("g");
    let password = g.add(Password::new("p"));
    g.add(Msg::new("plain").body(Named::new().and("password", password.password()).template("{{ password }}")));
}

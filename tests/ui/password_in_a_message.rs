//! A password is sent to a message, which is printed.
// expects: a secret goes only to fields that keep secrets

use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    let pw = g.add(Password::new("admin"));
    g.add(Msg::new("x").body(pw.password()));
}

//! A text that a template makes of a secret is sent to a message.
// expects: a secret goes only to fields that keep secrets

use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("g");
    let name = g.add(Exec::new("name").cmd("whoami"));
    let password = g.add(Password::new("p"));
    let login = Named::new().and("name", name.stdout()).and_secret("password", password.password());
    g.add(Msg::new("login").body(login.template("{{ name }}:{{ password }}")));
}

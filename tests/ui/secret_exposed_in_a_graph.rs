//! A closure of a graph has nothing to expose a secret with.
// expects: a secret is exposed only to the code of a kind

#[path = "common/kinds.rs"]
mod kinds;

use kinds::*;
use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    let admin = g.add(Login::new("admin"));
    g.add(Page::new("/", "Front").body(admin.passphrase().map(|p| p.expose(&()).to_owned())));
}

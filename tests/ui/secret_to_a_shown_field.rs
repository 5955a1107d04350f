//! A passphrase is sent to a field that plans show.
// expects: a secret goes only to fields that keep secrets

#[path = "common/kinds.rs"]
mod kinds;

use kinds::*;
use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    let admin = g.add(Login::new("admin"));
    g.add(Page::new("/", "Front").body(admin.passphrase()));
}

//! An output that only another kind has.
// expects: no method named `passphrase`

#[path = "common/kinds.rs"]
mod kinds;

use kinds::*;
use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    let front = g.add(Page::new("/", "Front"));
    g.add(Page::new("/copy", "Copy").token(front.passphrase()));
}

//! A setter that does not exist.
// expects: no method named `boddy`

#[path = "common/kinds.rs"]
mod kinds;

use kinds::*;
use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    g.add(Page::new("/", "Front").boddy("Hello"));
}

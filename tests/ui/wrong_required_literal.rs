//! A number for a text, in `new`.
// expects: can't be set on a field of type `String`

#[path = "common/kinds.rs"]
mod kinds;

use kinds::*;
use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    g.add(Page::new("/", 42));
}

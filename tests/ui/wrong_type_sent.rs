//! A number is sent to a field that is no number.
// expects: can't be set on a field of type `Rank`

#[path = "common/kinds.rs"]
mod kinds;

use kinds::*;
use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    let front = g.add(Page::new("/", "Front"));
    g.add(Page::new("/copy", "Copy").rank(front.length()));
}

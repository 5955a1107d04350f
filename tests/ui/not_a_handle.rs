//! A name where a handle belongs.
// expects: does not name resources of the graph

#[path = "common/kinds.rs"]
mod kinds;

use kinds::*;
use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    g.add(Page::new("/", "Front").after("login[admin]"));
}

//! A handle without its `&`.
// expects: does not name resources of the graph

#[path = "common/kinds.rs"]
mod kinds;

use kinds::*;
use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    let admin = g.add(Login::new("admin"));
    g.add(Page::new("/", "Front").after(admin));
}

//! A field that is neither optional nor has a default is left out.
// expects: this function takes 2 arguments but 1 argument was supplied

#[path = "common/kinds.rs"]
mod kinds;

use kinds::*;
use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    g.add(Page::new("/"));
}

//! Something that is no resource is added.
// expects: can't be added to a graph

use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    g.add("page");
}

//! A bare number where a time belongs: it has no unit.
// expects: takes a `Duration`

use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("graph");
    g.add(Timer::new("tick", 5));
}

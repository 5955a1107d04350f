//! A handle where a value or an output belongs.
// expects: can't be set on a field of type `String`

#[path = "common/kinds.rs"]
mod kinds;

use kinds::*;
use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    let admin = g.add(Login::new("admin"));
    g.add(Page::new("/", "Front").body(admin));
}

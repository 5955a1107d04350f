//! A text that is made of an output before its value is known.
// expects: HasItsValueBeforeTheRun

#[path = "common/kinds.rs"]
mod kinds;

use kinds::*;
use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    let admin = g.add(Login::new("admin"));
    g.add(Page::new("/", "Front").body(format!("shell: {}", admin.shell())));
}

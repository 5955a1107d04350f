//! The same, as rustc suggests it for what has no `Display`.
// expects: HasItsValueBeforeTheRun

#[path = "common/kinds.rs"]
mod kinds;

use kinds::*;
use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    let admin = g.add(Login::new("admin"));
    g.add(Page::new("/", "Front").body(format!("{:?}", admin.shell())));
}

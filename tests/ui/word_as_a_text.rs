//! A word of a list, as a text.
// expects: not `.state("absent")`, but `.state(FileState::Absent)` or `.absent()`

use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    g.add(File::new("/etc/motd").state("absent"));
}

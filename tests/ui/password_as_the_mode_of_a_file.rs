//! A password is sent to a file's mode.
// expects: can't be set on a field of type `Mode`

use mgmt::prelude::*;

fn main() {
    let mut g = Graph::new("case");
    let pw = g.add(Password::new("admin").length(24_usize));
    g.add(File::new("/x").mode(pw.password()));
}

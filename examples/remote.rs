//! A graph in Rust that is planned and run on other machines, which need an SSH server and nothing else.
//!
//! `cargo run --features ssh --example remote -- remote plan web1 web2` shows what would be done there, and changes
//! nothing. `remote run web1 web2` does it once, `remote run web1 --watch` repairs until ^C, and `remote run web1
//! --detach` leaves it there (`remote attach web1`, `remote stop web1`). A host is what `ssh` takes; `local:try` is a
//! process of its own on this machine.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    // Declared on each host, with the name of that host.
    mgmt::App::new("remote").main(mgmt::native(|g, cx| {
        g.add(File::new("/tmp/mgmt-remote/").mode(0o755));
        g.add(File::new("/tmp/mgmt-remote/motd").content(format!("this is {}\n", cx.hostname())).mode(0o644));
        Ok(())
    }))
}

//! The smallest program. `cargo run --example hello` runs it; `-- plan`, `-- check`, `-- graph` come with it.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main("hello", |g: &mut Graph| {
        g.add(File::new("/tmp/hello/").mode(0o755));
        g.add(File::new("/tmp/hello/motd").content("hello\n").mode(0o644));
        Ok(())
    })
}

//! Values from resource to resource: an output is set on a field like any other value, which also makes the edge.
//!
//! `cargo run --example send_recv -- -t 1`. Then remove one of the files and run it again; change `length`; look at the
//! plan.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main("send_recv", |g: &mut Graph| {
        let prefix = g.prefix().display().to_string();
        let path = |name: &str| format!("{prefix}/files/{name}");
        let files = g.add(File::new(path("")).mode(0o755));

        // Made once, and remembered as made: the text of the password is in these files, and nowhere else.
        let password = g.add(Password::new("admin").length(24));
        g.add(File::new(path("password")).content(password.password()).after(&files));

        // The output of a command, transformed on its way.
        let kernel = g.add(Exec::new("kernel").cmd("uname -s"));
        let shouted = kernel.stdout().map(|name| name.to_uppercase());
        g.add(File::new(path("kernel")).content(shouted).mode(0o644).after(&files));

        // A value of several senders: it exists once all of them have sent. A secret stays a secret.
        let line = password
            .password()
            .zip(kernel.stdout())
            .map(|(password, kernel)| password.map(|password| format!("{}:{password}\n", kernel.trim())));
        g.add(File::new(path("line")).content(line).after(&files));

        // rustc refuses this: a secret can't reach a field that may be shown.
        // g.add(Msg::new("oops").body(password.password()));
        Ok(())
    })
}

//! Refreshes: a resource is refreshed when one that it subscribes to has changed: once, however many changed, and also
//! after a power failure in between.
//!
//! `cargo run --example refresh`, then edit one of its files and watch. `-- plan` shows what would be refreshed, and
//! why.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("refresh", |g: &mut Graph| {
        let prefix = g.prefix().display().to_string();
        let path = |name: &str| format!("{prefix}/service/{name}");
        let dir = g.add(File::new(path("")).mode(0o755));

        let conf = g.add(File::new(path("service.conf")).content("port = 8080\n").after(&dir));
        let keys = g.add(File::new(path("keys.conf")).content("key = none\n").after(&dir));

        // Stands for a service: runs only when it is refreshed. If both files change, it is reloaded once.
        let reload = Exec::new("reload").cmd(format!("date >> {}", path("reloads"))).shell("/bin/sh");
        let reload = g.add(reload.refreshonly(true).subscribe((&conf, &keys)).retry(3).delay(Duration::from_secs(1)));

        // Refreshes continue from there: what was refreshed notifies the resources that subscribe to it.
        let check = Exec::new("check").cmd(format!("test -s {}", path("reloads"))).shell("/bin/sh");
        g.add(check.refreshonly(true).subscribe(&reload));
        Ok(())
    })
}

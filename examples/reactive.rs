//! A graph that follows outside changes: a directory for each host that is listed in a file.
//!
//! `cargo run --example reactive`, then edit the file that it names. With `-- -t 1` it ends once nothing has happened
//! for a second.

use mgmt::gapi::Signal;
use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    let dir = std::env::temp_dir().join("mgmt-reactive");
    let list = dir.join("hosts");
    let hosts = Signal::file(&list);
    let app = mgmt::App::new("reactive").about("A directory for each host that is named in a file.");
    let app = app.greeting(format!("write names of hosts into {}, one a line", list.display()));
    // This runs again whenever a value that it reads has changed. Only the difference from the previous graph is
    // applied.
    app.main(mgmt::native(move |g, cx| {
        let base = g.add(File::new(format!("{}/", dir.display())));
        let text = cx.read(&hosts).unwrap_or_default();
        for host in text.lines().map(str::trim).filter(|host| !host.is_empty()) {
            if host.contains('/') {
                // Refused, with all other problems; the previous graph stays in force.
                g.problem(format!("`{host}` is no name of a host"));
                continue;
            }
            let home = g.add(File::new(format!("{}/{host}/", dir.display())).after(&base));
            g.add(File::new(format!("{}/{host}/name", dir.display())).content(format!("{host}\n")).after(&home));
        }
        Ok(())
    }))
}

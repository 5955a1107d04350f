//! A web server, from a bare Debian to a served page: package, user, files, a password, a configuration that is checked
//! before it counts, and the service.
//!
//! It changes the machine on which it runs, as root: take a virtual machine, or a container with systemd. What it would
//! do, `cargo run --example nginx -- plan` prints on any machine. `PORT=8080` serves on another port than 80.
//! `examples/nginx.yaml` is the same graph in YAML.
//!
//! The only edges declared here are those of values and of the refresh. That the package comes before what lies in its
//! directories, the user before what belongs to it, and a directory before its files, follows from what they are.

use mgmt::prelude::*;
use serde::Serialize;

const PAGE: &str = "<!doctype html>\n<title>{{ hostname }}</title>\n<h1>{{ hostname }}</h1>\n";
const CONF: &str = include_str!("nginx.conf.j2");
const DRAFT: &str = "/etc/nginx/nginx.conf.draft";

/// What the templates are filled with.
#[derive(Serialize)]
struct Values {
    hostname: String,
    cpus: usize,
    port: u16,
}

fn main() -> mgmt::ExitCode {
    let facts = Signal::facts(Duration::from_secs(60));
    mgmt::App::new("nginx").about("A web server that keeps itself.").main(mgmt::native(move |g, cx| {
        let facts = cx.read(&facts)?;
        let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(80);
        site(g, &Values { hostname: facts.hostname.clone(), cpus: facts.cpus, port })
    }))
}

fn site(g: &mut Graph, values: &Values) -> Result<()> {
    g.add(Pkg::new("nginx"));

    g.add(User::new("site").system(true).homedir("/srv/site").shell("/usr/sbin/nologin"));
    g.add(File::new("/srv/site/").mode(0o755));
    for dir in ["/srv/site/public/", "/srv/site/public/admin/"] {
        g.add(File::new(dir).owner("site").mode(0o755));
    }
    let page = mgmt::render(PAGE, values)?;
    g.add(File::new("/srv/site/public/index.html").content(page).owner("site").mode(0o644));
    g.add(File::new("/srv/site/public/admin/index.html").content("<h1>Back room</h1>\n").owner("site").mode(0o644));

    // The password is in a file for root; the server gets its hash.
    let password = g.add(Password::new("admin").length(20));
    g.add(File::new("/srv/site/admin.password").content(password.password()).mode(0o600));
    let users = password.hash().map(|hash| hash.map(|hash| format!("admin:{hash}\n")));
    g.add(File::new("/etc/nginx/site.users").content(users).group("site").mode(0o640));

    // A draft that nginx accepts becomes the configuration. One that it refuses is an error, until the next graph has
    // another one; the service does not notice it.
    g.add(File::new(DRAFT).content(mgmt::render(CONF, values)?).group("site").mode(0o640));
    let check = format!("nginx -t -q -c {DRAFT} && cat {DRAFT}");
    let check = g.add(Exec::new("configuration").cmd(check).shell("/bin/sh").mtimes([DRAFT]).rewatch(true));
    let conf = g.add(File::new("/etc/nginx/nginx.conf").content(check.stdout()).mode(0o644));

    g.add(Svc::new("nginx").running().enabled().subscribe(&conf));
    Ok(())
}

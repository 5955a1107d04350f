//! A small site that repairs itself: `cargo run --example webserver`, then break anything below the directory that it
//! prints.
//!
//! `PORT=9000` serves it on another port, `--prefix DIR` puts everything there, `-- plan` shows what would be done,
//! `-- graph` prints the graph.

use std::path::Path;

use mgmt::prelude::*;

const PAGE: &str = "<!doctype html>
<title>{{ hostname }}</title>
<link rel=stylesheet href=style.css>
<h1>{{ hostname }}</h1>
<p>{{ os }} (Linux {{ kernel }}) on {{ cpus }} processors with {{ (memory / 1048576) | int }} MiB.
<p>Its <a href=index.html.sha256>checksum</a>, its <a href=admin/>back room</a>.
";

fn main() -> mgmt::ExitCode {
    let port = std::env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let address = format!("127.0.0.1:{port}");
    let facts = Signal::facts(Duration::from_secs(5));
    let app = mgmt::App::new("webserver").about("A small site that keeps itself.");
    let greeting = format!("serving http://{address}/ (^C ends it)");
    app.greeting(greeting).main(mgmt::native(move |g, cx| site(g, &cx.read(&facts)?, cx.prefix(), &address)))
}

fn site(g: &mut Graph, facts: &Facts, prefix: &Path, address: &str) -> Result<()> {
    let path = |name: &str| prefix.join("site").join(name).display().to_string();

    // That a file comes after its directory need not be declared.
    g.add(File::new(path("")).mode(0o755).force(true));
    g.add(File::new(path("public/")).force(true));
    g.add(File::new(path("public/admin/")).force(true));
    g.add(File::new(path("private/")).mode(0o700).force(true));

    // A page made from facts: it changes when they change.
    let page = File::new(path("public/index.html")).content(mgmt::render(PAGE, facts)?);
    let page = g.add(page.mode(0o644).force(true));
    let style = "body { font-family: sans-serif; margin: 3em }\n";
    g.add(File::new(path("public/style.css")).content(style).mode(0o644).force(true));
    g.add(File::new(path("public/admin/index.html")).content("<h1>Back room</h1>\n").force(true));

    // The password is written to a file that only its owner can read, and its hash is given to the server. rustc
    // refuses to put it on the page.
    let password = g.add(Password::new("admin").length(20));
    let file = File::new(path("private/admin.password")).content(password.password());
    g.add(file.mode(0o600).force(true));

    // Made from the page, and made again when the page has changed; renamed into place, so that no client sees half of
    // it.
    let command = "sha256sum index.html > .new && mv .new index.html.sha256";
    let checksum = Exec::new("checksum").cmd(command).shell("/bin/sh").cwd(path("public"));
    let checksum = checksum.creates(path("public/index.html.sha256")).mtimes([path("public/index.html")]);
    g.add(checksum.subscribe(&page).retry(5).delay(Duration::from_millis(200)));

    let server = HttpServer::new("site").address(address).basic_auth("/admin", "admin", password.hash());
    g.add(server.retry(-1).delay(Duration::from_secs(2)));
    g.add(HttpFile::new("/").source(path("public")));
    Ok(())
}

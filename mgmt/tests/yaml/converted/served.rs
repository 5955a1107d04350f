//! The graph "served", converted from YAML.

use std::time::Duration;

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("served", declare)
}

/// Declares the resources, their order, and what they send one another.
// Commands of YAML graphs inherit the environment; here they have `PATH` alone: give `.env(…)` what else they need.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    let password_admin = g.add(
        Password::new("admin")
            .length(12usize)
            .charset(Charset::Alnum)
            .saved(true),
    );
    let http_server_site = g.add(
        HttpServer::new("site")
            .address("127.0.0.1:0")
            .root("/tmp/corpus/src")
            .timeout(Duration::from_secs(10))
            .auth_path("/private")
            .auth_user("admin")
            .auth_hash(password_admin.hash()),
    );
    let http_file_greeting = g.add(HttpFile::new("/greeting").server("site").data("hello"));
    let http_file_parts = g.add(HttpFile::new("parts").path("/parts").source("/tmp/corpus/parts"));
    let value_address = g.add(
        Value::new("address")
            .template("{{ site }}/greeting")
            .values(Named::new().and("site", http_server_site.url())),
    );
    g.add(
        HttpClient::new("fetched")
            .url(value_address.output())
            .file("/tmp/corpus/fetched")
            .sha256("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
            .token(password_admin.password())
            .size_max(100u64)
            .after(&http_file_greeting),
    );
    let file_tmp_corpus_url = g.add(File::new("/tmp/corpus/url").content(http_server_site.url()));
    g.add(
        Exec::new("ask")
            .cmd("url=$(cat /tmp/corpus/url); url=${url#http://}; host=${url%%/*}\nget() { exec 3<>/dev/tcp/${host%:*}/${host##*:}; printf 'GET %s HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' \"$1\" >&3; cat <&3; }\nget /greeting | tail -n 1 > /tmp/corpus/greeting\nget /top | tail -n 1 > /tmp/corpus/top\nget /parts/10-a | tail -n 1 > /tmp/corpus/part\nget /private | head -n 1 | cut -d ' ' -f 2 > /tmp/corpus/private\n")
            .shell("/bin/bash")
            .after(&http_file_greeting)
            .after(&http_file_parts)
            .after(&file_tmp_corpus_url),
    );
    Ok(())
}

//! A graph of a web server, and its tests: on a simulated host, without root, in milliseconds.
//!
//! `cargo test --example tested_graph`; `cargo run --example tested_graph -- plan` shows what it would do here.

use mgmt::prelude::*;

const SITES: [&str; 5] = ["blog", "docs", "shop", "status", "wiki"];

fn main() -> mgmt::ExitCode {
    mgmt::main("web", web)
}

/// The server, its configuration, and a directory with a page for each site.
fn web(g: &mut Graph) -> Result<()> {
    for dir in ["/etc/nginx/", "/etc/nginx/sites/", "/etc/nginx/enabled/", "/srv/www/"] {
        g.add(File::new(dir).mode(0o755));
    }
    let conf = g.add(File::new("/etc/nginx/nginx.conf").content("include enabled/*;\n").mode(0o644));
    let start = g.add(Exec::new("start nginx").cmd("systemctl start nginx").nifcmd("systemctl is-active nginx"));
    let restart = g.add(
        Exec::new("restart nginx").cmd("systemctl restart nginx").refreshonly(true).subscribe(&conf).after(&start),
    );
    let check = g.add(Exec::new("check nginx").cmd("nginx -t").refreshonly(true).before(&restart).before(&start));
    for site in SITES {
        g.add(File::new(format!("/srv/www/{site}/")).owner("www-data"));
        g.add(File::new(format!("/srv/www/{site}/index.html")).content(format!("<h1>{site}</h1>\n")));
        let vhost = format!("server {{ server_name {site}.example.org; root /srv/www/{site}; }}\n");
        let vhost = g.add(
            File::new(format!("/etc/nginx/sites/{site}")).content(vhost).notify(&check).notify(&restart).after(&conf),
        );
        let enabled = File::new(format!("/etc/nginx/enabled/{site}")).symlink(format!("../sites/{site}"));
        g.add(enabled.after(&vhost).notify(&restart).before(&check));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mgmt::testing::{Answer, Expect, Host, Settled, Survival};

    use super::*;

    /// A host with the programs that the graph runs.
    fn host() -> Host {
        let host = Host::new();
        host.command("nginx -t", Answer::ok());
        let sites = SITES.map(|site| format!("/etc/nginx/enabled/{site}"));
        host.service("nginx", [["/etc/nginx/nginx.conf".to_owned()].as_slice(), &sites].concat());
        host
    }

    #[test]
    fn the_graph_converges_and_a_second_run_changes_nothing() {
        let host = host();
        let mut run = host.start(web);
        run.converge();
        assert_eq!(run.graph().vertices.len(), 28);
        assert_eq!(host.read("/etc/nginx/enabled/blog"), host.read("/etc/nginx/sites/blog"));
        assert!(host.runs_with_present_files("nginx"));
        run.stop();
        let mut run = host.start(web);
        run.converge();
        run.assert_nothing_applied();
    }

    #[test]
    fn a_change_by_hand_is_repaired_and_the_server_is_restarted_once() {
        let host = host();
        let mut run = host.start(web);
        run.converge();
        run.forget();
        run.drift("file[/etc/nginx/sites/shop]");
        run.converge();
        run.assert_applied(["file[/etc/nginx/sites/shop]", "refresh exec[check nginx]", "refresh exec[restart nginx]"]);
    }

    #[test]
    fn a_wrong_configuration_is_never_put_in_force() {
        let host = host();
        // The refresh of the check fails, and what comes after it is not even looked at.
        host.stand_in("exec[check nginx]", Expect::new().in_sync().refresh_fails("nginx: unknown directive"));
        host.stand_in("exec[start nginx]", Expect::new());
        host.stand_in("exec[restart nginx]", Expect::new());
        assert_eq!(host.start(web).settle(), Settled::Hopeless);
        host.assert_expected();
    }

    #[test]
    fn a_full_disk_delays_one_site_and_no_other() {
        let host = host();
        host.fail_next("file[/srv/www/shop/index.html]", "no space left on device");
        host.slow("file[/srv/www/blog/index.html]", Duration::from_secs(600));
        let mut run = host.start(web);
        run.settle();
        assert!(!host.exists("/srv/www/shop/index.html") && host.exists("/srv/www/wiki/index.html"));
    }

    #[test]
    fn the_plan_is_as_it_was() {
        // The same text each time: compare it with a snapshot that is kept beside the test.
        let plan = host().plan(web).to_string();
        assert_eq!(plan, host().plan(web).to_string());
        assert!(SITES.iter().all(|site| plan.contains(&format!("file[/srv/www/{site}/]"))), "{plan}");
    }

    #[test]
    fn it_survives_every_single_fault() {
        Survival::new(web).host(host()).check();
    }
}

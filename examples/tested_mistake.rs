//! A graph with a mistake, and a test that finds it: nothing restarts the program when its keys change.
//!
//! `cargo test --example tested_mistake`; `cargo run --example tested_mistake -- plan`.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main("app", app)
}

/// A program with two files that it reads when it starts.
fn app(g: &mut Graph) -> Result<()> {
    g.add(File::new("/etc/app/").mode(0o755));
    let conf = g.add(File::new("/etc/app/app.conf").content("listen = 8080\n"));
    let keys = g.add(File::new("/etc/app/keys.conf").content("key = 17\n").mode(0o600));
    let start = Exec::new("start").cmd("systemctl start app").nifcmd("systemctl is-active app");
    let start = g.add(start.after((&conf, &keys)));
    // The mistake: it should also subscribe to the keys.
    g.add(Exec::new("restart").cmd("systemctl restart app").refreshonly(true).subscribe(&conf).after(&start));
    Ok(())
}

#[cfg(test)]
mod tests {
    use mgmt::testing::{Fault, Host, Invariant, Survival};

    use super::*;

    fn host() -> Host {
        let host = Host::new();
        host.service("app", ["/etc/app/app.conf", "/etc/app/keys.conf"]);
        host
    }

    #[test]
    fn a_run_does_not_show_the_mistake() {
        let host = host();
        host.start(app).converge();
        assert!(host.runs_with_present_files("app"));
    }

    #[test]
    fn the_faults_show_it() {
        let report = Survival::new(app).host(host()).report().unwrap();
        assert_eq!(report.broken.len(), 1, "{report}");
        let broken = &report.broken[0];
        assert_eq!(
            (broken.fault.as_str(), broken.invariant),
            ("drift file[/etc/app/keys.conf]", Invariant::ReachesTheSameState)
        );
        assert_eq!(
            broken.seen.lines().collect::<Vec<_>>(),
            [
                "- service app: disabled, runs with the present /etc/app/app.conf, with the present /etc/app/keys.conf",
                "+ service app: disabled, runs with the present /etc/app/app.conf, with an old /etc/app/keys.conf",
            ]
        );
        // One fault alone, as the report names it.
        let again = Survival::new(app).host(host()).only("drift file[/etc/app/keys.conf]").report().unwrap();
        assert_eq!((again.faults, again.broken.len()), (1, 1));
        assert!(
            Survival::new(app)
                .host(host())
                .faults([Fault::Crash, Fault::Fail, Fault::Hang])
                .report()
                .unwrap()
                .is_well()
        );
    }
}

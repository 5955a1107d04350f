//! Timers of a simulated host; those of a real systemd are in `tests/it/cron.rs`.

use crate::graph::Graph;
use crate::resource::{Declare as _, Result};
use crate::resources::{Cron, File, Svc};
use crate::testing::{Host, Survival};

const TIMER: &str = "/etc/systemd/system/job.timer";

fn job(g: &mut Graph) -> Result<()> {
    g.add(Cron::new("job").time("daily").cmd(["/bin/true"]).reverse(true));
    Ok(())
}

#[test]
fn a_timer_is_made_kept_and_put_back() {
    let host = Host::new();
    let mut run = host.start(job);
    run.converge();
    run.assert_applied(["cron[job]"]);
    let text = host.read(TIMER).unwrap_or_default();
    assert!(text.contains("\nOnCalendar=daily\nUnit=job.service\n"), "{text}");
    assert!(host.runs("job.timer"));
    for harm in ["stop", "write", "remove"] {
        run.forget();
        match harm {
            "stop" => assert!(host.stop_service("job.timer")),
            "write" => host.write(TIMER, "[Timer]\nOnCalendar=weekly\n"),
            _ => assert!(host.remove(TIMER)),
        }
        run.converge();
        run.assert_applied(["cron[job]"]);
        assert_eq!(host.read(TIMER).as_deref(), Some(&*text), "{harm}");
        assert!(host.runs("job.timer"), "{harm}");
    }
    run.swap(|_: &mut Graph| Ok(()));
    run.converge();
    assert_eq!(host.read(TIMER), None);
    assert!(!host.runs("job.timer"));
}

#[test]
fn it_comes_after_the_unit_that_it_starts() {
    let host = Host::new();
    let unit = "/etc/systemd/system/trim.service";
    let mut run = host.start(|g: &mut Graph| {
        g.add(Cron::new("trim").time("weekly"));
        g.add(Svc::new("trim").disabled());
        g.add(File::new(unit).content("[Service]\nExecStart=/bin/trim\n[Install]\nWantedBy=multi-user.target\n"));
        Ok(())
    });
    run.converge();
    run.assert_applied([&format!("file[{unit}]")[..], "cron[trim]"]);
}

#[test]
fn it_survives_every_single_fault() {
    Survival::new(job).host(Host::new()).check();
}

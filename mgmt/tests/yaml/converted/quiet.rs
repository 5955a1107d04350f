//! The graph "quiet", converted from YAML.

use std::time::Duration;

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("quiet", declare)
}

/// Declares the resources, their order, and what they send one another.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    let noop_anchor = g.add(
        Noop::new("anchor")
            .comment("nothing")
            .retry(3)
            .delay(Duration::from_millis(10))
            .sema("one")
            .autoedge(false)
            .autogroup(false),
    );
    g.add(Noop::new("reported").alert(true).ignore(["comment"]));
    g.add(
        Msg::new("said")
            .body("this was said")
            .priority(Priority::Info)
            .fields([("number", "5")])
            .subscribe(&noop_anchor),
    );
    g.add(Print::new("printed").msg("this was printed"));
    g.add(Print::new("notified").msg("the anchor has changed").refresh_only(true));
    g.add(Timer::new("tick", Duration::from_secs(3600)));
    g.add(File::new("/tmp/corpus/never").content("never").noop(true));
    g.add(
        File::new("/tmp/corpus/polled")
            .content("polled")
            .backoff(Duration::from_secs(1))
            .watch(false)
            .poll(Duration::from_secs(60))
            .limit(10.0)
            .burst(2)
            .timeout(Duration::from_secs(60))
            .reverse(true)
            .rewatch(true)
            .reset(true)
            .converged_timeout(Duration::from_millis(50)),
    );
    Ok(())
}

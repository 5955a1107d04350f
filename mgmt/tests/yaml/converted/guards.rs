//! The graph "guards", converted from YAML.

use std::time::Duration;

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("guards", declare)
}

/// Declares the resources, their order, and what they send one another.
// Commands of YAML graphs inherit the environment; here they have `PATH` alone: give `.env(…)` what else they need.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    g.add(Exec::new("arguments").cmd("touch").args(["/tmp/corpus/a b", "/tmp/corpus/c"]));
    g.add(
        Exec::new("environment")
            .cmd("echo \"$WORD\" > word")
            .shell("/bin/sh")
            .cwd("/tmp/corpus")
            .env([("WORD", "given")]),
    );
    g.add(Exec::new("there").cmd("touch /tmp/corpus/there-already").creates("/tmp/corpus/old"));
    g.add(Exec::new("not there").cmd("touch /tmp/corpus/created").creates("/tmp/corpus/created"));
    g.add(
        Exec::new("newer")
            .cmd("touch /tmp/corpus/newer")
            .creates("/tmp/corpus/stale")
            .mtimes(["/tmp/corpus/old"]),
    );
    g.add(
        Exec::new("unless")
            .cmd("touch /tmp/corpus/unless")
            .nifcmd("test -e old")
            .nifshell("/bin/sh")
            .nifcwd("/tmp/corpus"),
    );
    g.add(
        Exec::new("unless not")
            .cmd("touch /tmp/corpus/unless-not")
            .nifcmd("test -e nothing")
            .nifcwd("/tmp/corpus"),
    );
    g.add(
        Exec::new("equal")
            .cmd("touch /tmp/corpus/equal")
            .ifcmd("cat old")
            .ifshell("/bin/sh")
            .ifcwd("/tmp/corpus")
            .ifequals("was here"),
    );
    g.add(
        Exec::new("other")
            .cmd("touch /tmp/corpus/other")
            .ifcmd("cat /tmp/corpus/old")
            .ifequals("never here"),
    );
    g.add(
        Exec::new("codes")
            .cmd("touch /tmp/corpus/codes; exit 2")
            .shell("/bin/sh")
            .codes([0u8, 2u8])
            .ifcmd(["true", "test -e /tmp/corpus/old"]),
    );
    g.add(
        Exec::new("done")
            .cmd("echo did > /tmp/corpus/did")
            .shell("/bin/sh")
            .donecmd("echo done > done")
            .doneshell("/bin/sh")
            .donecwd("/tmp/corpus"),
    );
    g.add(
        Exec::new("limited")
            .cmd("touch /tmp/corpus/limited")
            .timeout(Duration::from_secs(30))
            .sig("INT"),
    );
    g.add(
        Exec::new("watching")
            .cmd("echo once >> /tmp/corpus/watching")
            .shell("/bin/sh")
            .watchcmd("cat lines; exec sleep 1000")
            .watchshell("/bin/sh")
            .watchcwd("/tmp/corpus/src")
            .watchfiles(["/tmp/corpus/src/top"])
            .retry(-1)
            .delay(Duration::from_millis(100)),
    );
    g.add(
        Exec::new("second try")
            .cmd("test -e /tmp/corpus/tried || { touch /tmp/corpus/tried; exit 1; }")
            .shell("/bin/sh")
            .retry(2)
            .delay(Duration::from_millis(50))
            .backoff(Duration::from_millis(200)),
    );
    Ok(())
}

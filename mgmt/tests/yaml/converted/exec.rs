//! The graph "exec", converted from YAML.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("exec", declare)
}

/// Declares the resources, their order, and what they send one another.
// Commands of YAML graphs inherit the environment; here they have `PATH` alone: give `.env(…)` what else they need.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    g.add(Exec::new("plain").cmd("touch /tmp/corpus/plain"));
    g.add(
        Exec::new("shell")
            .cmd("echo \"$GREETING\" | tr a-z A-Z > /tmp/corpus/shell")
            .shell("/bin/sh"),
    );
    g.add(
        Exec::new("guarded")
            .cmd("touch /tmp/corpus/guarded")
            .ifcmd("false")
            .undo("rm /tmp/corpus/guarded")
            .undoshell("/bin/sh")
            .undocwd("/"),
    );
    g.add(Exec::new("allowed").cmd("touch /tmp/corpus/allowed").ifcmd("test -e /tmp/corpus"));
    let exec_chained = g.add(
        Exec::new("chained")
            .cmd("echo 1 >> /tmp/corpus/log")
            .shell("/bin/sh"),
    );
    g.add(Exec::new("last").cmd("echo 2 >> /tmp/corpus/log").shell("/bin/sh").after(&exec_chained));
    Ok(())
}

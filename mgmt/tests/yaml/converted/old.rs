//! The graph "old", converted from YAML.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("old", declare)
}

/// Declares the resources, their order, and what they send one another.
// Commands of YAML graphs inherit the environment; here they have `PATH` alone: give `.env(…)` what else they need.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    g.add(File::new("/tmp/corpus/gone").state(FileState::Absent));
    g.add(File::new("/tmp/corpus/dir/").state(FileState::Exists));
    g.add(Exec::new("x").cmd("touch /tmp/corpus/x"));
    Ok(())
}

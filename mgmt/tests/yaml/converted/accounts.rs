//! The graph "accounts", converted from YAML.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("accounts", declare)
}

/// Declares the resources, their order, and what they send one another.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    g.add(
        Group::new("no-such-group")
            .gid(4294967u32)
            .system(true)
            .allowduplicategid(true)
            .noop(true),
    );
    g.add(Group::new("no-other-group").state(AccountState::Absent));
    g.add(File::new("/tmp/corpus/made").content("made"));
    Ok(())
}

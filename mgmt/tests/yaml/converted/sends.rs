//! The graph "sends", converted from YAML.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("sends", declare)
}

/// Declares the resources, their order, and what they send one another.
// Commands of YAML graphs inherit the environment; here they have `PATH` alone: give `.env(…)` what else they need.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    let exec_make = g.add(Exec::new("make").cmd("printf made"));
    let value_passed = g.add(Value::new("passed").value(exec_make.stdout()));
    g.add(File::new("/tmp/corpus/got").content(value_passed.output()));
    let password_p = g.add(Password::new("p").length(8usize));
    g.add(File::new("/tmp/corpus/secret").content(password_p.password()));
    Ok(())
}

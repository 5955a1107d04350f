//! The graph "sends", converted from YAML.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("sends", declare)
}

/// Declares the resources, their order, and what they send one another.
// Commands of YAML graphs inherit the environment; here they have `PATH` alone: give `.env(…)` what else they need.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    let exec_make = g.add(Exec::new("make").cmd("printf made"));
    let exec_also = g.add(Exec::new("also").cmd("printf also"));
    let value_passed = g.add(Value::new("passed").value(exec_make.stdout()));
    let value_several = g.add(
        Value::new("several")
            .any("[\"one\",2,{\"three\":3}]".parse::<mgmt::resource::Any>()?),
    );
    let value_number = g.add(Value::new("number").any(8));
    let value_given = g.add(
        Value::new("given")
            .template("{{ a }}-{{ b }}")
            .values("{\"a\":1,\"b\":\"x\"}".parse::<mgmt::resource::Values>()?),
    );
    let test_listed = g.add(
        Test::new("listed")
            .uint8(value_number.typed().to::<u8>())
            .list(Output::all([exec_make.stdout(), exec_also.stdout()])),
    );
    let value_joined = g.add(
        Value::new("joined")
            .template("{{ make | upper }} {{ too }} {{ list[2].three }}{{ l | length }}\n")
            .values(Named::new().and("make", exec_make.stdout()).and("too", exec_also.stdout()).and("list", value_several.typed()).and("l", test_listed.list_sent())),
    );
    let password_p = g.add(Password::new("p").length(8usize));
    let value_login = g.add(
        Value::new("login")
            .template("{{ user }}:{{ p }}")
            .values(Named::new().and("user", exec_make.stdout()).and_secret("p", password_p.password())),
    );
    g.add(File::new("/tmp/corpus/got").content(value_passed.output()));
    g.add(File::new("/tmp/corpus/secret").content(password_p.password()));
    g.add(File::new("/tmp/corpus/several").content(value_several.output()));
    g.add(File::new("/tmp/corpus/given").content(value_given.output()));
    g.add(File::new("/tmp/corpus/joined").content(value_joined.output()));
    g.add(File::new("/tmp/corpus/login").content(value_login.secret()));
    Ok(())
}

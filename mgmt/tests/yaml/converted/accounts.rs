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
    let password_p = g.add(Password::new("p").length(8usize));
    g.add(
        User::new("no-such-user")
            .uid(4294967u32)
            .group("no-such-group")
            .groups(["no-other-group"])
            .appendgroups(true)
            .homedir("/nonexistent/home")
            .createhome(true)
            .movehome(true)
            .shell("/bin/sh")
            .comment("No One")
            .system(true)
            .allowduplicateuid(true)
            .password(password_p.hash())
            .locked(true)
            .expires("2030-01-31")
            .hidden(true),
    );
    g.add(User::new("no-other-user").gid(4294967u32).noop(true));
    g.add(User::new("no-third-user").state(AccountState::Absent).removehome(true));
    g.add(
        SshAuthorizedKey::new("laptop", "no-such-user")
            .r#type("ssh-ed25519")
            .key("AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f")
            .comment("no one")
            .options(["no-pty", "command=\"echo a, b\""])
            .file("/nonexistent/keys")
            .noop(true),
    );
    g.add(
        SshAuthorizedKey::new("gone", "no-such-user")
            .state(AccountState::Absent)
            .content("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f no one"),
    );
    g.add(File::new("/tmp/corpus/made").content("made"));
    Ok(())
}

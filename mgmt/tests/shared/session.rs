//! A program in a session of its own. Several test programs include this file.

use std::process::{Command, Stdio};

/// The same program without a terminal, where SIGHUP would end it. It has no input; its output is that of this process.
pub(crate) fn without_terminal(program: &Command) -> Command {
    let mut command = Command::new("setsid");
    command.arg(program.get_program()).args(program.get_args()).stdin(Stdio::null());
    if let Some(dir) = program.get_current_dir() {
        command.current_dir(dir);
    }
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

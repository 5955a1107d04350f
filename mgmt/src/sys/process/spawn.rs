//! Starting a command.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command as StdCommand, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Gid, Pid};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities, set_thread_groups, set_thread_res_gid};
use tokio::sync::oneshot;

use super::account::{Identity, identify};
use super::child::{Child, Leader};
use super::command::{Command, Env};
use super::error::ProcessError;
use super::guard;
use crate::sys::limits;
use crate::sys::task::blocking;

/// How long a program that somebody has open for writing is tried again. A file that we have just written may still be open in a child that
/// another thread has forked and that has not yet come to its `exec`.
const BUSY_MAX: Duration = Duration::from_secs(2);

/// Start the command in a process group of its own.
pub(super) async fn start(command: &Command) -> Result<(Child, Pipes), ProcessError> {
    command.validate()?;
    let identity = match command.user.is_some() || command.group.is_some() {
        false => None,
        true => {
            let asked = command.clone();
            blocking(move || identify(&asked)).await?
        }
    };
    let path = command.resolve()?;
    let mut waited = Duration::ZERO;
    let mut pause = Duration::from_millis(1);
    let started = loop {
        match launch(command, &path, identity.clone()).await {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::TXTBSY) && waited < BUSY_MAX => {
                tokio::time::sleep(pause).await;
                waited += pause;
                pause = (pause * 2).min(Duration::from_millis(100));
            }
            other => break other,
        }
    };
    let mut leader = started.map_err(|error| command.explain(path, identity.as_ref(), error))?;
    let pipes = leader.take_pipes();
    Ok((Child::new(leader), pipes))
}

/// Our ends of a child's standard output and error.
pub(super) type Pipes = (Option<OwnedFd>, Option<OwnedFd>);

pub(super) async fn launch(command: &Command, path: &Path, identity: Option<Identity>) -> io::Result<Leader> {
    let mut std = describe(command, path, identity.as_ref());
    match identity {
        Some(identity) if !identity.groups.is_empty() => with_groups(std, identity).await,
        Some(identity) => {
            // For `uid` the standard library empties the list of supplementary groups: none of ours reach the child.
            std.gid(identity.gid).uid(identity.uid);
            spawn(std)
        }
        None => spawn(std),
    }
}

fn spawn(mut std: StdCommand) -> io::Result<Leader> {
    let (error, writer) = io::pipe()?;
    std.stderr(writer);
    let starting = guard::Starting::new(&error);
    let child = limits::under_the_first(|| std.spawn(), Pid::from_child)?;
    // It holds the other end of the pipe.
    drop(std);
    let leader = Leader::new(child, Some(error.into()));
    drop(starting);
    Ok(leader)
}

/// Variables by which a service manager is notified.
const OF_SERVICES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

fn describe(command: &Command, path: &Path, identity: Option<&Identity>) -> StdCommand {
    let mut std = StdCommand::new(path);
    std.arg0(&command.program).args(&command.args).process_group(0);
    std.stdin(Stdio::null()).stdout(Stdio::piped());
    if let Some(cwd) = &command.cwd {
        std.current_dir(cwd);
    }
    match &command.env {
        Env::Inherit => {
            // The service manager is notified by this process, not by its commands.
            for name in OF_SERVICES {
                std.env_remove(name);
            }
            let vars = identity.map(|who| who.vars.as_slice()).unwrap_or_default();
            std.envs(vars.iter().filter(|(name, _)| !command.sets(name)).map(|(n, v)| (n, v)));
        }
        Env::Explicit(vars) => {
            std.env_clear().envs(vars.iter().map(|(n, v)| (n, v)));
        }
    }
    for (name, value) in &command.vars {
        match value {
            Some(value) => std.env(name, value),
            None => std.env_remove(name),
        };
    }
    std
}

/// Start it with supplementary groups. The standard library has no stable way to give them, and would empty the list when it changes the user.
/// But credentials belong to the thread and a child begins with those of the thread that starts it. So a thread of its own takes on the groups,
/// lays down the right to change them again (then the standard library's attempt to empty the list fails, which it allows for), starts the
/// child, and ends.
async fn with_groups(mut std: StdCommand, identity: Identity) -> io::Result<Leader> {
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        std.uid(identity.uid);
        // If nobody waits any more, the leader is dropped and with it the group killed.
        let _ = sender.send(take_groups(&identity).and_then(|()| spawn(std)));
    };
    std::thread::Builder::new().name("mgmt-spawn".into()).stack_size(256 << 10).spawn(work)?;
    receiver.await.unwrap_or_else(|_| Err(io::Error::other("the thread that starts it has panicked")))
}

/// Changes the calling thread only.
fn take_groups(identity: &Identity) -> io::Result<()> {
    let gid = Gid::from_raw(identity.gid);
    let groups: Vec<Gid> = identity.groups.iter().map(|g| Gid::from_raw(*g)).chain([gid]).collect();
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    let mut sets = capabilities(None)?;
    sets.effective.remove(CapabilitySet::SETGID);
    Ok(set_capabilities(None, sets)?)
}

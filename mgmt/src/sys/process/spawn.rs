//! Starting a command.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Gid, Pid};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities, set_thread_groups, set_thread_res_gid};
use tokio::sync::oneshot;

use super::account::{Identity, identify};
use super::child::{Child, Leader};
use super::command::{Command, Env};
use super::error::ProcessError;
use super::guard;
use crate::sys::if_simulated;
use crate::sys::limits;
use crate::sys::signals::catch_ends_of_children;
use crate::sys::task::blocking;

/// How long the start is tried again if another process has the program open for writing. A file that we have just
/// written may still be open in a child that another thread has forked and that has not reached its `exec` yet.
const BUSY_MAX: Duration = Duration::from_secs(2);

/// The identity and the file of a command that is about to start.
async fn prepare(command: &Command) -> Result<(Option<Identity>, PathBuf), ProcessError> {
    command.validate()?;
    let identity = match command.user.is_some() || command.group.is_some() {
        false => None,
        true => {
            let asked = command.clone();
            blocking(move || identify(&asked)).await?
        }
    };
    Ok((identity, command.resolve()?))
}

/// The reason why the command can't start now, as far as that can be found without starting it.
pub async fn examine(command: &Command) -> Result<(), ProcessError> {
    if_simulated!(host => super::simulated::examine(&host, command).map(drop));
    let (identity, path) = prepare(command).await?;
    let command = command.clone();
    let found = move || command.look(&path).map_err(|error| command.explain(path, identity.as_ref(), error));
    blocking(found).await
}

/// Starts the command in a process group of its own.
pub(super) async fn start(command: &Command) -> Result<(Child, Pipes), ProcessError> {
    catch_ends_of_children();
    let (identity, path) = prepare(command).await?;
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

/// Starts a command that nothing ends, as the user of this process, with these as its standard output and error.
pub(super) async fn start_outliving(command: &Command, [out, err]: [Stdio; 2]) -> Result<Child, ProcessError> {
    catch_ends_of_children();
    let (_, path) = prepare(command).await?;
    let start = || {
        let mut std = describe(command, &path, None);
        if let Some(input) = &command.input {
            std.stdin(in_memory(input)?);
        }
        std.stdout(out).stderr(err);
        limits::under_the_first(|| std.spawn(), Pid::from_child)
    };
    match start() {
        Ok(child) => Ok(Child::new(Leader::outliving(child))),
        Err(error) => Err(command.explain(path, None, error)),
    }
}

/// Starts a command with a pipe for its standard input too, as the user of this process.
#[cfg(feature = "ssh")]
pub(super) async fn start_talking(command: &Command) -> Result<(Child, Option<OwnedFd>, Pipes), ProcessError> {
    catch_ends_of_children();
    let (_, path) = prepare(command).await?;
    let mut std = describe(command, &path, None);
    std.stdin(Stdio::piped());
    let mut leader = spawn(std).map_err(|error| command.explain(path, None, error))?;
    let (stdin, pipes) = (leader.take_stdin(), leader.take_pipes());
    Ok((Child::new(leader), stdin, pipes))
}

/// Our ends of a child's standard output and error.
pub(super) type Pipes = (Option<OwnedFd>, Option<OwnedFd>);

pub(super) async fn launch(command: &Command, path: &Path, identity: Option<Identity>) -> io::Result<Leader> {
    let mut std = describe(command, path, identity.as_ref());
    if let Some(input) = &command.input {
        std.stdin(in_memory(input)?);
    }
    match identity {
        Some(identity) if !identity.groups.is_empty() => with_groups(std, identity).await,
        Some(identity) => {
            // With `uid`, the standard library clears the supplementary groups: the child gets none of ours.
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
    // `std` holds the other end of the pipe.
    drop(std);
    let leader = Leader::new(child, Some(error.into()));
    drop(starting);
    Ok(leader)
}

/// A file without a name.
pub(super) fn memory(shown: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(shown, MemfdFlags::CLOEXEC)?))
}

/// A file without a name, open at the beginning of this content: unlike a pipe, it takes all of it at once.
fn in_memory(content: &[u8]) -> io::Result<File> {
    let mut file = memory("mgmt-input")?;
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

/// Variables by which a service manager is notified.
const OF_SERVICES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// The variable that makes an executable the far end of a run on another machine; its value is repeated in the line with
/// which the far end begins. It is for that process alone, not for its commands.
pub const FAR_END_VARIABLE: &str = "MGMT_FAR_END";

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
            for name in OF_SERVICES.into_iter().chain([FAR_END_VARIABLE]) {
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

/// Starts the command with supplementary groups. The standard library has no stable way to set them, and clears the
/// list when it changes the user. But credentials belong to a thread, and a child begins with those of the thread that
/// starts it. So a new thread sets the groups, gives up the capability to change them again (the standard library then
/// fails to clear the list, and ignores that), starts the child, and ends.
async fn with_groups(mut std: StdCommand, identity: Identity) -> io::Result<Leader> {
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        std.uid(identity.uid);
        // If the caller is gone, the leader is dropped, which kills the group.
        let _ = sender.send(take_groups(&identity).and_then(|()| spawn(std)));
    };
    std::thread::Builder::new().name("mgmt-spawn".into()).stack_size(256 << 10).spawn(work)?;
    receiver.await.unwrap_or_else(|_| Err(io::Error::other("the thread that starts it has panicked")))
}

/// Sets the groups of the calling thread only.
fn take_groups(identity: &Identity) -> io::Result<()> {
    let gid = Gid::from_raw(identity.gid);
    let groups: Vec<Gid> = identity.groups.iter().map(|g| Gid::from_raw(*g)).chain([gid]).collect();
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    let mut sets = capabilities(None)?;
    sets.effective.remove(CapabilitySet::SETGID);
    Ok(set_capabilities(None, sets)?)
}

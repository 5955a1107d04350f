//! The commands that mount, and the end of what they do.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use crate::resource::{ApplyCx, CheckCx, Context as _, Error, Result};
use crate::resources::mount::active::{self, Active};
use crate::resources::mount::flags::Switches;
use crate::resources::mount::fstab::Entry;
use crate::resources::mount::holders;
use crate::resources::mount::look::swap;
use crate::resources::mount::wanted::{Wanted, What};
use crate::sys::facts::SYSTEMD;
use crate::sys::process::{Command, Env, run_guarded};

/// The directories in which the programs are found.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The most mounts of one mount point that hide one another.
const STACKED_MAX: usize = 64;

/// A command, with its messages in English.
pub(super) fn command<I: IntoIterator<Item: AsRef<str>>>(program: &str, args: I) -> Command {
    let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
    let variables = [("PATH".into(), PATH.into()), ("LC_ALL".into(), "C".into())];
    Command::new(program).args(args).env(Env::Explicit(variables.into_iter().collect()))
}

/// Runs a command, which must succeed.
async fn run(cx: &CheckCx, command: Command) -> Result<()> {
    let ran = run_guarded(command.clone(), cx.work("waiting for its command to end")).await;
    ran.and_then(|output| output.require_success(&command))?;
    Ok(())
}

/// The command that mounts what an entry describes.
pub(super) fn mounting(entry: &Entry) -> Command {
    let mut args = Vec::new();
    if !["auto", "none"].contains(&entry.fstype.as_str()) {
        args.extend(["-t", &entry.fstype].map(str::to_owned));
    }
    if !entry.options.is_empty() {
        args.extend(["-o".to_owned(), entry.options.join(",")]);
    }
    args.extend(["--", &entry.device, &entry.point].map(str::to_owned));
    command("mount", args)
}

/// The command that gives a mount its options.
pub(super) fn remounting(entry: &Entry, is_bind: bool, now: &Active) -> Command {
    let mut options = vec!["remount".to_owned()];
    if is_bind {
        // A bind mount keeps the switches that are not declared.
        options.push("bind".to_owned());
        let both: Vec<String> = now.options.iter().chain(&entry.options).cloned().collect();
        options.extend(Switches::of(&both).words().into_iter().map(str::to_owned));
        return command("mount", ["-o", &options.join(","), "--", &entry.point]);
    }
    options.extend(Switches::of(&entry.options).words().into_iter().map(str::to_owned));
    options.extend(entry.options.iter().cloned());
    command("mount", ["-o", &options.join(","), "--", &entry.device, &entry.point])
}

/// The command that puts a swap device into use.
pub(super) fn swapping_on(entry: &Entry) -> Command {
    let options = entry.options.join(",");
    let options: &[&str] = if options.is_empty() { &[] } else { &["-o", &options] };
    command("swapon", options.iter().copied().chain(["--", &entry.device]))
}

/// Mounts it.
pub(super) async fn mount(cx: &ApplyCx, wanted: &Wanted) -> Result<()> {
    let What::Point(point) = &wanted.what else { return run(cx, swapping_on(&wanted.entry)).await };
    run(cx, mounting(&wanted.entry)).await?;
    let at = point.clone();
    match cx.look(move |fs, _| active::mounts(fs, &at)).await?.here.last() {
        Some(_) => Ok(()),
        None => {
            let why =
                "`mount` has succeeded, and nothing is mounted: another program, such as systemd, has unmounted it";
            Err(Error::new(why))
        }
    }
}

/// Gives it its options.
pub(super) async fn remount(cx: &ApplyCx, wanted: &Wanted) -> Result<()> {
    let What::Point(point) = &wanted.what else { return Ok(()) };
    let at = point.clone();
    let Some(now) = cx.look(move |fs, _| active::mounts(fs, &at)).await?.here.pop() else { return Ok(()) };
    run(cx, remounting(&wanted.entry, wanted.is_bind(), &now)).await
}

/// Unmounts it, as often as something is mounted there.
pub(super) async fn unmount(cx: &ApplyCx, wanted: &Wanted) -> Result<()> {
    let What::Point(point) = &wanted.what else {
        let device = wanted.entry.device.clone();
        return match cx.look(move |fs, _| swap(fs, &device)).await? {
            Some(found) => run(cx, command("swapoff", ["--", &found.device])).await,
            None => Ok(()),
        };
    };
    for _ in 0..STACKED_MAX {
        let at = point.clone();
        if cx.look(move |fs, _| active::mounts(fs, &at)).await?.here.is_empty() {
            return Ok(());
        }
        let Err(error) = run(cx, command("umount", ["--", &wanted.entry.point])).await else { continue };
        let at = point.clone();
        return Err(match error.to_string().contains("busy") {
            true => cx.look(move |fs, stop| holders::busy(fs, &at, stop)).await.unwrap_or(error),
            false => error,
        });
    }
    Err(Error::new(format!("more than {STACKED_MAX} file systems are mounted over one another here: unmount them")))
}

/// The changes of the file, and how many of them systemd has read.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    changed: AtomicU64,
    read: Mutex<u64>,
}

impl Reloads {
    /// The file was changed.
    pub(super) fn changed(&self) {
        self.changed.fetch_add(1, Ordering::SeqCst);
    }
}

/// Lets systemd read the changed file, if it runs: it makes units of the entries, and with an old one it would unmount
/// a file system whose device has changed. One call serves all that have changed the file before it.
pub(super) async fn reload(cx: &ApplyCx) -> Result<()> {
    let is_there = cx.look(|fs, _| fs.stat(Path::new(SYSTEMD))).await?.is_some_and(|found| found.is_dir());
    if !is_there {
        return Ok(());
    }
    let reloads: Arc<Reloads> = cx.shared::<Reloads>();
    let wanted = reloads.changed.load(Ordering::SeqCst);
    let mut read = reloads.read.lock().await;
    if *read >= wanted && wanted > 0 {
        return Ok(());
    }
    let now = reloads.changed.load(Ordering::SeqCst);
    run(cx, command("systemctl", ["daemon-reload"])).await.context("systemd can't read the changed file")?;
    *read = now;
    Ok(())
}

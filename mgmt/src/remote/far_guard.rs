//! Watches over a run that is not confirmed, as a process of its own: if the run is killed before it is decided, or the
//! machine is rebooted, this process puts back what the run has changed.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::gapi::Gapi;
use crate::graph::ContentId;
use crate::runtime::trial::{TrialPlace, is_pending};
use crate::runtime::{Builder, EngineError, JournalError};
use crate::sys::facts::SYSTEMD;
use crate::sys::fs::{Replace, WriteFs, WriteOptions};
use crate::sys::process::{Command, Earlier, FAR_END_VARIABLE, Status, own_session, run, spawn_alone};
use crate::sys::task::blocking;
use crate::sys::unit_text::{assignment, command_word};
use crate::sys::users::is_root;

/// What the value of the variable begins with in a process that watches.
const MARK: &str = "guard ";
/// How often the run is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How often another engine is waited for that uses the working directory.
const BUSY: Duration = Duration::from_secs(1);
/// How long a command to systemd may take.
const COMMAND_MAX: Duration = Duration::from_secs(30);
/// Where the units are that outlast a reboot, and those that are started with the machine.
const UNITS: &str = "/etc/systemd/system";
const STARTED: &str = "/etc/systemd/system/multi-user.target.wants";
/// The variables of a login that matter at the next start of the machine.
const KEPT_VARIABLES: [&str; 4] = ["PATH", "HOME", "USER", "LOGNAME"];

/// What a process that watches must know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Guard {
    prefix: PathBuf,
    /// The trial that the run is.
    trial: String,
    /// The process of the run.
    run: Earlier,
    /// The unit that it is.
    unit: Option<String>,
}

/// The task of this process if it watches, from the value of its variable.
pub(super) fn guard_of(value: &OsStr) -> Option<Guard> {
    serde_json::from_str(value.to_str()?.strip_prefix(MARK)?).ok()
}

/// Starts a process that watches over the run of this one, before that changes anything. Returns what it can't do.
/// `outlasts`: also if the machine is rebooted meanwhile.
pub(super) async fn begin(prefix: &Path, trial: &str, outlasts: bool) -> Result<Option<String>, String> {
    let run = i32::try_from(std::process::id()).ok().and_then(Earlier::of);
    let run = run.ok_or_else(|| "/proc has no entry for this process".to_owned())?;
    let guard = Guard { prefix: prefix.to_owned(), trial: trial.to_owned(), run, unit: None };
    let program = std::env::current_exe().map_err(|error| format!("the path of this program is not known: {error}"))?;
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut lack = None;
    if outlasts && is_root() && Path::new(SYSTEMD).is_dir() {
        match guard.clone().begin_unit(&program, &words).await {
            Ok(()) => return Ok(None),
            Err(why) => lack = Some(format!("what is not confirmed is not put back after a reboot: {why}")),
        }
    }
    let nowhere = OpenOptions::new().write(true).open("/dev/null").map_err(|error| format!("/dev/null: {error}"))?;
    let variable = (FAR_END_VARIABLE.to_owned(), OsString::from(guard.value()?));
    spawn_alone(&program, &words, &[variable], nowhere)
        .map_err(|error| format!("{} can't be started to watch over the run: {error}", program.display()))?;
    Ok(lack)
}

impl Guard {
    fn value(&self) -> Result<String, String> {
        let data = serde_json::to_string(self);
        let data = data.map_err(|_| format!("the path {} must be UTF-8", self.prefix.display()))?;
        Ok(format!("{MARK}{data}"))
    }

    /// Writes and starts a unit that is also started with the machine, as long as it exists.
    async fn begin_unit(mut self, program: &Path, words: &[OsString]) -> Result<(), String> {
        // One name for each working directory, which has one run.
        let digest = ContentId::of(self.prefix.as_os_str().as_encoded_bytes()).to_string();
        let unit = format!("mgmt-put-back-{}.service", &digest[..12]);
        self.unit = Some(unit.clone());
        let text = unit_text(program, words, &self.value()?)?;
        let file = Path::new(UNITS).join(&unit);
        let written = blocking(move || {
            let fs = WriteFs::new();
            fs.write_file(&file, text.as_bytes(), &WriteOptions::new().mode(0o600))?;
            fs.make_dirs(STARTED, &Default::default())?;
            let link = Path::new(STARTED).join(file.file_name().unwrap_or_default());
            fs.make_symlink(link, &file, Replace::NotDirectory).map(drop)
        });
        written.await.map_err(|error| error.to_string())?;
        systemctl(&["daemon-reload"]).await?;
        systemctl(&["start", &unit]).await
    }

    /// Watches until the run is decided, and puts back what it has changed if it can't do so itself.
    pub(super) async fn watch<G: Gapi>(
        self,
        builder: impl FnOnce() -> Result<Builder<G>, String>,
    ) -> Result<(), String> {
        own_session();
        let place = TrialPlace::of(&self.prefix);
        while self.run.runs() && !place.is_confirmed(&self.trial) {
            sleep(LOOK).await;
        }
        let put_back = if is_pending(&self.prefix) { self.put_back(builder()?).await } else { Ok(()) };
        // If something could not be put back, each start of an engine tries again.
        if !is_pending(&self.prefix) {
            self.end_unit().await;
        }
        put_back
    }

    async fn put_back<G: Gapi>(&self, builder: Builder<G>) -> Result<(), String> {
        let builder = builder.prefix(&self.prefix);
        loop {
            match builder.afterwards().put_back().await {
                Ok(None) => return Ok(()),
                Ok(Some(engine)) => {
                    engine.converged().await.map_err(|error| error.to_string())?;
                    return engine.stop().await.map_err(|error| error.to_string());
                }
                // Another run has begun, and decides about this one too.
                Err(EngineError::Journal(JournalError::Locked { .. })) => sleep(BUSY).await,
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    async fn end_unit(&self) {
        let Some(unit) = self.unit.clone() else { return };
        let removed = blocking(move || {
            let fs = WriteFs::new();
            fs.remove_file(Path::new(STARTED).join(&unit))?;
            fs.remove_file(Path::new(UNITS).join(&unit))
        });
        match removed.await {
            Ok(_) => drop(systemctl(&["daemon-reload"]).await),
            Err(error) => tracing::warn!(target: "mgmt", "the unit that is done can't be removed: {error}"),
        }
    }
}

fn unit_text(program: &Path, words: &[OsString], value: &str) -> Result<String, String> {
    let utf_8 =
        |word: &OsStr| word.to_str().map(str::to_owned).ok_or_else(|| format!("{} is no UTF-8", word.display()));
    let all = std::iter::once(program.as_os_str()).chain(words.iter().map(OsString::as_os_str));
    let exec: Vec<String> = all.map(|word| Ok(command_word(&utf_8(word)?))).collect::<Result<_, String>>()?;
    let mut text = format!(
        "# Written by a run of `remote run --confirm`, and removed when that is decided.\n[Unit]\nDescription=Puts back \
         what a run of mgmt has changed that was not confirmed\nAfter=network.target dbus.service\n\n[Service]\n\
         Type=exec\nExecStart={}\nKillMode=process\nEnvironment={}\n",
        exec.join(" "),
        assignment(&format!("{FAR_END_VARIABLE}={value}"))
    );
    for name in KEPT_VARIABLES {
        if let Ok(value) = std::env::var(name) {
            let _ = writeln!(text, "Environment={}", assignment(&format!("{name}={value}")));
        }
    }
    text.push_str("\n[Install]\nWantedBy=multi-user.target\n");
    Ok(text)
}

async fn systemctl(words: &[&str]) -> Result<(), String> {
    let output = run(&Command::new("systemctl").args(words.iter().copied()).timeout(COMMAND_MAX)).await;
    let output = output.map_err(|error| format!("systemctl: {error}"))?;
    match output.status {
        Status::Exit(0) => Ok(()),
        _ => Err(format!("`systemctl {}`: {}", words.join(" "), output.stderr.text().trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_watches_knows_its_task_and_another_one_does_not() {
        let run = Earlier::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        let (prefix, trial) = ("/a \"b\"\n".into(), "it".to_owned());
        let guard = Guard { prefix, trial, run, unit: Some("u.service".into()) };
        let value = guard.value().unwrap();
        let read = guard_of(OsStr::new(&value)).unwrap();
        assert!(read.prefix == guard.prefix && read.run == guard.run && read.unit == guard.unit);
        assert!(guard_of(OsStr::new("abcdefgh")).is_none());
        let text = unit_text(Path::new("/a b/mgmt"), &["remote".into(), "a$b%".into()], &value).unwrap();
        assert!(text.contains("ExecStart=\"/a b/mgmt\" remote") && text.contains("a$$b%%"), "{text}");
    }
}

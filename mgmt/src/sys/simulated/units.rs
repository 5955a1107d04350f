//! The services of a simulated host: a service runs with the configuration as it was when it started.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use super::commands::{Answer, Called};
use super::host::{Host, Part, lock};

/// All services.
#[derive(Debug, Default)]
struct Units(Mutex<BTreeMap<String, Unit>>);

/// A service.
#[derive(Clone, Debug, Default)]
struct Unit {
    /// The files that it reads when it starts.
    reads: Vec<PathBuf>,
    is_enabled: bool,
    /// What it has read; `None`: it does not run.
    runs_with: Option<BTreeMap<PathBuf, Vec<u8>>>,
}

impl Part for Units {
    fn fork(&self) -> Units {
        Units(Mutex::new(lock(&self.0).clone()))
    }

    fn state(&self, host: &Host) -> Vec<String> {
        let all = lock(&self.0);
        all.iter().map(|(name, service)| format!("service {name}: {}", service.describe(host))).collect()
    }
}

impl Unit {
    fn describe(&self, host: &Host) -> String {
        let enabled = if self.is_enabled { "enabled" } else { "disabled" };
        let Some(read) = &self.runs_with else { return format!("{enabled}, does not run") };
        let with = read.iter().map(|(path, content)| {
            let is_present = host.read_bytes(path).is_some_and(|now| now == *content);
            let which = if is_present { "the present" } else { "an old" };
            format!(" with {which} {}", path.display())
        });
        format!("{enabled}, runs{}", with.collect::<Vec<_>>().join(","))
    }

    /// Reads the files; fails if one is missing.
    fn start(&mut self, host: &Host) -> Result<(), PathBuf> {
        let read = self.reads.iter().map(|path| match host.read_bytes(path) {
            Some(content) => Ok((path.clone(), content)),
            None => Err(path.clone()),
        });
        self.runs_with = Some(read.collect::<Result<_, _>>().inspect_err(|_| self.runs_with = None)?);
        Ok(())
    }
}

impl Host {
    /// Adds a service that is disabled and does not run; `systemctl` can start it and so on. When it starts, it reads
    /// these files, without which it fails to start, and it runs with what they contained then. The state of the host
    /// has a line about it.
    pub fn service(&self, name: &str, reads: impl IntoIterator<Item = impl Into<PathBuf>>) {
        let reads = reads.into_iter().map(Into::into).collect();
        let service = Unit { reads, ..Unit::default() };
        lock(&self.part::<Units>().0).insert(name.to_owned(), service);
    }

    /// Whether the service runs.
    pub fn runs(&self, name: &str) -> bool {
        lock(&self.part::<Units>().0).get(name).is_some_and(|service| service.runs_with.is_some())
    }

    /// Whether the service runs with the present content of all files that it reads.
    pub fn runs_with_present_files(&self, name: &str) -> bool {
        let services = self.part::<Units>();
        let all = lock(&services.0);
        let read = all.get(name).and_then(|service| service.runs_with.as_ref());
        read.is_some_and(|read| read.iter().all(|(path, old)| self.read_bytes(path).as_ref() == Some(old)))
    }

    /// Starts the services that run and read one of these files once more, as a restart by hand would: they run with
    /// the files as they are now. Returns their names.
    pub fn restart_readers_of(&self, paths: &[PathBuf]) -> Vec<String> {
        let services = self.part::<Units>();
        let mut restarted = Vec::new();
        for (name, service) in lock(&services.0).iter_mut() {
            let reads = service.reads.iter().any(|path| paths.iter().any(|changed| path.starts_with(changed)));
            if reads && service.runs_with.is_some() {
                // One that can't start does not run then.
                let _ = service.start(self);
                restarted.push(name.clone());
            }
        }
        restarted
    }
}

/// The program `systemctl`, with the words that graphs use.
pub(super) fn systemctl(called: &Called<'_>) -> Answer {
    let mut words = called.args().iter().filter(|arg| !arg.starts_with('-')).map(String::as_str);
    let Some(verb) = words.next() else { return Answer::ok() };
    if verb == "daemon-reload" {
        return Answer::ok();
    }
    let services = called.host.part::<Units>();
    let mut all = lock(&services.0);
    let mut answer = Answer::ok();
    for unit in words {
        let name = unit.strip_suffix(".service").unwrap_or(unit);
        let Some(service) = all.get_mut(name) else {
            return Answer::fails(5, format!("Failed to {verb} {unit}: Unit {name}.service not found.\n"));
        };
        let started = match (verb, service.runs_with.is_some()) {
            ("start", false) | ("restart" | "reload-or-restart", _) | ("reload" | "try-restart", true) => {
                service.start(called.host)
            }
            ("reload", false) => return Answer::fails(1, format!("{unit} is not active, cannot reload.\n")),
            ("is-active", runs) => {
                answer.stdout.push_str(if runs { "active\n" } else { "inactive\n" });
                answer.code = if runs { answer.code } else { 3 };
                Ok(())
            }
            ("is-enabled", _) => {
                answer.stdout.push_str(if service.is_enabled { "enabled\n" } else { "disabled\n" });
                answer.code = if service.is_enabled { answer.code } else { 1 };
                Ok(())
            }
            ("start" | "try-restart", _) => Ok(()),
            ("stop", _) => {
                service.runs_with = None;
                Ok(())
            }
            ("enable" | "disable", _) => {
                service.is_enabled = verb == "enable";
                if !called.args().iter().any(|arg| arg == "--now") {
                    Ok(())
                } else if verb == "enable" {
                    service.start(called.host)
                } else {
                    service.runs_with = None;
                    Ok(())
                }
            }
            _ => return Answer::fails(1, format!("Unknown command verb {verb}.\n")),
        };
        if let Err(missing) = started {
            return Answer::fails(1, format!("Job for {unit} failed: {} does not exist.\n", missing.display()));
        }
    }
    answer
}

//! The services of a simulated host: a service runs with the configuration as it was when it started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::commands::{Answer, Called};
use super::host::{Host, Part, lock};

/// All services.
#[derive(Debug, Default)]
pub(in crate::sys) struct Units(Mutex<BTreeMap<String, Unit>>);

/// A service.
#[derive(Clone, Debug, Default)]
struct Unit {
    /// The host was given it without a unit file.
    is_given: bool,
    /// The files that it reads when it starts.
    reads: Vec<PathBuf>,
    /// Its unit file, with what was in it when the service manager read it.
    file: Option<(PathBuf, Vec<u8>)>,
    startup: Startup,
    has_failed: bool,
    /// What it has read; `None`: it does not run.
    runs_with: Option<BTreeMap<PathBuf, Vec<u8>>>,
}

/// When a service is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Startup {
    #[default]
    Disabled,
    Enabled,
    Masked,
}

/// What a service manager shows of a service.
#[cfg(feature = "dbus")]
#[derive(Debug)]
pub(in crate::sys) struct Shown {
    pub(in crate::sys) active: &'static str,
    pub(in crate::sys) file_state: &'static str,
    pub(in crate::sys) needs_reload: bool,
}

/// Where unit files are.
const DIRS: [&str; 4] =
    ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// The ends of the names of units that are no services.
const OTHER_ENDS: [&str; 5] = [".timer", ".socket", ".path", ".mount", ".target"];
/// Where each service has a file that changes with its state.
const STATES: &str = "/run/systemd/units";

impl Part for Units {
    fn fork(&self) -> Units {
        Units(Mutex::new(lock(&self.0).clone()))
    }

    fn state(&self, host: &Host) -> Vec<String> {
        let all = lock(&self.0);
        all.iter().map(|(name, service)| format!("service {name}: {}", service.describe(host))).collect()
    }
}

impl Units {
    /// Does something with a service, if there is one of this name, and makes its state known.
    fn with<T>(&self, host: &Host, name: &str, does: impl FnOnce(&mut Unit) -> T) -> Option<T> {
        let name = plain(name);
        let mut all = lock(&self.0);
        if !all.contains_key(name) {
            let file = unit_file(host, name)?;
            all.insert(name.to_owned(), Unit { file: Some(file), ..Unit::default() });
        }
        let unit = all.get_mut(name)?;
        let before = unit.words();
        let value = does(unit);
        let after = unit.words();
        drop(all);
        if before != after {
            host.write(Units::state_file(name), after.join(" "));
        }
        Some(value)
    }

    /// The file that changes with the state of a service.
    pub(in crate::sys) fn state_file(name: &str) -> PathBuf {
        Path::new(STATES).join(plain(name))
    }

    /// Reads all unit files again.
    pub(in crate::sys) fn reload(&self, host: &Host) {
        lock(&self.0).retain(|name, unit| {
            if unit.file.is_some() {
                unit.file = unit_file(host, name);
            }
            // One that runs stays, and so does one that the host was given.
            unit.file.is_some() || unit.runs_with.is_some() || unit.is_given
        });
    }
}

/// The name of a service without its end.
fn plain(name: &str) -> &str {
    name.strip_suffix(".service").unwrap_or(name)
}

/// The unit file of a service, or of its template, and what is in it.
fn unit_file(host: &Host, name: &str) -> Option<(PathBuf, Vec<u8>)> {
    let template = name.split_once('@').map(|(template, _)| format!("{template}@"));
    let names = [Some(name.to_owned()), template];
    let names = names.into_iter().flatten().map(|name| match OTHER_ENDS.iter().any(|end| name.ends_with(end)) {
        true => name,
        false => name + ".service",
    });
    let paths = names.flat_map(|name| DIRS.map(|dir| format!("{dir}/{name}")));
    paths.map(PathBuf::from).find_map(|path| host.read_bytes(&path).map(|content| (path, content)))
}

impl Unit {
    /// What it does, and when it is started.
    fn words(&self) -> [&'static str; 2] {
        let active = match (&self.runs_with, self.has_failed) {
            (Some(_), _) => "active",
            (None, true) => "failed",
            (None, false) => "inactive",
        };
        let has_install = self.file.as_ref().is_none_or(|(_, content)| holds(content, b"[Install]"));
        let startup = match self.startup {
            Startup::Enabled => "enabled",
            Startup::Masked => "masked",
            Startup::Disabled if has_install => "disabled",
            Startup::Disabled => "static",
        };
        [active, startup]
    }

    fn describe(&self, host: &Host) -> String {
        let [active, startup] = self.words();
        let Some(read) = &self.runs_with else {
            return if active == "failed" {
                format!("{startup}, has failed")
            } else {
                format!("{startup}, does not run")
            };
        };
        let with = read.iter().map(|(path, content)| {
            let is_present = host.read_bytes(path).is_some_and(|now| now == *content);
            let which = if is_present { "the present" } else { "an old" };
            format!(" with {which} {}", path.display())
        });
        format!("{startup}, runs{}", with.collect::<Vec<_>>().join(","))
    }

    /// Reads the files; fails if one is missing.
    fn start(&mut self, host: &Host) -> Result<(), String> {
        if self.startup == Startup::Masked {
            return Err("it is masked".to_owned());
        }
        let read = self.reads.iter().map(|path| match host.read_bytes(path) {
            Some(content) => Ok((path.clone(), content)),
            None => Err(format!("{} does not exist", path.display())),
        });
        let read: Result<_, String> = read.collect();
        self.has_failed = read.is_err();
        self.runs_with = Some(read.inspect_err(|_| self.runs_with = None)?);
        Ok(())
    }

    fn stop(&mut self) {
        (self.runs_with, self.has_failed) = (None, false);
    }
}

fn holds(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part == word)
}

impl Host {
    /// Adds a service that is disabled and does not run; `systemctl` can start it and so on. When it starts, it reads
    /// these files, without which it fails to start, and it runs with what they contained then. The state of the host
    /// has a line about it. A service is also there if the host has its unit file in `/etc/systemd/system` or
    /// `/usr/lib/systemd/system`; such a service reads nothing.
    pub fn service(&self, name: &str, reads: impl IntoIterator<Item = impl Into<PathBuf>>) {
        let reads = reads.into_iter().map(Into::into).collect();
        let service = Unit { is_given: true, reads, ..Unit::default() };
        lock(&self.part::<Units>().0).insert(plain(name).to_owned(), service);
    }

    /// Starts a service. It fails to start without a file that it reads. Returns whether there is one of this name.
    pub fn start_service(&self, name: &str) -> bool {
        self.part::<Units>().with(self, name, |unit| unit.start(self)).is_some()
    }

    /// Stops a service. Returns whether there is one of this name.
    pub fn stop_service(&self, name: &str) -> bool {
        self.part::<Units>().with(self, name, Unit::stop).is_some()
    }

    /// Whether the service runs.
    pub fn runs(&self, name: &str) -> bool {
        lock(&self.part::<Units>().0).get(plain(name)).is_some_and(|service| service.runs_with.is_some())
    }

    /// Whether the service runs with the present content of all files that it reads.
    pub fn runs_with_present_files(&self, name: &str) -> bool {
        let services = self.part::<Units>();
        let all = lock(&services.0);
        let read = all.get(plain(name)).and_then(|service| service.runs_with.as_ref());
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

/// What a service manager does with a service.
#[cfg(feature = "dbus")]
impl Units {
    pub(in crate::sys) fn show(&self, host: &Host, name: &str) -> Option<Shown> {
        let present = unit_file(host, plain(name));
        self.with(host, name, |unit| {
            let [active, file_state] = unit.words();
            let needs_reload = unit.file.is_some() && unit.file != present;
            Shown { active, file_state, needs_reload }
        })
    }

    /// Starts, stops or reloads a service, as `systemctl` does with this verb. `None`: there is none of this name.
    pub(in crate::sys) fn act(&self, host: &Host, verb: &str, name: &str) -> Option<Result<(), String>> {
        self.with(host, name, |unit| unit.act(host, verb).unwrap_or(Ok(())))
    }
}

impl Unit {
    /// `None`: there is no such verb.
    fn act(&mut self, host: &Host, verb: &str) -> Option<Result<(), String>> {
        match (verb, self.runs_with.is_some()) {
            ("start", false) | ("restart" | "reload-or-restart", _) => return Some(self.start(host)),
            ("reload" | "try-restart" | "reload-or-try-restart", true) => return Some(self.start(host)),
            ("reload", false) => return Some(Err("it is not active, cannot reload".to_owned())),
            ("start" | "try-restart" | "reload-or-try-restart", _) => {}
            ("stop", _) => self.stop(),
            ("enable", _) => self.startup = Startup::Enabled,
            ("disable", _) if self.startup == Startup::Enabled => self.startup = Startup::Disabled,
            ("mask", _) => self.startup = Startup::Masked,
            ("unmask", _) if self.startup == Startup::Masked => self.startup = Startup::Disabled,
            ("disable" | "unmask", _) => {}
            ("reset-failed", _) => self.has_failed = false,
            _ => return None,
        }
        Some(Ok(()))
    }
}

impl Answer {
    fn shows(&mut self, word: &str, is_so: bool, otherwise: i32) {
        self.stdout.push_str(word);
        self.stdout.push('\n');
        if !is_so {
            self.code = otherwise;
        }
    }
}

/// The program `systemctl`, with the words that graphs use.
pub(super) fn systemctl(called: &Called<'_>) -> Answer {
    let host = called.host;
    let mut words = called.args().iter().filter(|arg| !arg.starts_with('-')).map(String::as_str);
    let Some(verb) = words.next() else { return Answer::ok() };
    let units = host.part::<Units>();
    if verb == "daemon-reload" {
        units.reload(host);
        return Answer::ok();
    }
    let is_now = called.args().iter().any(|arg| arg == "--now");
    let mut answer = Answer::ok();
    for name in words {
        let done = units.with(host, name, |unit| {
            let [active, startup] = unit.words();
            match verb {
                "is-active" => answer.shows(active, active == "active", 3),
                "is-enabled" => answer.shows(startup, matches!(startup, "enabled" | "static"), 1),
                _ => {
                    let done = unit.act(host, verb)?;
                    let then = match verb {
                        "enable" if is_now => unit.act(host, "start"),
                        "disable" | "mask" if is_now => unit.act(host, "stop"),
                        _ => None,
                    };
                    return Some(done.and(then.unwrap_or(Ok(()))));
                }
            }
            Some(Ok(()))
        });
        match done {
            Some(Some(Ok(()))) => {}
            Some(Some(Err(why))) => return Answer::fails(1, format!("Job for {name} failed: {why}.\n")),
            Some(None) => return Answer::fails(1, format!("Unknown command verb {verb}.\n")),
            None => {
                let unit = plain(name);
                return Answer::fails(5, format!("Failed to {verb} {name}: Unit {unit}.service not found.\n"));
            }
        }
    }
    answer
}

//! The state of a unit.

use std::fmt;

/// What a unit does, as its `ActiveState`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActiveState {
    /// It runs, or, for one that only does something once, it has succeeded.
    Active,
    /// It runs, and reads its configuration again.
    Reloading,
    /// It does not run.
    Inactive,
    /// It does not run, because it failed.
    Failed,
    /// It starts.
    Activating,
    /// It stops.
    Deactivating,
    /// Something else, such as `maintenance`.
    Other(String),
}

impl From<String> for ActiveState {
    fn from(word: String) -> ActiveState {
        match word.as_str() {
            "active" => ActiveState::Active,
            "reloading" | "refreshing" => ActiveState::Reloading,
            "inactive" => ActiveState::Inactive,
            "failed" => ActiveState::Failed,
            "activating" => ActiveState::Activating,
            "deactivating" => ActiveState::Deactivating,
            _ => ActiveState::Other(word),
        }
    }
}

impl fmt::Display for ActiveState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ActiveState::Active => "active",
            ActiveState::Reloading => "reloading",
            ActiveState::Inactive => "inactive",
            ActiveState::Failed => "failed",
            ActiveState::Activating => "activating",
            ActiveState::Deactivating => "deactivating",
            ActiveState::Other(word) => word,
        })
    }
}

/// The state of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its own name, which differs from that of an alias.
    pub id: String,
    /// `loaded`, `not-found`, `masked`, `bad-setting` or `error`.
    pub load: String,
    /// What it does.
    pub active: ActiveState,
    /// The same, finer: `running`, `exited`, `auto-restart` and so on.
    pub sub: String,
    /// `enabled`, `disabled`, `static`, `indirect`, `alias`, `generated`, `masked` and so on; empty if there is no
    /// file.
    pub file_state: String,
    /// Its file has changed since systemd read it.
    pub needs_reload: bool,
    /// Why a service has failed: `exit-code`, `signal`, `timeout` and so on; empty if it has not, or is another unit.
    pub result: String,
}

/// How a service ran last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastRun {
    /// Its `Type`: `simple`, `forking`, `oneshot`, `notify` and so on.
    pub kind: String,
    /// How it ended: `success`, `exit-code`, `signal`, `timeout` and so on.
    pub result: String,
    /// When it began to start, in microseconds since 1970; 0 if it never ran.
    pub began_us: u64,
    /// The number of its main process, which may have ended.
    pub pid: u32,
    /// A signal has ended that process which comes from another program, as a rule, and not because memory was short.
    pub was_killed: bool,
}

/// What a job does with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitJob {
    /// It starts it.
    Start,
    /// It stops it.
    Stop,
    /// It lets a unit that runs read its configuration again, or restarts it if it can't do that.
    Reload,
}

impl fmt::Display for UnitJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UnitJob::Start => "start",
            UnitJob::Stop => "stop",
            UnitJob::Reload => "reload",
        })
    }
}

//! The systemd of a simulated host: each job ends at once.

use std::path::PathBuf;

use super::error::Result;
use super::unit::{Unit, UnitJob};
use crate::sys::dbus::CallError;
use crate::sys::simulated::{Host, Units};

pub(super) fn state_file(unit: &str) -> PathBuf {
    Units::state_file(unit)
}

pub(super) fn unit(host: &Host, name: &str) -> Unit {
    let shown = host.part::<Units>().show(host, name);
    let (load, active, file_state) = match &shown {
        None => ("not-found", "inactive", ""),
        Some(shown) if shown.file_state == "masked" => ("masked", shown.active, "masked"),
        Some(shown) => ("loaded", shown.active, shown.file_state),
    };
    Unit {
        id: name.to_owned(),
        load: load.to_owned(),
        active: active.to_owned().into(),
        sub: if active == "active" { "running" } else { "dead" }.to_owned(),
        file_state: file_state.to_owned(),
        needs_reload: shown.is_some_and(|shown| shown.needs_reload),
        result: String::new(),
    }
}

pub(super) fn verb(job: UnitJob) -> &'static str {
    match job {
        UnitJob::Start => "start",
        UnitJob::Stop => "stop",
        UnitJob::Reload => "reload-or-try-restart",
    }
}

/// The result of the job.
pub(super) fn act(host: &Host, verb: &str, name: &str) -> Result<String> {
    let done = host.part::<Units>().act(host, verb, name).ok_or_else(|| CallError::Refused {
        error: "org.freedesktop.systemd1.NoSuchUnit".to_owned(),
        message: format!("Unit {name} not found."),
    })?;
    Ok(if done.is_ok() { "done" } else { "failed" }.to_owned())
}

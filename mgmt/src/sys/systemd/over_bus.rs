//! systemd over D-Bus.

use std::collections::HashMap;
use std::sync::Arc;

use rustix::process::Signal;
use zbus::message::Message;
use zbus::{Connection, OwnedObjectPath, OwnedVariant};

use super::error::{Result, SystemdError};
use super::jobs::End;
use super::traffic::Traffic;
use super::unit::{ActiveState, LastRun, Unit, UnitJob};
use crate::sys::dbus::{CallError, Peer, text};

/// The name of systemd on a bus.
pub const NAME: &str = "org.freedesktop.systemd1";
/// The object that manages all units.
pub const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
/// Its interface.
pub const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const SUBSCRIBED: &str = "org.freedesktop.systemd1.AlreadySubscribed";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
/// `CLD_KILLED`, as the code with which a process has ended.
const KILLED: i32 = 2;
/// With these signals others end a process.
const OTHERS: [Signal; 5] = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT];
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// The systemd of a bus.
#[derive(Clone, Debug)]
pub(super) struct OverBus {
    connection: Connection,
    traffic: Arc<Traffic>,
}

impl OverBus {
    /// The systemd on this bus. Its signals are turned on, which they are not by themselves.
    pub(super) async fn new(connection: Connection, traffic: Arc<Traffic>) -> Result<OverBus> {
        let systemd = OverBus { connection, traffic };
        match systemd.call("Subscribe", ()).await {
            Err(SystemdError::Call(CallError::Refused { error, .. })) if error == SUBSCRIBED => {}
            other => drop(other?),
        }
        Ok(systemd)
    }

    async fn call<B>(&self, method: &'static str, body: B) -> Result<Message>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType + Send + Sync + 'static,
    {
        let _turn = self.traffic.turn().await;
        let systemd = Peer { name: NAME, path: MANAGER_PATH, interface: MANAGER };
        Ok(systemd.call(&self.connection, method, body).await?)
    }

    async fn properties(&self, path: &OwnedObjectPath, interface: &str) -> Result<HashMap<String, OwnedVariant>> {
        let _turn = self.traffic.turn().await;
        Ok(Peer { name: NAME, path, interface }.properties(&self.connection).await?)
    }

    pub(super) async fn unit(&self, name: &str) -> Result<Unit> {
        // To load it would be an event of the unit, which wakes those who listen to it.
        let path: OwnedObjectPath = match self.call("GetUnit", name.to_owned()).await {
            Ok(answer) => answer.body().deserialize()?,
            Err(error) if error.is_no_such_unit() => return self.unloaded(name).await,
            Err(error) => return Err(error),
        };
        let all = self.properties(&path, UNIT).await?;
        let text = |key: &str| text(&all, key);
        let active = ActiveState::from(text("ActiveState"));
        let has_result = active == ActiveState::Failed && name.ends_with(".service");
        let result = if has_result { self.properties(&path, SERVICE).await? } else { HashMap::new() };
        Ok(Unit {
            id: text("Id"),
            load: text("LoadState"),
            active,
            sub: text("SubState"),
            file_state: text("UnitFileState"),
            needs_reload: all.get("NeedDaemonReload").and_then(|value| bool::try_from(value).ok()).unwrap_or_default(),
            result: crate::sys::dbus::text(&result, "Result"),
        })
    }

    /// How a service ran last; all is empty for another unit.
    pub(super) async fn service(&self, name: &str) -> Result<LastRun> {
        if !name.ends_with(".service") {
            return Ok(LastRun::default());
        }
        // What has done its work may have been forgotten.
        let path: OwnedObjectPath = self.call("LoadUnit", name.to_owned()).await?.body().deserialize()?;
        let (unit, service) = (self.properties(&path, UNIT).await?, self.properties(&path, SERVICE).await?);
        let number = |key: &str| service.get(key).and_then(|number| i32::try_from(number).ok());
        let by = number("ExecMainStatus").filter(|_| number("ExecMainCode") == Some(KILLED));
        let was_killed = by.is_some_and(|by| OTHERS.iter().any(|other| other.as_raw() == by))
            && text(&service, "Result") != "oom-kill";
        let began = unit.get("InactiveExitTimestamp").and_then(|time| u64::try_from(time).ok());
        Ok(LastRun {
            kind: text(&service, "Type"),
            result: text(&service, "Result"),
            began_us: began.unwrap_or_default(),
            pid: service.get("ExecMainPID").and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default(),
            was_killed,
        })
    }

    /// The state of a unit that systemd has not loaded: it does not run.
    async fn unloaded(&self, name: &str) -> Result<Unit> {
        let (load, file_state) = match self.call("GetUnitFileState", name.to_owned()).await {
            Ok(answer) => {
                let state: String = answer.body().deserialize()?;
                let load = match state.as_str() {
                    "masked" | "masked-runtime" => "masked",
                    "bad" => "bad-setting",
                    _ => "loaded",
                };
                (load, state)
            }
            Err(error) if error.is_no_such_unit() => ("not-found", String::new()),
            Err(error) => return Err(error),
        };
        Ok(Unit {
            id: name.to_owned(),
            load: load.to_owned(),
            active: ActiveState::Inactive,
            sub: "dead".to_owned(),
            file_state,
            needs_reload: false,
            result: String::new(),
        })
    }

    /// Begins a job.
    pub(super) async fn begin(&self, job: UnitJob, name: &str) -> Result<End> {
        let method = match job {
            UnitJob::Start => "StartUnit",
            UnitJob::Stop => "StopUnit",
            UnitJob::Reload => "ReloadOrTryRestartUnit",
        };
        let requested = self.traffic.jobs(&self.connection).await?;
        let path: OwnedObjectPath = self.call(method, (name.to_owned(), "replace")).await?.body().deserialize()?;
        Ok(requested.is(&path, name))
    }

    /// Whether the file has an `[Install]` section at all.
    pub(super) async fn enable(&self, name: &str) -> Result<bool> {
        let answer = self.call("EnableUnitFiles", (vec![name.to_owned()], false, true)).await?;
        let (is_installable, _): (bool, Vec<(String, String, String)>) = answer.body().deserialize()?;
        Ok(is_installable)
    }

    pub(super) async fn disable(&self, name: &str) -> Result<()> {
        self.call("DisableUnitFiles", (vec![name.to_owned()], false)).await.map(drop)
    }

    pub(super) async fn mask(&self, name: &str) -> Result<()> {
        self.call("MaskUnitFiles", (vec![name.to_owned()], false, false)).await.map(drop)
    }

    pub(super) async fn unmask(&self, name: &str) -> Result<()> {
        self.call("UnmaskUnitFiles", (vec![name.to_owned()], false)).await.map(drop)
    }

    pub(super) async fn reset_failed(&self, name: &str) -> Result<()> {
        self.call("ResetFailedUnit", name.to_owned()).await.map(drop)
    }

    pub(super) async fn reload(&self) -> Result<()> {
        self.call("Reload", ()).await.map(drop)
    }
}

/// The path of a unit's object: all but letters and digits is escaped, as systemd does it.
pub fn unit_path(name: &str) -> String {
    let mut path = format!("{MANAGER_PATH}/unit/");
    if name.is_empty() {
        path.push('_');
    }
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => path.push(char::from(byte)),
            b'0'..=b'9' if at > 0 => path.push(char::from(byte)),
            _ => path.push_str(&format!("_{byte:02x}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_systemd_does_it() {
        assert_eq!(unit_path("nginx.service"), "/org/freedesktop/systemd1/unit/nginx_2eservice");
        assert_eq!(unit_path("0a@b-c.service"), "/org/freedesktop/systemd1/unit/_30a_40b_2dc_2eservice");
    }
}

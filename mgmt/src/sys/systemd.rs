//! systemd over D-Bus: the state of a unit, and the jobs that change it.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream as _;
use zbus::message::Message;
use zbus::{Connection, MessageStream, OwnedObjectPath, OwnedVariant};

/// The name of systemd on a bus.
pub const NAME: &str = "org.freedesktop.systemd1";
/// The object that manages all units.
pub const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
/// Its interface.
pub const MANAGER: &str = "org.freedesktop.systemd1.Manager";
/// The interface of properties, which also has their signal.
pub const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// Why systemd did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemdError {
    /// No systemd answers on this bus.
    #[error("systemd does not answer on the bus: {0}")]
    Absent(zbus::Error),
    /// It refuses.
    #[error("{message}")]
    Refused {
        /// The name of the error, such as `org.freedesktop.systemd1.NoSuchUnit`.
        name: String,
        /// What systemd says about it.
        message: String,
    },
    /// A job did not end as it should.
    #[error("the job to {verb} it ended as `{result}`")]
    Job {
        /// What the job was to do.
        verb: &'static str,
        /// How it ended: `failed`, `timeout`, `dependency`, `canceled`, `skipped` and so on.
        result: String,
    },
    /// The bus or its answer is not as expected.
    #[error("D-Bus: {0}")]
    Bus(zbus::Error),
}

impl From<zbus::Error> for SystemdError {
    fn from(error: zbus::Error) -> SystemdError {
        const GONE: [&str; 4] = [
            "org.freedesktop.DBus.Error.ServiceUnknown",
            "org.freedesktop.DBus.Error.NameHasNoOwner",
            "org.freedesktop.DBus.Error.Disconnected",
            "org.freedesktop.DBus.Error.NoReply",
        ];
        match error {
            zbus::Error::MethodError(ref name, ..) if GONE.contains(&name.as_str()) => SystemdError::Absent(error),
            zbus::Error::MethodError(name, message, _) => {
                SystemdError::Refused { message: message.unwrap_or_else(|| name.to_string()), name: name.to_string() }
            }
            error @ zbus::Error::InputOutput(_) => SystemdError::Absent(error),
            zbus::Error::FDO(error) => match *error {
                zbus::fdo::Error::ZBus(error) => error.into(),
                error => {
                    let name = zbus::DBusError::name(&error).to_string();
                    let message = zbus::DBusError::description(&error).unwrap_or(&name).to_owned();
                    match GONE.contains(&name.as_str()) {
                        true => SystemdError::Absent(zbus::Error::FDO(Box::new(error))),
                        false => SystemdError::Refused { name, message },
                    }
                }
            },
            error => SystemdError::Bus(error),
        }
    }
}

impl SystemdError {
    /// There is no such unit, or no file of it.
    fn is_no_such_unit(&self) -> bool {
        const NAMES: [&str; 2] = ["org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.DBus.Error.FileNotFound"];
        matches!(self, SystemdError::Refused { name, .. } if NAMES.contains(&name.as_str()))
    }
}

/// The result of a question to systemd.
pub type Result<T> = std::result::Result<T, SystemdError>;

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
    /// `enabled`, `disabled`, `static`, `indirect`, `alias`, `generated`, `masked` and so on; empty if there is no file.
    pub file_state: String,
    /// Its file has changed since systemd read it.
    pub needs_reload: bool,
    /// Why a service does not run: `success`, `exit-code`, `signal`, `timeout` and so on; empty for other units.
    pub result: String,
    /// The number of its main process, 0 if it has none.
    pub main_pid: u32,
}

/// One systemd: that of the machine, or that of a user.
#[derive(Clone, Debug)]
pub struct Systemd {
    connection: Connection,
}

impl Systemd {
    /// The systemd on this bus. Its signals are turned on, which they are not by themselves.
    ///
    /// # Errors
    /// None answers.
    pub async fn new(connection: Connection) -> Result<Systemd> {
        let systemd = Systemd { connection };
        match systemd.call("Subscribe", &()).await {
            Err(SystemdError::Refused { name, .. }) if name == "org.freedesktop.systemd1.AlreadySubscribed" => {}
            other => drop(other?),
        }
        Ok(systemd)
    }

    async fn call<B>(&self, method: &str, body: &B) -> Result<Message>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        Ok(self.connection.call_method(Some(NAME), MANAGER_PATH, Some(MANAGER), method, body).await?)
    }

    async fn properties(&self, path: &OwnedObjectPath, interface: &str) -> Result<HashMap<String, OwnedVariant>> {
        let answer = self.connection.call_method(Some(NAME), path, Some(PROPERTIES), "GetAll", &interface).await?;
        Ok(answer.body().deserialize()?)
    }

    /// The state of a unit, such as `nginx.service`. One that does not exist has `load` `not-found`.
    ///
    /// # Errors
    /// systemd does not answer, or the name is not one of a unit.
    pub async fn unit(&self, name: &str) -> Result<Unit> {
        // To load it would be an event of the unit, which wakes those who listen to it.
        let path: OwnedObjectPath = match self.call("GetUnit", &name).await {
            Ok(answer) => answer.body().deserialize()?,
            Err(error) if error.is_no_such_unit() => return self.unloaded(name).await,
            Err(error) => return Err(error),
        };
        let all = self.properties(&path, UNIT).await?;
        let text =
            |key: &str| all.get(key).and_then(|value| <&str>::try_from(value).ok()).unwrap_or_default().to_owned();
        let of_service = match name.ends_with(".service") {
            true => self.properties(&path, SERVICE).await?,
            false => HashMap::new(),
        };
        let result = of_service.get("Result").and_then(|value| <&str>::try_from(value).ok());
        let main_pid = of_service.get("MainPID").and_then(|value| u32::try_from(value).ok());
        Ok(Unit {
            id: text("Id"),
            load: text("LoadState"),
            active: text("ActiveState").into(),
            sub: text("SubState"),
            file_state: text("UnitFileState"),
            needs_reload: all.get("NeedDaemonReload").and_then(|value| bool::try_from(value).ok()).unwrap_or_default(),
            result: result.unwrap_or_default().to_owned(),
            main_pid: main_pid.unwrap_or_default(),
        })
    }

    /// The state of a unit that systemd has not loaded: it does not run.
    async fn unloaded(&self, name: &str) -> Result<Unit> {
        let (load, file_state) = match self.call("GetUnitFileState", &name).await {
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
            main_pid: 0,
        })
    }

    /// Starts a unit, and waits until that has succeeded.
    ///
    /// # Errors
    /// The job fails.
    pub async fn start(&self, name: &str) -> Result<()> {
        self.job("start", "StartUnit", name).await
    }

    /// Stops a unit, and waits until that has succeeded.
    ///
    /// # Errors
    /// The job fails.
    pub async fn stop(&self, name: &str) -> Result<()> {
        self.job("stop", "StopUnit", name).await
    }

    /// Lets a unit that runs read its configuration again, or restarts it if it can't do that.
    ///
    /// # Errors
    /// The job fails.
    pub async fn reload_or_try_restart(&self, name: &str) -> Result<()> {
        self.job("reload", "ReloadOrTryRestartUnit", name).await
    }

    /// Begins a job and waits for its end. Dropped before, the job continues: systemd has no way to know who waits.
    async fn job(&self, verb: &'static str, method: &str, name: &str) -> Result<()> {
        // Listen before it begins: it may end at once.
        let rule =
            format!("type='signal',sender='{NAME}',path='{MANAGER_PATH}',interface='{MANAGER}',member='JobRemoved'");
        let mut ended = MessageStream::for_match_rule(rule.as_str(), &self.connection, None).await?;
        let job: OwnedObjectPath = self.call(method, &(name, "replace")).await?.body().deserialize()?;
        loop {
            let Some(signal) = poll_fn(|cx| Pin::new(&mut ended).poll_next(cx)).await else {
                return Err(SystemdError::Absent(zbus::Error::InputOutput(
                    std::io::Error::from(std::io::ErrorKind::BrokenPipe).into(),
                )));
            };
            let (_, path, _, result): (u32, OwnedObjectPath, String, String) = signal?.body().deserialize()?;
            if path == job {
                return if result == "done" { Ok(()) } else { Err(SystemdError::Job { verb, result }) };
            }
        }
    }

    /// Enables a unit's file, so that the unit is started with the machine or the session, and takes that into account.
    /// Returns whether the file has an `[Install]` section at all.
    ///
    /// # Errors
    /// systemd refuses.
    pub async fn enable(&self, name: &str) -> Result<bool> {
        let answer = self.call("EnableUnitFiles", &([name].as_slice(), false, true)).await?;
        let (is_installable, _): (bool, Vec<(String, String, String)>) = answer.body().deserialize()?;
        self.reload().await?;
        Ok(is_installable)
    }

    /// Disables a unit's file.
    ///
    /// # Errors
    /// systemd refuses.
    pub async fn disable(&self, name: &str) -> Result<()> {
        self.call("DisableUnitFiles", &([name].as_slice(), false)).await?;
        self.reload().await
    }

    /// Masks a unit, so that nothing starts it.
    ///
    /// # Errors
    /// systemd refuses: a file of that name in `/etc/systemd/system`, for example.
    pub async fn mask(&self, name: &str) -> Result<()> {
        self.call("MaskUnitFiles", &([name].as_slice(), false, false)).await?;
        self.reload().await
    }

    /// Removes the mask of a unit.
    ///
    /// # Errors
    /// systemd refuses.
    pub async fn unmask(&self, name: &str) -> Result<()> {
        self.call("UnmaskUnitFiles", &([name].as_slice(), false)).await?;
        self.reload().await
    }

    /// Forgets that a unit has failed, and how often it was started lately.
    ///
    /// # Errors
    /// There is no such unit.
    pub async fn reset_failed(&self, name: &str) -> Result<()> {
        self.call("ResetFailedUnit", &name).await.map(drop)
    }

    /// Reads all unit files again.
    ///
    /// # Errors
    /// systemd does not answer.
    pub async fn reload(&self) -> Result<()> {
        self.call("Reload", &()).await.map(drop)
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

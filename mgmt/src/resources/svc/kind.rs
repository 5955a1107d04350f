//! The kind `svc`.

use std::time::Duration;

use crate::resource::{
    ApplyCx, Bus, Change, CheckCx, Converge, Drift, Error, FieldProblem, Known, Need, Obstacle, ObstacleKind, Refresh,
    Result, SignalRule, Uid, Unit as UnitKey, Watch, WatchCx,
};
use crate::resources::svc::judge::{Todo, Verdict, Wanted};
use crate::resources::svc::state::{SvcStartup, SvcState};
use crate::sys::systemd::{self, ActiveState, Systemd, SystemdError, Unit};
use mgmt_macros::Resource;

/// A service that ends this soon after its start has failed to start.
const SETTLES: Duration = Duration::from_millis(100);
/// Each removes one difference: the mask, the start-up, the old file, the failure, the state.
const STEPS_MAX: usize = 6;

/// A service of systemd, or another unit: whether it runs, and whether it is started with the machine.
///
/// A unit that is about to start or stop is waited for. One that has failed is started again, after systemd has
/// forgotten the failure; one that ends right after its start is an error, with its result and the last lines of its
/// journal. If the files of the unit have changed since systemd read them, systemd reads all units again; one time is
/// enough for many services.
///
/// A unit that does not exist is waited for if it must run or be enabled: it comes with a package or a file. It is in
/// sync if it must be stopped or disabled. What can't be enabled is an error that names the reason: a static unit has no
/// `[Install]` section, and another name of a unit (an alias) is enabled by its own.
///
/// A refresh lets a service that runs read its configuration again (`ExecReload`), or restarts it if it can't; a service
/// that does not run stays so. If it was started a moment before, that is enough.
///
/// Woken by the signals of systemd and by its unit files. Default poll: none. Needs systemd with D-Bus (feature `dbus`),
/// and is waited for as long as that is absent.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("web");
/// let conf = g.add(File::new("/etc/nginx/nginx.conf").source("/srv/nginx.conf"));
/// g.add(Svc::new("nginx").running().enabled().subscribe(&conf));
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "svc", inline = watch)]
pub struct Svc {
    /// The name of the unit: `nginx` means `nginx.service`.
    #[resource(name)]
    name: String,
    /// `running` or `stopped`. Default: it stays as it is.
    state: Option<SvcState>,
    /// `enabled`, `disabled` or `masked`: whether it is started with the machine, or, in a session, with that. Default:
    /// it stays as it is.
    startup: Option<SvcStartup>,
    /// Whether it is a unit of the systemd of the user that the program runs as, and not of the machine. Default: false.
    #[resource(default)]
    session: bool,
}

impl SvcBuilder {
    /// Declares that it runs.
    pub fn running(self) -> Self {
        self.state(SvcState::Running)
    }

    /// Declares that it does not run.
    pub fn stopped(self) -> Self {
        self.state(SvcState::Stopped)
    }

    /// Declares that it is started with the machine.
    pub fn enabled(self) -> Self {
        self.startup(SvcStartup::Enabled)
    }

    /// Declares that it is not started with the machine.
    pub fn disabled(self) -> Self {
        self.startup(SvcStartup::Disabled)
    }

    /// Declares that nothing can start it.
    pub fn masked(self) -> Self {
        self.startup(SvcStartup::Masked)
    }
}

/// What is not as declared.
#[derive(Clone, Debug)]
pub struct SvcDrift(Vec<Change>);

impl Drift for SvcDrift {
    fn changes(&self) -> Vec<Change> {
        self.0.clone()
    }
}

impl Converge for Svc {
    type Drift = SvcDrift;

    fn validate(&self, _: &Known<'_>) -> Vec<FieldProblem> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        let wrong = self.name.is_empty() || self.name.len() > 255 || !self.name.chars().all(is_name);
        let remedy = "use letters, digits, and `:-_.\\@`; `systemd-escape` writes others";
        let name = wrong.then(|| FieldProblem::new("name", "is no name of a unit", remedy));
        let both = (self.startup == Some(SvcStartup::Masked) && self.state == Some(SvcState::Running))
            .then(|| FieldProblem::new("startup", "is masked, so that the service can't run", "declare one of them"));
        name.into_iter().chain(both).collect()
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<SvcDrift>> {
        let unit = self.systemd(cx).await?.unit(&self.unit()).await.map_err(absent)?;
        match self.wanted().judge(&unit) {
            Verdict::Drifted(_, changes) => Ok(Some(SvcDrift(changes))),
            other => self.settled(other).map(|()| None),
        }
    }

    async fn apply(&self, cx: &ApplyCx, _: SvcDrift) -> Result<()> {
        let (systemd, name) = (self.systemd(cx).await?, self.unit());
        for _ in 0..STEPS_MAX {
            // What one step did may be all that the next one would do.
            let unit = systemd.unit(&name).await.map_err(absent)?;
            match self.wanted().judge(&unit) {
                Verdict::Drifted(todo, _) => self.step(&systemd, &name, todo).await?,
                other => return self.settled(other),
            }
        }
        Err(Error::new(format!("{name} does not become as declared")))
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let name = self.unit();
        let rule = || SignalRule::new().sender(systemd::NAME);
        let of_manager = |member| rule().path(systemd::MANAGER_PATH).interface(systemd::MANAGER).member(member);
        let of_unit = rule().path(systemd::unit_path(&name)).interface(systemd::PROPERTIES).member("PropertiesChanged");
        let signals =
            [of_unit, of_manager("UnitNew").arg0(&name), of_manager("Reloading"), of_manager("UnitFilesChanged")];
        let signals = signals.into_iter().fold(Watch::none(), |all, rule| all.and(Watch::signals(self.bus(), rule)));
        let files = self.unit_files();
        files.iter().fold(signals, |all, path| all.and(cx.fs().tree(path)))
    }

    fn uids(&self, _: &Known<'_>) -> Vec<Uid> {
        if self.session { Vec::new() } else { vec![Uid::of(UnitKey::new(&self.name))] }
    }

    fn needs(&self, _: &Known<'_>) -> Vec<Need> {
        if self.session { Vec::new() } else { UnitKey::new(&self.name).needs() }
    }
}

impl Refresh for Svc {
    async fn refresh(&self, cx: &ApplyCx) -> Result<bool> {
        let (systemd, name) = (self.systemd(cx).await?, self.unit());
        let unit = systemd.unit(&name).await.map_err(absent)?;
        if !matches!(unit.active, ActiveState::Active | ActiveState::Reloading) {
            return Ok(false);
        }
        match systemd.reload_or_try_restart(&name).await {
            Ok(()) => self.verify(&systemd, &name).await.map(|()| true),
            Err(error) => Err(self.failed(&systemd, &name, error).await),
        }
    }
}

impl Svc {
    fn unit(&self) -> String {
        UnitKey::new(&self.name).to_string()
    }

    fn bus(&self) -> Bus {
        if self.session { Bus::Session } else { Bus::System }
    }

    fn wanted(&self) -> Wanted {
        Wanted { state: self.state, startup: self.startup }
    }

    /// What of the unit is on disk, or may be: its files and what is added to them.
    fn unit_files(&self) -> Vec<std::path::PathBuf> {
        if self.session {
            return Vec::new();
        }
        let name = self.unit();
        let of = |dir: &str| [format!("{dir}/{name}").into(), format!("{dir}/{name}.d").into()];
        ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"].into_iter().flat_map(of).collect()
    }

    async fn systemd(&self, cx: &CheckCx) -> Result<Systemd> {
        Systemd::new(cx.bus(self.bus()).await?).await.map_err(absent)
    }

    /// A verdict that needs no change: in sync, or an error.
    fn settled(&self, verdict: Verdict) -> Result<()> {
        let name = self.unit();
        match verdict {
            Verdict::InSync | Verdict::Drifted(..) => Ok(()),
            Verdict::Missing => Err(Error::new(format!(
                "{name} does not exist: a package or a file in /etc/systemd/system brings it; until then this waits"
            ))
            .waiting_for(Obstacle::new(ObstacleKind::Missing))),
            Verdict::Moving(what) => {
                Err(Error::new(format!("{name} is {what}")).waiting_for(Obstacle::new(ObstacleKind::Busy)))
            }
            Verdict::Impossible(why) => Err(Error::new(format!("{name}: {why}"))),
        }
    }

    /// Removes one difference.
    async fn step(&self, systemd: &Systemd, name: &str, todo: Todo) -> Result<()> {
        if todo.unmask {
            return Ok(systemd.unmask(name).await?);
        }
        match todo.startup {
            Some(SvcStartup::Enabled) => {
                if !systemd.enable(name).await? {
                    return Err(Error::new(format!("{name} has no [Install] section, so it can't be enabled")));
                }
                return Ok(());
            }
            Some(SvcStartup::Disabled) => return Ok(systemd.disable(name).await?),
            Some(SvcStartup::Masked) => return Ok(systemd.mask(name).await?),
            None => {}
        }
        if todo.reload {
            return Ok(systemd.reload().await?);
        }
        if todo.reset {
            systemd.reset_failed(name).await?;
        }
        let done = match todo.state {
            Some(SvcState::Running) => systemd.start(name).await,
            Some(SvcState::Stopped) => systemd.stop(name).await,
            None => return Ok(()),
        };
        match done {
            Ok(()) if todo.state == Some(SvcState::Running) => self.verify(systemd, name).await,
            Ok(()) => Ok(()),
            Err(error) => Err(self.failed(systemd, name, error).await),
        }
    }

    /// A service that has started still runs a moment later.
    async fn verify(&self, systemd: &Systemd, name: &str) -> Result<()> {
        tokio::time::sleep(SETTLES).await;
        let unit = systemd.unit(name).await?;
        match unit.active {
            ActiveState::Inactive | ActiveState::Failed => {
                Err(Error::new(format!("{name} has ended right after its start{}", ended(&unit))))
            }
            _ => Ok(()),
        }
    }

    async fn failed(&self, systemd: &Systemd, name: &str, error: SystemdError) -> Error {
        let unit = systemd.unit(name).await.ok();
        Error::new(format!("{name}: {error}{}", unit.as_ref().map(ended).unwrap_or_default()))
    }
}

/// How a service has ended.
fn ended(unit: &Unit) -> String {
    match unit.result.as_str() {
        "" | "success" => String::new(),
        result => format!(": {result}"),
    }
}

/// An error of systemd; its absence is waited for.
fn absent(error: SystemdError) -> Error {
    let is_absent = matches!(error, SystemdError::Absent(_));
    let error = Error::from(error);
    if is_absent { error.waiting_for(Obstacle::new(ObstacleKind::NoComponent)) } else { error }
}

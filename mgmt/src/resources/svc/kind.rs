//! The kind `svc`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::resource::{
    ApplyCx, Bus, Change, CheckCx, Converge, ConvergeMany, Drift, Error, FieldProblem, Known, Need, Obstacle,
    ObstacleKind, Refresh, Result, SessionUnit, SignalRule, Uid, Unit as UnitKey, Watch, WatchCx,
};
use crate::resources::svc::judge::{Verdict, Wanted};
use crate::resources::svc::state::{SvcStartup, SvcState};
use crate::resources::svc::steps::Steps;
use crate::sys::dbus::PROPERTIES;
use crate::sys::systemd::{self, ActiveState, Systemd, Traffic, UnitJob};
use crate::sys::users::{our_home, us, user_name};
use mgmt_macros::Resource;

/// Each removes one difference: the mask, the start-up, the old file, the failure, the state.
const STEPS_MAX: usize = 6;

/// A service of systemd, or another unit: whether it runs, and whether it is started with the machine.
///
/// A unit that is starting or stopping is waited for. One that has failed is started again, after systemd has
/// forgotten the failure; one that ends right after its start is an error, with its result and the last lines of its
/// journal. If the files of the unit have changed since systemd read them, systemd reads all units again; one time is
/// enough for many services.
///
/// A unit that does not exist is waited for if it must run or be enabled: it comes with a package or a file. It is in
/// sync if it must be stopped or disabled. What can't be enabled is an error that names the reason: a static unit has
/// no `[Install]` section, and another name of a unit (an alias) is enabled by its own.
///
/// A refresh lets a service that runs read its configuration again (`ExecReload`), or restarts it if it can't; a
/// service that does not run stays so. If it was started a moment before, that is enough.
///
/// A start that takes longer than the `timeout` of the resource continues: how long it may take is for the unit to say
/// (`TimeoutStartSec`), and it is waited for.
///
/// Woken by the signals of systemd and by its unit files. Default poll: none. Needs systemd with D-Bus (feature
/// `dbus`); without, the resource waits.
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
    /// Whether it is a unit of the systemd of the user that the program runs as, and not of the machine. Default:
    /// false.
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
        let unit = systemd_of(cx, self.session).await?.unit(&self.unit()).await?;
        match self.wanted().judge(&unit) {
            Verdict::Drifted(_, changes) => Ok(Some(SvcDrift(changes))),
            other => self.settled(other).map(|()| None),
        }
    }

    async fn apply(&self, cx: &ApplyCx, _: SvcDrift) -> Result<()> {
        let unit = self.steps(cx).await?;
        for _ in 0..STEPS_MAX {
            // What one step did may be all that the next one would do.
            let found = unit.systemd.unit(&unit.name).await?;
            match self.wanted().judge(&found) {
                Verdict::Drifted(todo, _) => {
                    self.record(cx, &found)?;
                    unit.step(todo).await?;
                }
                other => return self.settled(other),
            }
        }
        Err(Error::new(format!("{} does not become as declared", unit.name)))
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let name = self.unit();
        let watch = match Systemd::state_file(&name) {
            Some(simulated) => cx.fs().itself(simulated),
            None => self.signals(&name),
        };
        let files: Vec<_> = unit_dirs(self.session).iter().flat_map(|dir| files_in(dir, &name)).collect();
        files.iter().fold(watch, |all, path| all.and(cx.fs().tree(path)))
    }

    fn uids(&self, _: &Known<'_>) -> Vec<Uid> {
        vec![key(&self.name, self.session)]
    }

    fn needs(&self, _: &Known<'_>) -> Vec<Need> {
        let unit = UnitKey::new(&self.name);
        match (self.session, our_home()) {
            (false, _) => unit.needs(),
            (true, Some(home)) => unit.session_needs(&home),
            (true, None) => Vec::new(),
        }
    }
}

/// Services that are ready at the same time are started at the same time, in one place among what runs.
impl ConvergeMany for Svc {}

impl Refresh for Svc {
    async fn refresh(&self, cx: &ApplyCx) -> Result<bool> {
        let unit = self.steps(cx).await?;
        let found = unit.systemd.unit(&unit.name).await?;
        if !matches!(found.active, ActiveState::Active | ActiveState::Reloading) {
            return Ok(false);
        }
        unit.job(UnitJob::Reload).await.map(|()| true)
    }
}

impl Svc {
    pub(super) fn unit(&self) -> String {
        UnitKey::new(&self.name).to_string()
    }

    pub(super) fn wanted(&self) -> Wanted {
        Wanted { state: self.state, startup: self.startup }
    }

    pub(super) fn is_session(&self) -> bool {
        self.session
    }

    /// What systemd announces about the unit.
    fn signals(&self, name: &str) -> Watch {
        let rule = || SignalRule::new().sender(systemd::NAME);
        let of_manager = |member| rule().path(systemd::MANAGER_PATH).interface(systemd::MANAGER).member(member);
        let of_unit = rule().path(systemd::unit_path(name)).interface(PROPERTIES).member("PropertiesChanged");
        let signals =
            [of_unit, of_manager("UnitNew").arg0(name), of_manager("Reloading"), of_manager("UnitFilesChanged")];
        signals.into_iter().fold(Watch::none(), |all, rule| all.and(Watch::signals(bus(self.session), rule)))
    }

    async fn steps(&self, cx: &ApplyCx) -> Result<Steps> {
        let systemd = systemd_of(cx, self.session).await?;
        Ok(Steps { systemd, name: self.unit(), is_session: self.session })
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
}

/// What identifies a unit of the machine, or one of the user that the program runs as.
pub(super) fn key(unit: &str, is_session: bool) -> Uid {
    let unit = UnitKey::new(unit);
    if is_session { Uid::of(SessionUnit { user: user_name(us()), unit }) } else { Uid::of(unit) }
}

/// Where systemd looks for the files of units: those places that people and packages use.
fn unit_dirs(is_session: bool) -> Vec<PathBuf> {
    match is_session {
        false => ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"].map(PathBuf::from).into(),
        true => our_home().map(|home| home.join(".config/systemd/user")).into_iter().collect(),
    }
}

/// What of a unit is in this directory, or may be: its file, and what is added to that.
fn files_in(dir: &Path, unit: &str) -> [PathBuf; 2] {
    [dir.join(unit), dir.join(format!("{unit}.d"))]
}

fn bus(is_session: bool) -> Bus {
    if is_session { Bus::Session } else { Bus::System }
}

/// What the questions to each systemd share.
#[derive(Default)]
struct Both {
    system: Arc<Traffic>,
    session: Arc<Traffic>,
}

/// The systemd of the machine, or of the user that the program runs as.
pub(super) async fn systemd_of(cx: &CheckCx, is_session: bool) -> Result<Systemd> {
    if let Some(simulated) = Systemd::simulated() {
        return Ok(simulated);
    }
    let both = cx.shared::<Both>();
    let traffic = if is_session { &both.session } else { &both.system };
    Ok(Systemd::new(cx.bus(bus(is_session)).await?, Arc::clone(traffic)).await?)
}

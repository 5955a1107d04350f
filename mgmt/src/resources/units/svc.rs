//! The kind `svc`.

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, ConvergeMany, Drift, FieldProblem, Known, Need, Refresh, Result, Uid, Watch,
    WatchCx,
};
use crate::resources::units::judge::{Verdict, Wanted};
use crate::resources::units::state::{SvcStartup, SvcState};
use crate::resources::units::svc_reverse::{record, record_reload};
use crate::resources::units::target::Target;
use crate::sys::systemd::{ActiveState, UnitJob};
use mgmt_macros::Resource;

/// A service of systemd, or another unit: whether it runs, and whether it is started with the machine.
///
/// A unit that is starting or stopping is waited for. One that has failed is started again, after systemd has
/// forgotten the failure; one that ends by itself right after its start is an error, with its result and the last
/// lines of its journal. If the files of the unit have changed since systemd read them, systemd reads all units again;
/// one time is enough for many services.
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
    pub(super) state: Option<SvcState>,
    /// `enabled`, `disabled` or `masked`: whether it is started with the machine, or, in a session, with that. Default:
    /// it stays as it is.
    pub(super) startup: Option<SvcStartup>,
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
        let both = (self.startup == Some(SvcStartup::Masked) && self.state == Some(SvcState::Running))
            .then(|| FieldProblem::new("startup", "is masked, so that the service can't run", "declare one of them"));
        Target::problem("name", &self.name).into_iter().chain(both).collect()
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<SvcDrift>> {
        let target = self.target();
        match target.judged(cx, self.wanted()).await? {
            Verdict::Drifted(_, changes) => Ok(Some(SvcDrift(changes))),
            other => target.settled(other).map(|()| None),
        }
    }

    async fn apply(&self, cx: &ApplyCx, _: SvcDrift) -> Result<()> {
        let (target, wanted) = (self.target(), self.wanted());
        target.settle(cx, wanted, |found| record::<Svc>(cx, &target, wanted, found)).await
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        self.target().watch(cx)
    }

    fn uids(&self, _: &Known<'_>) -> Vec<Uid> {
        vec![self.target().uid()]
    }

    fn needs(&self, _: &Known<'_>) -> Vec<Need> {
        self.target().needs()
    }
}

/// Services that are ready at the same time are started at the same time, in one place among what runs.
impl ConvergeMany for Svc {}

impl Refresh for Svc {
    async fn refresh(&self, cx: &ApplyCx) -> Result<bool> {
        let unit = self.target().steps(cx).await?;
        let found = unit.systemd.unit(&unit.name).await?;
        if !matches!(found.active, ActiveState::Active | ActiveState::Reloading) {
            return Ok(false);
        }
        record_reload(cx, &self.target())?;
        unit.job(UnitJob::Reload).await.map(|()| true)
    }
}

impl Svc {
    pub(super) fn target(&self) -> Target {
        Target::new(&self.name, self.session)
    }

    pub(super) fn wanted(&self) -> Wanted {
        Wanted { state: self.state, startup: self.startup }
    }
}

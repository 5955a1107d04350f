//! The kind `nspawn`.

use crate::resource::{
    ApplyCx, Bus, Change, CheckCx, Converge, ConvergeMany, Drift, Error, FieldProblem, Known, Need, Obstacle,
    ObstacleKind, Recorded, Result, Reverse, SignalRule, Uid, Undone, Watch, WatchCx,
};
use crate::resources::units::judge::{Verdict, Wanted};
use crate::resources::units::state::{SvcStartup, SvcState};
use crate::resources::units::svc_reverse::{SvcRecord, describe, owns, record, undo};
use crate::resources::units::target::Target;
use crate::sys::machined::{self, IMAGES, Machine, Machined};
use mgmt_macros::Resource;

/// The longest name of a machine, as the name of a host.
const NAME_MAX: usize = 64;
/// How often a machine that another program has started is ended, until that is an error.
const ENDS_MAX: usize = 3;

/// A container of systemd-nspawn: whether it runs, and whether it is started with the machine.
///
/// It runs in the unit `systemd-nspawn@NAME.service`, from the image of its name in `/var/lib/machines`: a directory, a
/// subvolume or `NAME.raw`. How, is for its settings: `/etc/systemd/nspawn/NAME.nspawn` (systemd.nspawn(5)), and files
/// that are added to its unit. They have an effect at its next start. An image that is missing is waited for.
///
/// A machine of this name that another program has started, and not as this unit, counts as running. One that must be
/// stopped is shut down in order if it runs in the unit, and ended at once otherwise.
///
/// Woken by the signals of `systemd-machined` and systemd, by its unit files and its image. Default poll: none. Needs
/// `systemd-machined` with D-Bus (feature `dbus`); without, the resource waits.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("containers");
/// g.add(File::new("/etc/systemd/nspawn/web.nspawn").content("[Network]\nVirtualEthernet=no\n"));
/// g.add(Nspawn::new("web").running().enabled());
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "nspawn", inline = watch)]
pub struct Nspawn {
    /// The name of the machine.
    #[resource(name)]
    name: String,
    /// `running` or `stopped`. Default: `running`.
    #[resource(default = SvcState::Running)]
    state: SvcState,
    /// `enabled`, `disabled` or `masked`: whether it is started with the machine. Default: it stays as it is.
    startup: Option<SvcStartup>,
}

impl NspawnBuilder {
    /// Declares that it runs. The default.
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
pub struct NspawnDrift(Vec<Change>);

impl Drift for NspawnDrift {
    fn changes(&self) -> Vec<Change> {
        self.0.clone()
    }
}

/// What must be done with a machine.
enum Judged {
    Nothing,
    /// The unit is not as declared.
    Unit(Vec<Change>),
    /// A machine that is not of the unit must be ended.
    Foreign(Machine),
}

impl Converge for Nspawn {
    type Drift = NspawnDrift;

    fn validate(&self, _: &Known<'_>) -> Vec<FieldProblem> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_edge = |c: Option<char>| c.is_none_or(|c| "-.".contains(c));
        let wrong = self.name.len() > NAME_MAX
            || !self.name.chars().all(is_part)
            || is_edge(self.name.chars().next())
            || is_edge(self.name.chars().next_back())
            || self.name.contains("..");
        let remedy = "use letters, digits, and `-_.` between them: at most 64, as in the name of a host";
        let name = wrong.then(|| FieldProblem::new("name", "is no name of a machine", remedy));
        let both = (self.startup == Some(SvcStartup::Masked) && self.state == SvcState::Running)
            .then(|| FieldProblem::new("startup", "is masked, so that the machine can't run", "declare one of them"));
        name.into_iter().chain(both).collect()
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<NspawnDrift>> {
        match self.judge(cx).await? {
            Judged::Nothing => Ok(None),
            Judged::Unit(changes) => Ok(Some(NspawnDrift(changes))),
            Judged::Foreign(machine) => {
                let from = format!("{} ({})", machine.state, machine.unit);
                Ok(Some(NspawnDrift(vec![Change::new("state", from, "stopped")])))
            }
        }
    }

    async fn apply(&self, cx: &ApplyCx, _: NspawnDrift) -> Result<()> {
        let wanted = self.wanted();
        for _ in 0..ENDS_MAX {
            match self.judge(cx).await? {
                Judged::Nothing => return Ok(()),
                Judged::Unit(_) => {
                    let target = self.target();
                    target.settle(cx, wanted, |found| record::<Nspawn>(cx, &target, wanted, found)).await?;
                }
                Judged::Foreign(_) => machined_of(cx).await?.terminate(&self.name).await?,
            }
        }
        Err(Error::new(format!("the machine {} is started again by another program", self.name)).outdated())
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let units = self.target().watch(cx);
        let image = format!("{IMAGES}/{}", self.name);
        let files =
            [image.clone(), format!("{image}.raw")].into_iter().fold(units, |all, path| all.and(cx.fs().itself(path)));
        if Machined::simulated().is_some() {
            return files;
        }
        let rule = |member| {
            SignalRule::new().sender(machined::NAME).path(machined::PATH).interface(machined::MANAGER).member(member)
        };
        ["MachineNew", "MachineRemoved"]
            .into_iter()
            .fold(files, |all, member| all.and(Watch::signals(Bus::System, rule(member).arg0(&self.name))))
    }

    fn uids(&self, _: &Known<'_>) -> Vec<Uid> {
        vec![self.target().uid()]
    }

    fn needs(&self, _: &Known<'_>) -> Vec<Need> {
        let settings = format!("/etc/systemd/nspawn/{}.nspawn", self.name);
        let image = format!("{IMAGES}/{}", self.name);
        let mut needs = self.target().needs();
        needs.push(Need::after(Uid::path(settings)).because("its settings"));
        needs.extend(
            [image.clone(), format!("{image}.raw")].map(|path| Need::after(Uid::path(path)).because("its image")),
        );
        needs
    }
}

/// Machines that are ready at the same time are started at the same time, in one place among what runs.
impl ConvergeMany for Nspawn {}

impl Nspawn {
    fn target(&self) -> Target {
        Target::new(&format!("systemd-nspawn@{}.service", self.name), false)
    }

    fn wanted(&self) -> Wanted {
        Wanted { state: Some(self.state), startup: self.startup }
    }

    /// What must be done now.
    async fn judge(&self, cx: &CheckCx) -> Result<Judged> {
        let (target, machined) = (self.target(), machined_of(cx).await?);
        let machine = machined.machine(&self.name).await?.filter(|machine| machine.unit != target.name);
        let mut wanted = self.wanted();
        if machine.is_some() && self.state == SvcState::Running {
            // It runs already, in a place of its own.
            wanted.state = None;
        }
        let verdict = target.judged(cx, wanted).await?;
        match (verdict, machine) {
            (Verdict::Drifted(todo, changes), _) => {
                if todo.state == Some(SvcState::Running) && !machined.has_image(&self.name).await? {
                    return Err(Error::new(format!(
                        "there is no image of the machine {name}: put one at {IMAGES}/{name}; until then this waits",
                        name = self.name
                    ))
                    .waiting_for(Obstacle::new(ObstacleKind::Missing).at(format!("{IMAGES}/{}", self.name))));
                }
                Ok(Judged::Unit(changes))
            }
            (_, Some(machine)) if self.state == SvcState::Stopped => Ok(Judged::Foreign(machine)),
            (Verdict::Missing, _) if self.state == SvcState::Running => {
                let why =
                    "this host has no systemd-nspawn: install it (Debian: `systemd-container`); until then this waits";
                Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::NoComponent)))
            }
            (other, _) => target.settled(other).map(|()| Judged::Nothing),
        }
    }
}

async fn machined_of(cx: &CheckCx) -> Result<Machined> {
    match Machined::simulated() {
        Some(simulated) => Ok(simulated),
        None => Ok(Machined::new(cx.bus(Bus::System).await?)),
    }
}

impl Reverse for Nspawn {
    type Record = SvcRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<SvcRecord>) -> Result<Undone> {
        undo(cx, record.data).await
    }

    fn describe(record: &SvcRecord) -> Vec<String> {
        describe(record)
    }

    fn owns(record: &SvcRecord) -> Vec<Uid> {
        owns(record)
    }
}

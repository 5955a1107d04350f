//! A unit whose state is declared: what it is called, what identifies and wakes it, and how it becomes as declared.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::resource::{
    ApplyCx, Bus, CheckCx, Error, FieldProblem, Need, Obstacle, ObstacleKind, Result, SessionUnit, SignalRule, Uid,
    Unit as UnitKey, Watch, WatchCx,
};
use crate::resources::units::judge::{Verdict, Wanted};
use crate::resources::units::steps::Steps;
use crate::sys::dbus::PROPERTIES;
use crate::sys::systemd::{self, Systemd, Traffic, Unit};
use crate::sys::users::{our_home, us, user_name};

/// Each removes one difference: the mask, the start-up, the old file, the failure, the state.
const STEPS_MAX: usize = 6;

/// A unit of the machine's systemd, or of that of the user that the program runs as.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Its whole name.
    pub(super) name: String,
    pub(super) is_session: bool,
}

impl Target {
    /// A name without the end of a unit is that of a service.
    pub(super) fn new(name: &str, is_session: bool) -> Target {
        Target { name: UnitKey::new(name).to_string(), is_session }
    }

    /// What is wrong with a name as that of a unit.
    pub(super) fn problem(field: &'static str, name: &str) -> Option<FieldProblem> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        let wrong = name.is_empty() || name.len() > 255 || !name.chars().all(is_part);
        let remedy = "use letters, digits, and `:-_.\\@`; `systemd-escape` writes others";
        wrong.then(|| FieldProblem::new(field, "is no name of a unit", remedy))
    }

    /// What identifies it.
    pub(super) fn uid(&self) -> Uid {
        let unit = UnitKey::new(&self.name);
        if self.is_session { Uid::of(SessionUnit { user: user_name(us()), unit }) } else { Uid::of(unit) }
    }

    /// The files that it is made of.
    pub(super) fn needs(&self) -> Vec<Need> {
        let unit = UnitKey::new(&self.name);
        match (self.is_session, our_home()) {
            (false, _) => unit.needs(),
            (true, Some(home)) => unit.session_needs(&home),
            (true, None) => Vec::new(),
        }
    }

    /// The directory in which people keep the files of such units.
    pub(super) fn own_dir(&self) -> Option<PathBuf> {
        match self.is_session {
            false => Some("/etc/systemd/system".into()),
            true => our_home().map(|home| home.join(".config/systemd/user")),
        }
    }

    /// Its file there.
    pub(super) fn own_file(&self) -> Option<PathBuf> {
        self.own_dir().map(|dir| dir.join(&self.name))
    }

    pub(super) fn watch(&self, cx: &WatchCx) -> Watch {
        let watch = match Systemd::state_file(&self.name) {
            Some(simulated) => cx.fs().itself(simulated),
            None => self.signals(),
        };
        let mut dirs: Vec<PathBuf> = self.own_dir().into_iter().collect();
        if !self.is_session {
            dirs.extend(["/run/systemd/system", "/usr/lib/systemd/system"].map(PathBuf::from));
        }
        let files = dirs.iter().flat_map(|dir| self.files_in(dir));
        files.fold(watch, |all, path| all.and(cx.fs().tree(path)))
    }

    /// What of the unit is in this directory, or may be: its file or that of its template, and what is added to them.
    fn files_in(&self, dir: &Path) -> Vec<PathBuf> {
        let template = self.name.split_once('@').zip(self.name.rsplit_once('.'));
        let template = template.map(|((before, _), (_, end))| format!("{before}@.{end}"));
        let names = std::iter::once(self.name.clone()).chain(template.filter(|template| *template != self.name));
        names.flat_map(|name| [dir.join(&name), dir.join(format!("{name}.d"))]).collect()
    }

    /// What systemd announces about the unit.
    fn signals(&self) -> Watch {
        let rule = || SignalRule::new().sender(systemd::NAME);
        let of_manager = |member| rule().path(systemd::MANAGER_PATH).interface(systemd::MANAGER).member(member);
        let of_unit = rule().path(systemd::unit_path(&self.name)).interface(PROPERTIES).member("PropertiesChanged");
        let signals =
            [of_unit, of_manager("UnitNew").arg0(&self.name), of_manager("Reloading"), of_manager("UnitFilesChanged")];
        signals.into_iter().fold(Watch::none(), |all, rule| all.and(Watch::signals(bus(self.is_session), rule)))
    }

    pub(super) async fn steps(&self, cx: &ApplyCx) -> Result<Steps> {
        let systemd = systemd_of(cx, self.is_session).await?;
        Ok(Steps { systemd, name: self.name.clone(), is_session: self.is_session })
    }

    pub(super) async fn judged(&self, cx: &CheckCx, wanted: Wanted) -> Result<Verdict> {
        let unit = systemd_of(cx, self.is_session).await?.unit(&self.name).await?;
        Ok(wanted.judge(&unit))
    }

    /// Removes all differences. `before` is called with the state of the unit before each of them.
    pub(super) async fn settle(
        &self,
        cx: &ApplyCx,
        wanted: Wanted,
        before: impl Fn(&Unit) -> Result<()>,
    ) -> Result<()> {
        let unit = self.steps(cx).await?;
        for _ in 0..STEPS_MAX {
            // What one step did may be all that the next one would do.
            let found = unit.systemd.unit(&self.name).await?;
            match wanted.judge(&found) {
                Verdict::Drifted(todo, _) => {
                    before(&found)?;
                    unit.step(todo, &found.active).await?;
                }
                other => return self.settled(other),
            }
        }
        Err(Error::new(format!("{} does not become as declared", self.name)))
    }

    /// A verdict that needs no change: in sync, or an error.
    pub(super) fn settled(&self, verdict: Verdict) -> Result<()> {
        let name = &self.name;
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

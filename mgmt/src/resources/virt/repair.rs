//! A look at a domain, and its repair: one step, then another look, until nothing is left to do.

use std::sync::Arc;
use std::time::Duration;

use crate::resource::{ApplyCx, CheckCx, Error, Obstacle, ObstacleKind, Result};
use crate::resources::virt::fields::VirtState;
use crate::resources::virt::judge::{Judged, Step, judge, missing};
use crate::resources::virt::live::Refused;
use crate::resources::virt::reverse::{Recording, note};
use crate::resources::virt::wait::Wait;
use crate::resources::virt::wanted::Wanted;
use crate::sys::fs::ReadFs;
use crate::sys::libvirt::{Action, Domain, DomainState, Driver, Element, Libvirt, LibvirtError};

/// The most steps of a repair.
const STEPS_MAX: usize = 200;
/// How long the system in a domain is given to follow a change.
const FOLLOW_MAX: Duration = Duration::from_secs(5);

/// What a look has found.
pub(super) struct Looked {
    pub(super) domain: Option<Domain>,
    pub(super) judged: Judged,
}

/// A domain, and how it must be.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) libvirt: Arc<Libvirt>,
    pub(super) wanted: Arc<Wanted>,
    pub(super) refused: Arc<Refused>,
}

fn failed(error: LibvirtError) -> Error {
    let is_outdated = error.is_outdated() || error.is_no_domain();
    let error = Error::from(error);
    if is_outdated { error.outdated() } else { error }
}

impl Target {
    /// Compares the domain with what is declared.
    pub(super) async fn look(&self, cx: &CheckCx) -> Result<Looked> {
        let target = self.clone();
        cx.look(move |fs, _| target.look_now(fs)).await
    }

    fn look_now(&self, fs: &ReadFs) -> Result<Looked> {
        let wanted = &self.wanted;
        let domain = self.libvirt.domain(&wanted.name)?;
        let judged = match &domain {
            Some(domain) => judge(wanted, domain, &self.refused),
            None if wanted.is_absent() => Judged::default(),
            None => missing(wanted, &self.libvirt.hypervisor(wanted.place.driver)?)?,
        };
        if judged.needs_files {
            self.files(fs)?;
        }
        Ok(Looked { domain, judged })
    }

    /// The files of the devices must be there, or the domain would stop and not start again.
    fn files(&self, fs: &ReadFs) -> Result<()> {
        let local = self.wanted.paths().filter(|path| self.wanted.place.has_path(path.as_ref()));
        for path in local {
            if fs.stat(path)?.is_none() {
                let why =
                    format!("`{}` needs {path}, which does not exist: this waits until it does", self.wanted.name);
                return Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Missing).at(path)));
            }
        }
        Ok(())
    }

    /// Makes the domain as it must be. Returns whether something was changed, and whether it was started.
    pub(super) async fn repair(&self, cx: &ApplyCx, recording: Option<&Recording>) -> Result<Repaired> {
        let mut repaired = Repaired::default();
        let mut last: Option<Step> = None;
        for _ in 0..STEPS_MAX {
            cx.stopping().check()?;
            let Looked { domain, judged } = self.look(cx).await?;
            let Some(step) = judged.steps.into_iter().next() else {
                return judged.problem.map_or(Ok(repaired), Err);
            };
            if last.as_ref() == Some(&step) {
                let Step::Act(action) = &step else { return Err(self.not_taken(&step)) };
                self.follow(cx, action, domain.and_then(|domain| domain.id)).await?;
                last = None;
                continue;
            }
            if let Some(recording) = recording {
                note(recording, &self.wanted, domain.as_ref())?;
            }
            let id = domain.as_ref().and_then(|domain| domain.id);
            if repaired.is_started && self.wanted.is_active() && matches!(step, Step::Stop | Step::Recreate(..)) {
                let why = format!("`{}` was restarted, and has not become as declared", self.wanted.name);
                return Err(Error::new(why));
            }
            if self.act(cx, &step, id).await? {
                repaired.is_changed = true;
                repaired.is_started |= step.starts();
                last = Some(step);
            }
        }
        let why = format!("`{}` is changed by another program as often as it is repaired", self.wanted.name);
        Err(Error::new(why).outdated())
    }

    /// Puts a definition back as a whole, of a domain that is defined or does not exist.
    pub(super) async fn put_back(
        &self,
        cx: &ApplyCx,
        saved: &Element,
        uuid: &str,
        is_persistent: bool,
    ) -> Result<PutBack> {
        let target = self.clone();
        let found = cx.look(move |_, _| target.libvirt.domain(&target.wanted.name)).await?;
        if found.as_ref().is_some_and(|found| found.uuid != uuid) {
            return Ok(PutBack::Kept(format!("`{}` is another domain now, with the same name", self.wanted.name)));
        }
        let is_there = found.as_ref().is_some_and(|found| found.saved == *saved && found.is_persistent);
        let step = match (is_persistent, &found) {
            (true, _) if !is_there => Step::Define(saved.clone()),
            (false, None) => Step::Create(saved.clone(), self.wanted.state == VirtState::Paused),
            _ => return Ok(PutBack::AsWas),
        };
        self.call(cx, &step).await?.map_err(failed)?;
        Ok(PutBack::Done)
    }

    /// Restarts the domain, if it runs.
    pub(super) async fn restart(&self, cx: &ApplyCx) -> Result<bool> {
        let target = self.clone();
        let found = cx.look(move |_, _| target.libvirt.domain(&target.wanted.name)).await?;
        let Some(found) = found.filter(|found| found.id.is_some()) else { return Ok(false) };
        let again = if found.is_persistent {
            self.stop(cx).await?;
            Step::Act(Action::Start(self.wanted.state == VirtState::Paused))
        } else {
            Step::Recreate(found.saved, self.wanted.state == VirtState::Paused)
        };
        self.act(cx, &again, None).await
    }

    fn not_taken(&self, step: &Step) -> Error {
        let name = &self.wanted.name;
        let why = match step {
            Step::Define(_) => {
                "libvirt has taken its definition, and shows it otherwise than declared: look at `virsh dumpxml`"
            }
            _ => "libvirt has done what was asked, without an effect",
        };
        Error::new(format!("`{name}`: {why}"))
    }

    /// Does one step. `false`: it is refused while the domain runs, which is noted.
    async fn act(&self, cx: &ApplyCx, step: &Step, id: Option<u32>) -> Result<bool> {
        match step {
            Step::Stop => return self.stop(cx).await.map(|()| true),
            Step::Recreate(definition, is_paused) => {
                self.stop(cx).await?;
                self.call(cx, &Step::Create(definition.clone(), *is_paused)).await?.map_err(failed)?;
                return Ok(true);
            }
            _ => {}
        }
        match (self.call(cx, step).await?, step, id) {
            (Ok(()), ..) => Ok(true),
            (Err(error), Step::Act(action), Some(id)) if action.is_live() && error.is_unsupported() => {
                self.refused.note(id, action, error.to_string());
                Ok(false)
            }
            (Err(error), ..) => Err(failed(error)),
        }
    }

    /// One call of libvirt, or two.
    async fn call(&self, cx: &ApplyCx, step: &Step) -> Result<std::result::Result<(), LibvirtError>> {
        let (libvirt, wanted, step) = (Arc::clone(&self.libvirt), Arc::clone(&self.wanted), step.clone());
        // Others can't start a domain so: then it is paused by the next step.
        let starts_paused = wanted.place.driver == Driver::Qemu;
        let called = cx.change(move |_, stop| {
            stop.check()?;
            let name = &wanted.name;
            Ok(match &step {
                Step::Define(definition) => libvirt.define(name, definition),
                Step::Create(definition, is_paused) | Step::Recreate(definition, is_paused) => {
                    libvirt.create(name, definition, *is_paused && starts_paused)
                }
                Step::MakeTransient(definition, is_paused) => libvirt
                    .act(name, &Action::Undefine)
                    .and_then(|()| libvirt.create(name, definition, *is_paused && starts_paused)),
                Step::Act(Action::Start(is_paused)) => libvirt.act(name, &Action::Start(*is_paused && starts_paused)),
                Step::Act(action) => libvirt.act(name, action),
                Step::Stop => libvirt.act(name, &Action::Destroy),
            })
        });
        called.await
    }

    /// Waits until a change that was asked for is there. If the system in the domain does not follow, that counts as a
    /// refusal.
    async fn follow(&self, cx: &ApplyCx, action: &Action, id: Option<u32>) -> Result<()> {
        let mut wait = Wait::begin(&self.libvirt, &self.wanted.name, FOLLOW_MAX);
        let step = Step::Act(action.clone());
        loop {
            let looked = self.look(cx).await?;
            if looked.judged.steps.first() != Some(&step) {
                return Ok(());
            }
            if !wait.next().await? {
                break;
            }
        }
        match id.filter(|_| action.is_live()) {
            Some(id) => {
                let why = format!("its system has not followed within {} s", FOLLOW_MAX.as_secs());
                self.refused.note(id, action, why);
                Ok(())
            }
            None => {
                let why =
                    format!("{action} `{}` has had no effect within {} s", self.wanted.name, FOLLOW_MAX.as_secs());
                Err(Error::new(why))
            }
        }
    }

    /// Shuts the domain down: its system is asked, and ended if it has not done so in time.
    pub(super) async fn stop(&self, cx: &ApplyCx) -> Result<()> {
        let name = &self.wanted.name;
        let mut wait = Wait::begin(&self.libvirt, name, self.wanted.shutdown);
        let (mut is_roused, mut is_asked) = (false, false);
        loop {
            let target = self.clone();
            let found = cx.look(move |_, _| target.libvirt.domain(&target.wanted.name)).await?;
            let Some(found) = found.filter(|found| found.id.is_some()) else { return Ok(()) };
            let action = match found.state {
                _ if self.wanted.shutdown.is_zero() => Action::Destroy,
                DomainState::Crashed => Action::Destroy,
                // What stands still can't be asked. One that stops again, as with a disk error, is ended in time.
                DomainState::Paused(_) | DomainState::Suspended if !is_roused => {
                    is_roused = true;
                    if found.state == DomainState::Suspended { Action::Wake } else { Action::Resume }
                }
                DomainState::Running if !is_asked => {
                    is_asked = true;
                    Action::Shutdown
                }
                _ if wait.next().await? => continue,
                _ => Action::Destroy,
            };
            let is_forced = action == Action::Destroy;
            match self.call(cx, &Step::Act(action)).await? {
                Ok(()) => {}
                // It has ended meanwhile, or begun to.
                Err(error) if (error.is_no_domain() || error.is_outdated()) && !is_forced => {
                    if !wait.next().await? {
                        return Err(failed(error));
                    }
                }
                Err(error) if error.is_unsupported() && !is_forced => {
                    self.call(cx, &Step::Act(Action::Destroy)).await?.map_err(failed)?;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

/// What has become of a definition.
pub(super) enum PutBack {
    AsWas,
    Done,
    /// It is kept, for this reason.
    Kept(String),
}

/// What a repair has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Repaired {
    pub(super) is_changed: bool,
    pub(super) is_started: bool,
}

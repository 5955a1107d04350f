//! What must be done with a domain: it follows from what is declared and what libvirt shows, and nothing else.

use crate::resource::{Change, Error, Obstacle, ObstacleKind, Result};
use crate::resources::virt::compare::{Field, Fields, edit};
use crate::resources::virt::fields::{VirtRestart, VirtState};
use crate::resources::virt::live::{Live, Refused};
use crate::resources::virt::make;
use crate::resources::virt::wanted::Wanted;
use crate::sys::libvirt::{Action, Domain, DomainState, Element, Hypervisor, Pause};

/// One thing that must be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Defines it, for the next start.
    Define(Element),
    /// Creates one that is there only while it runs; paused, if so.
    Create(Element, bool),
    /// Removes the definition of one that does not run, and creates it as above.
    MakeTransient(Element, bool),
    /// Anything else that libvirt does in one call.
    Act(Action),
    /// Shuts it down, by force after a time.
    Stop,
    /// The same with one that is not defined, and creates it again.
    Recreate(Element, bool),
}

/// What is otherwise than declared.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) changes: Vec<Change>,
    /// In the order in which they must be done; after each, the domain is judged again.
    pub(super) steps: Vec<Step>,
    /// What these steps can't remove.
    pub(super) problem: Option<Error>,
    /// What has its effect at the next start only.
    pub(super) later: Vec<String>,
    /// It starts, or gets devices: their files must be there.
    pub(super) needs_files: bool,
}

/// Compares a domain with what is declared.
pub(super) fn judge(wanted: &Wanted, domain: &Domain, refused: &Refused) -> Judged {
    let mut judged = Judged::default();
    if wanted.is_absent() {
        judged.changes.push(Change::new("state", domain.state, "absent"));
        let is_active = domain.id.is_some();
        judged.steps.push(if is_active { Step::Stop } else { Step::Act(Action::Undefine) });
        return judged;
    }
    let is_paused = wanted.state == VirtState::Paused;
    let fields = Fields::compare(wanted, domain, refused);
    let is_saved = !fields.iter().any(|field| field.saved);
    let mut next = domain.saved.clone();
    edit(&mut next, wanted);
    if domain.is_persistent && wanted.transient {
        judged.changes.push(Change::new("transient", false, true));
        judged.steps.push(match domain.id {
            Some(_) => Step::Act(Action::Undefine),
            None => Step::MakeTransient(next.clone(), is_paused),
        });
    } else if !domain.is_persistent && !wanted.transient {
        judged.changes.push(Change::new("transient", true, false));
        judged.steps.push(Step::Define(next.clone()));
    } else if domain.is_persistent && !is_saved {
        judged.steps.push(Step::Define(next.clone()));
    }
    if let Some(is_on) = wanted.startup.filter(|is_on| *is_on != domain.autostart && !wanted.transient) {
        judged.changes.push(Change::new("startup", domain.autostart, is_on));
        judged.steps.push(Step::Act(Action::Autostart(is_on)));
    }
    report(fields, wanted, next, &mut judged);
    match state(wanted, domain) {
        State::AsWanted => {}
        State::Busy(why) => judged.problem = Some(why),
        State::Step(step) => {
            judged.needs_files |= matches!(step, Step::Act(Action::Start(_)));
            judged.changes.push(Change::new("state", domain.state, wanted.state));
            judged.steps.push(step);
        }
    }
    judged
}

/// What is done about a domain that does not exist, and must.
///
/// # Errors
/// Its memory is not declared.
pub(super) fn missing(wanted: &Wanted, hypervisor: &Hypervisor) -> Result<Judged> {
    let mut judged = Judged::default();
    let definition = make::domain(wanted, hypervisor)?;
    let diff: String = definition.to_string().lines().map(|line| format!("+{line}\n")).collect();
    judged.changes.push(Change::new("state", "absent", wanted.state).with_diff(diff));
    judged.needs_files = wanted.is_active();
    let is_paused = wanted.state == VirtState::Paused;
    judged.steps.push(match wanted.transient {
        true => Step::Create(definition, is_paused),
        false => Step::Define(definition),
    });
    if let Some(true) = wanted.startup {
        judged.changes.push(Change::new("startup", false, true));
    }
    Ok(judged)
}

/// Puts the changes of fields, and the steps for them, into what was judged.
fn report(fields: Vec<Field>, wanted: &Wanted, next: Element, judged: &mut Judged) {
    let mut reasons = Vec::new();
    for Field { name, from, to, diff, saved, live } in fields {
        let how = match (&live, wanted.restart) {
            (Live::Restart(_), VirtRestart::Ignore) => " (at the next start)",
            (Live::Restart(_), VirtRestart::Ifneeded) => " (by a restart)",
            (Live::Restart(_), VirtRestart::Error) => " (needs a restart)",
            _ => "",
        };
        let is_later = matches!(live, Live::Restart(_)) && wanted.restart != VirtRestart::Ifneeded;
        if saved || !is_later {
            let change = Change::new(name, &from, format!("{to}{how}"));
            judged.changes.push(if diff.is_empty() { change } else { change.with_diff(diff) });
        }
        match live {
            Live::Same => {}
            Live::Hot(actions) => {
                judged.needs_files |= actions.iter().any(|action| !matches!(action, Action::Detach(_)));
                judged.steps.extend(actions.into_iter().map(Step::Act));
            }
            Live::Restart(why) => reasons.push(format!("`{name}` {from} → {to}: {why}")),
        }
    }
    if !reasons.is_empty() {
        restart(reasons, wanted, next, judged);
    }
}

/// What is done about changes that need a restart.
fn restart(reasons: Vec<String>, wanted: &Wanted, next: Element, judged: &mut Judged) {
    match wanted.restart {
        VirtRestart::Ignore => judged.later = reasons,
        VirtRestart::Ifneeded => {
            judged.needs_files = true;
            judged.steps.push(match wanted.transient {
                true => Step::Recreate(next, wanted.state == VirtState::Paused),
                false => Step::Stop,
            });
        }
        VirtRestart::Error => {
            let why = format!(
                "`{}` must be restarted: {}; restart it, or set `restartondiverge` to `ifneeded` or `ignore`",
                wanted.name,
                reasons.join("; ")
            );
            judged.problem = Some(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Busy)));
        }
    }
}

enum State {
    AsWanted,
    Step(Step),
    Busy(Error),
}

fn state(wanted: &Wanted, domain: &Domain) -> State {
    let act = |action| State::Step(Step::Act(action));
    let busy = || {
        let why = format!("`{}` is {}: this waits until that has ended", wanted.name, domain.state);
        State::Busy(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Busy)))
    };
    match (wanted.state, domain.state) {
        (VirtState::Running, DomainState::Running)
        | (VirtState::Paused, DomainState::Paused(_))
        | (VirtState::Shutoff, DomainState::Shutoff) => State::AsWanted,
        (_, DomainState::Crashed | DomainState::Paused(Pause::Crash)) => act(Action::Destroy),
        (_, DomainState::Paused(Pause::Work)) => busy(),
        (VirtState::Shutoff, _) | (_, DomainState::ShuttingDown) => State::Step(Step::Stop),
        (_, DomainState::Suspended) => act(Action::Wake),
        (VirtState::Running, DomainState::Paused(_)) => act(Action::Resume),
        (VirtState::Paused, DomainState::Running) => act(Action::Suspend),
        (VirtState::Running, DomainState::Shutoff) => act(Action::Start(false)),
        (VirtState::Paused, DomainState::Shutoff) => act(Action::Start(true)),
    }
}

impl Step {
    /// The domain begins a run with it.
    pub(super) fn starts(&self) -> bool {
        match self {
            Step::Create(..) | Step::MakeTransient(..) | Step::Recreate(..) => true,
            Step::Act(action) => matches!(action, Action::Start(_)),
            Step::Define(_) | Step::Stop => false,
        }
    }
}

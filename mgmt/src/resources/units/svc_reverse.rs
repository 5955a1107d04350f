//! How a unit was before a resource changed it, and putting it back when the resource has left the graph.

use serde::{Deserialize, Serialize};

use crate::resource::{ApplyCx, Recorded, Result, Reverse, Uid, Undone};
use crate::resources::units::judge::{Todo, Wanted, word};
use crate::resources::units::state::{SvcStartup, SvcState};
use crate::resources::units::steps::Steps;
use crate::resources::units::svc::Svc;
use crate::resources::units::target::{Target, systemd_of};
use crate::sys::systemd::{ActiveState, Unit, UnitJob};

/// How a unit was.
#[derive(Debug, Serialize, Deserialize)]
pub struct SvcRecord {
    /// Its whole name.
    unit: String,
    #[serde(default)]
    session: bool,
    /// What it did, if that was declared.
    state: Option<SvcState>,
    startup: Option<StartupWas>,
    /// It was reloaded, with what has been put back since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    reloaded: bool,
}

/// When it was started, if that was declared.
#[derive(Debug, Serialize, Deserialize)]
struct StartupWas {
    /// `None`: it had no file that can be enabled.
    was: Option<SvcStartup>,
    declared: SvcStartup,
}

/// When a unit with a file in this state is started, if that can be declared.
fn startup(file_state: &str) -> Option<SvcStartup> {
    match file_state {
        "enabled" => Some(SvcStartup::Enabled),
        "disabled" | "indirect" | "linked" => Some(SvcStartup::Disabled),
        "masked" => Some(SvcStartup::Masked),
        _ => None,
    }
}

/// What a unit does; between two states, what it will do.
fn state(active: &ActiveState) -> Option<SvcState> {
    match active {
        ActiveState::Active | ActiveState::Reloading | ActiveState::Activating => Some(SvcState::Running),
        ActiveState::Inactive | ActiveState::Failed | ActiveState::Deactivating => Some(SvcState::Stopped),
        ActiveState::Other(_) => None,
    }
}

/// Records how a unit is, unless that was recorded before.
pub(super) fn record<K: Reverse<Record = SvcRecord>>(
    cx: &ApplyCx,
    target: &Target,
    declared: Wanted,
    found: &Unit,
) -> Result<()> {
    for recorder in cx.recorders::<K>() {
        if recorder.read()?.is_some() {
            continue;
        }
        recorder.write(&SvcRecord {
            unit: target.name.clone(),
            session: target.is_session,
            state: declared.state.and_then(|_| state(&found.active)),
            startup: declared.startup.map(|declared| StartupWas { was: startup(&found.file_state), declared }),
            reloaded: false,
        })?;
    }
    Ok(())
}

/// Records that a unit, which runs, is about to be reloaded, if the changes of this run may be put back later.
pub(super) fn record_reload(cx: &ApplyCx, target: &Target) -> Result<()> {
    let Some(recorder) = cx.recorder_of_refresh::<Svc>() else { return Ok(()) };
    let record = recorder.read()?.unwrap_or_else(|| SvcRecord {
        unit: target.name.clone(),
        session: target.is_session,
        // The reload may end it.
        state: Some(SvcState::Running),
        startup: None,
        reloaded: false,
    });
    recorder.write(&SvcRecord { reloaded: true, ..record })
}

impl SvcRecord {
    /// Whether the unit, which was like this before all steps, still runs with what it was reloaded with.
    fn is_reload_due(&self, found: &Unit) -> bool {
        let runs = matches!(found.active, ActiveState::Active | ActiveState::Reloading);
        self.reloaded && runs && self.state != Some(SvcState::Stopped)
    }

    /// What must be done to a unit that is like this now, in the order in which it must be done, and in words.
    fn steps(&self, now: Option<&Unit>) -> Vec<(Todo, String)> {
        let name = &self.unit;
        let mut steps = Vec::new();
        if let Some(startup) = &self.startup {
            let is_masked = startup.declared == SvcStartup::Masked;
            let todo = Todo { unmask: is_masked, ..Todo::default() };
            if is_masked && startup.was != Some(SvcStartup::Masked) {
                steps.push((todo, format!("unmask {name}")));
            }
            if let Some(was) = startup.was.filter(|was| *was != startup.declared) {
                let todo = Todo { startup: Some(was), ..Todo::default() };
                let verb = word(was).trim_end_matches('d');
                steps.push((todo, format!("{} {name}", if was == SvcStartup::Masked { "mask" } else { verb })));
            }
        }
        // As it was already: by another program, or by an undoing before.
        let is_so = |was| {
            now.is_some_and(|now| match was {
                SvcState::Running => matches!(now.active, ActiveState::Active | ActiveState::Reloading),
                SvcState::Stopped => matches!(now.active, ActiveState::Inactive | ActiveState::Failed),
            })
        };
        if let Some(was) = self.state.filter(|was| !is_so(*was)) {
            let todo = Todo { state: Some(was), reset: was == SvcState::Running, ..Todo::default() };
            steps.push((todo, format!("{} {name}", if was == SvcState::Running { "start" } else { "stop" })));
        }
        steps
    }
}

/// Puts the unit back as it was.
pub(super) async fn undo(cx: &ApplyCx, record: SvcRecord) -> Result<Undone> {
    let systemd = systemd_of(cx, record.session).await?;
    let found = systemd.unit(&record.unit).await?;
    if found.load == "not-found" {
        return Ok(Undone::default());
    }
    let now = startup(&found.file_state);
    let unit = Steps { systemd, name: record.unit.clone(), is_session: record.session };
    let mut undone = Undone::default();
    for (todo, words) in record.steps(Some(&found)) {
        if let Some(startup) = record.startup.as_ref().filter(|_| todo.state.is_none()) {
            if now == startup.was {
                continue;
            }
            if now != Some(startup.declared) {
                let state = if found.file_state.is_empty() { "without a file" } else { &found.file_state };
                undone = undone.kept(format!("{} is {state}: another program changed that", record.unit));
                continue;
            }
        }
        unit.step(todo, &found.active).await?;
        undone = undone.did(words);
    }
    // One that was just started has read what is there now.
    if record.is_reload_due(&found) {
        unit.job(UnitJob::Reload).await?;
        undone = undone.did(format!("reload {}", record.unit));
    }
    Ok(undone)
}

/// What that would do.
pub(super) fn describe(record: &SvcRecord) -> Vec<String> {
    let reload = record.reloaded.then(|| format!("reload {}", record.unit));
    record.steps(None).into_iter().map(|(_, words)| words).chain(reload).collect()
}

/// The unit that it would change.
pub(super) fn owns(record: &SvcRecord) -> Vec<Uid> {
    vec![Target::new(&record.unit, record.session).uid()]
}

impl Reverse for Svc {
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

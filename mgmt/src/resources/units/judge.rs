//! What must be done with a unit, and what can't be done: decided from its state alone.

use crate::resource::Change;
use crate::resources::units::state::{SvcStartup, SvcState};
use crate::sys::systemd::{ActiveState, Unit};

/// What is declared about a unit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    pub(super) state: Option<SvcState>,
    pub(super) startup: Option<SvcStartup>,
}

/// What must be done, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Todo {
    pub(super) unmask: bool,
    pub(super) startup: Option<SvcStartup>,
    /// systemd must read the unit's file again.
    pub(super) reload: bool,
    /// Its failure must be forgotten before it is started.
    pub(super) reset: bool,
    pub(super) state: Option<SvcState>,
}

/// What was found out about a unit.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    InSync,
    Drifted(Todo, Vec<Change>),
    /// It does not exist: something must bring it.
    Missing,
    /// It is in a state that is none of the usual ones, such as `maintenance`, and systemd reports when that ends.
    Moving(String),
    /// What is declared is impossible, and why.
    Impossible(String),
}

/// A unit that is masked has no other file.
const MASKED: [&str; 2] = ["masked", "masked-runtime"];

impl Wanted {
    pub(super) fn judge(self, unit: &Unit) -> Verdict {
        let is_masked = unit.load == "masked" || MASKED.contains(&unit.file_state.as_str());
        let wants_it = self.state == Some(SvcState::Running) || self.startup == Some(SvcStartup::Enabled);
        match unit.load.as_str() {
            "not-found" if wants_it => return Verdict::Missing,
            "bad-setting" | "error" if wants_it => {
                return Verdict::Impossible(format!("systemd can't read its unit file (`{}`)", unit.load));
            }
            _ => {}
        }
        if is_masked && self.state == Some(SvcState::Running) {
            match self.startup {
                Some(SvcStartup::Enabled | SvcStartup::Disabled) => {}
                Some(SvcStartup::Masked) => {
                    return Verdict::Impossible("what is masked can't run: declare one of them".to_owned());
                }
                None => {
                    let why = "it is masked, so that nothing can start it: declare `startup`, enabled or disabled, to remove the mask";
                    return Verdict::Impossible(why.to_owned());
                }
            }
        }
        let mut todo = Todo::default();
        let mut changes = Vec::new();
        match self.startup_change(unit, is_masked) {
            Ok(Some(startup)) => {
                todo.unmask = is_masked && startup != SvcStartup::Masked;
                todo.startup = Some(startup);
                changes.push(Change::new("startup", shown(&unit.file_state), word(startup)));
            }
            Ok(None) => {}
            Err(why) => return Verdict::Impossible(why),
        }
        // A mask has no file that could be read.
        if unit.needs_reload && !is_masked && unit.load != "not-found" {
            todo.reload = true;
            changes.push(Change::new("unit", "as it was when systemd read it", "as its files are"));
        }
        match self.state_change(unit) {
            Ok(None) => {}
            Ok(Some(state)) => {
                todo.state = Some(state);
                todo.reset = state == SvcState::Running && unit.active == ActiveState::Failed;
                let to = if state == SvcState::Running { "running" } else { "stopped" };
                let from = match (&unit.active, unit.result.as_str()) {
                    (ActiveState::Failed, "" | "success") => "failed".to_owned(),
                    (ActiveState::Failed, result) => format!("failed ({result})"),
                    (ActiveState::Active, _) => "running".to_owned(),
                    (ActiveState::Inactive, _) => "stopped".to_owned(),
                    (other, _) => other.to_string(),
                };
                changes.push(Change::new("state", from, to));
            }
            Err(moving) if changes.is_empty() => return Verdict::Moving(moving),
            // What can be done at once is done; the rest follows when it has settled.
            Err(_) => {}
        }
        if changes.is_empty() { Verdict::InSync } else { Verdict::Drifted(todo, changes) }
    }

    fn startup_change(self, unit: &Unit, is_masked: bool) -> Result<Option<SvcStartup>, String> {
        let Some(wanted) = self.startup else { return Ok(None) };
        let state = unit.file_state.as_str();
        let is_so = match wanted {
            SvcStartup::Masked => state == "masked",
            _ if is_masked => false,
            SvcStartup::Enabled => match state {
                "enabled" | "indirect" => true,
                "static" => {
                    return Err(
                        "it is static, without an [Install] section, so it can't be enabled: what needs it starts it; \
                         leave `startup` out"
                            .to_owned(),
                    );
                }
                "generated" | "transient" => {
                    return Err(format!("it is {state}, so it can't be enabled: enable it where it is made"));
                }
                "alias" => return Err(format!("it is another name of {}: declare that one", unit.id)),
                _ => false,
            },
            SvcStartup::Disabled => !matches!(state, "enabled" | "enabled-runtime"),
        };
        Ok((!is_so).then_some(wanted))
    }

    /// An error: what is between two states.
    fn state_change(self, unit: &Unit) -> Result<Option<SvcState>, String> {
        let Some(wanted) = self.state else { return Ok(None) };
        let moving = || Err(format!("{} ({})", unit.active, unit.sub));
        match (wanted, &unit.active) {
            (SvcState::Running, ActiveState::Active | ActiveState::Reloading) => Ok(None),
            (SvcState::Stopped, ActiveState::Inactive | ActiveState::Failed) => Ok(None),
            (_, ActiveState::Other(_)) => moving(),
            // A job for what is under way already joins that, and waits for its end.
            _ => Ok(Some(wanted)),
        }
    }
}

fn shown(file_state: &str) -> &str {
    if file_state.is_empty() { "no unit file" } else { file_state }
}

pub(super) fn word(startup: SvcStartup) -> &'static str {
    match startup {
        SvcStartup::Enabled => "enabled",
        SvcStartup::Disabled => "disabled",
        SvcStartup::Masked => "masked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(load: &str, active: &str, file_state: &str) -> Unit {
        Unit {
            id: "x.service".into(),
            load: load.into(),
            active: active.to_owned().into(),
            sub: "sub".into(),
            file_state: file_state.into(),
            needs_reload: false,
            result: String::new(),
        }
    }

    fn wanted(state: Option<SvcState>, startup: Option<SvcStartup>) -> Wanted {
        Wanted { state, startup }
    }

    #[test]
    fn each_state_of_a_unit_is_judged() {
        use SvcStartup::{Disabled, Enabled, Masked};
        use SvcState::{Running, Stopped};
        let judged = |state, startup, unit: Unit| match wanted(state, startup).judge(&unit) {
            Verdict::InSync => "in sync".to_owned(),
            Verdict::Missing => "missing".to_owned(),
            Verdict::Moving(what) => format!("moving: {what}"),
            Verdict::Impossible(why) => format!("impossible: {why}"),
            Verdict::Drifted(todo, changes) => {
                let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
                let marks = [(todo.unmask, " unmask"), (todo.reset, " reset"), (todo.reload, " reload")];
                let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
                format!("{}{marks}", changes.join(", "))
            }
        };
        for (state, startup, unit, expected) in [
            (Some(Running), None, unit("loaded", "active", "enabled"), "in sync"),
            (Some(Running), None, unit("loaded", "reloading", "enabled"), "in sync"),
            (Some(Running), None, unit("loaded", "inactive", "static"), "state: stopped → running"),
            (Some(Running), None, unit("loaded", "failed", "static"), "state: failed → running reset"),
            (Some(Running), None, unit("loaded", "activating", ""), "state: activating → running"),
            (Some(Running), None, unit("loaded", "deactivating", ""), "state: deactivating → running"),
            (Some(Running), None, unit("loaded", "maintenance", ""), "moving: maintenance (sub)"),
            (Some(Running), None, unit("not-found", "inactive", ""), "missing"),
            (Some(Stopped), Some(Disabled), unit("not-found", "inactive", ""), "in sync"),
            (Some(Stopped), None, unit("loaded", "failed", "enabled"), "in sync"),
            (Some(Stopped), None, unit("loaded", "activating", "enabled"), "state: activating → stopped"),
            (Some(Stopped), None, unit("loaded", "deactivating", "enabled"), "state: deactivating → stopped"),
            (None, Some(Enabled), unit("loaded", "inactive", "disabled"), "startup: disabled → enabled"),
            (None, Some(Enabled), unit("loaded", "inactive", "enabled-runtime"), "startup: enabled-runtime → enabled"),
            (None, Some(Enabled), unit("masked", "inactive", "masked"), "startup: masked → enabled unmask"),
            (None, Some(Disabled), unit("loaded", "active", "static"), "in sync"),
            (None, Some(Disabled), unit("loaded", "active", "enabled"), "startup: enabled → disabled"),
            (None, Some(Masked), unit("loaded", "inactive", "disabled"), "startup: disabled → masked"),
            (None, Some(Masked), unit("not-found", "inactive", ""), "startup: no unit file → masked"),
            (
                Some(Running),
                Some(Disabled),
                unit("masked", "inactive", "masked"),
                "startup: masked → disabled, state: stopped → running unmask",
            ),
        ] {
            assert_eq!(judged(state, startup, unit.clone()), expected, "{state:?} {startup:?} {unit:?}");
        }
        let static_unit = judged(None, Some(Enabled), unit("loaded", "active", "static"));
        assert!(static_unit.starts_with("impossible: it is static"), "{static_unit}");
        let masked = judged(Some(Running), None, unit("masked", "inactive", "masked"));
        assert!(masked.starts_with("impossible: it is masked"), "{masked}");
        let stale = judged(Some(Running), None, Unit { needs_reload: true, ..unit("loaded", "active", "enabled") });
        assert_eq!(stale, "unit: as it was when systemd read it → as its files are reload");
    }
}

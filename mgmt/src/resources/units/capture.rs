//! Declares units as they are.

use crate::resource::{Capture, Captured, CheckCx, Error, Result};
use crate::resources::units::state::{SvcStartup, SvcState};
use crate::resources::units::svc::Svc;
use crate::resources::units::target::systemd_of;
use crate::sys::systemd::{ActiveState, Unit};

impl Capture for Svc {
    async fn capture(&self, cx: &CheckCx) -> Result<Vec<Captured<Svc>>> {
        let target = self.target();
        let unit = systemd_of(cx, target.is_session).await?.unit(&target.name).await?;
        if unit.load == "not-found" {
            return Err(Error::new(format!("there is no unit {}", target.name)));
        }
        let (state, moving) = state(&unit);
        let (startup, fixed) = startup(&unit);
        let mut is = self.clone();
        (is.state, is.startup) = (Some(state), startup);
        Ok(vec![moving.into_iter().chain(fixed).fold(Captured::new(is), Captured::note)])
    }
}

/// Whether it runs, and what the reader should know about that.
fn state(unit: &Unit) -> (SvcState, Option<String>) {
    match &unit.active {
        ActiveState::Active | ActiveState::Reloading => (SvcState::Running, None),
        ActiveState::Activating => (SvcState::Running, Some("it is starting".to_owned())),
        ActiveState::Inactive => (SvcState::Stopped, None),
        ActiveState::Failed => (SvcState::Stopped, Some("it has failed".to_owned())),
        other => (SvcState::Stopped, Some(format!("it is {other}"))),
    }
}

/// Whether it is started with the machine, and why that is left out.
fn startup(unit: &Unit) -> (Option<SvcStartup>, Option<String>) {
    match unit.file_state.as_str() {
        "masked" => (Some(SvcStartup::Masked), None),
        "enabled" => (Some(SvcStartup::Enabled), None),
        "disabled" => (Some(SvcStartup::Disabled), None),
        "" => (None, None),
        other => (None, Some(format!("`startup` is left out: its unit file is {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_declared_is_a_note() {
        let unit = |active: &str, file_state: &str| Unit {
            id: "x.service".into(),
            load: "loaded".into(),
            active: ActiveState::from(active.to_owned()),
            sub: String::new(),
            file_state: file_state.into(),
            needs_reload: false,
            result: String::new(),
        };
        assert_eq!(state(&unit("active", "enabled")), (SvcState::Running, None));
        assert_eq!(state(&unit("failed", "enabled")), (SvcState::Stopped, Some("it has failed".into())));
        assert_eq!(startup(&unit("active", "masked")), (Some(SvcStartup::Masked), None));
        let note = "`startup` is left out: its unit file is static";
        assert_eq!(startup(&unit("active", "static")), (None, Some(note.into())));
    }
}

//! How a package was before a resource changed it, and putting it back when the resource has left the graph.

use serde::{Deserialize, Serialize};

use crate::resource::{ApplyCx, ObstacleKind, Package, Recorded, Result, Reverse, Uid, Undone};
use crate::resources::pkg::backend::{Backend, with};
use crate::resources::pkg::installer::{Installer, Member, Ways};
use crate::resources::pkg::judge::Wanted;
use crate::resources::pkg::kind::Pkg;
use crate::resources::pkg::name::PkgName;
use crate::resources::pkg::state::{PkgBackend, PkgState};
use crate::resources::pkg::transact::repair;

/// How a package was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PkgRecord {
    name: String,
    /// The version that was installed; `None`: none was.
    was: Option<String>,
    /// By which program.
    #[serde(default)]
    backend: PkgBackend,
}

impl PkgRecord {
    fn describe(&self) -> String {
        match &self.was {
            None => format!("remove the package {}", self.name),
            Some(version) => format!("install {} in version {version}", self.name),
        }
    }
}

/// Records how the package is, unless that was recorded before.
pub(super) fn record(cx: &ApplyCx, wanted: &Wanted, was: Option<&String>) -> Result<()> {
    for recorder in cx.recorders::<Pkg>() {
        if recorder.read()?.is_none() {
            recorder.write(&PkgRecord { name: wanted.name.to_string(), was: was.cloned(), backend: wanted.backend })?;
        }
    }
    Ok(())
}

impl Reverse for Pkg {
    type Record = PkgRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<PkgRecord>) -> Result<Undone> {
        let record = record.data;
        let Ok(name) = PkgName::parse(&record.name) else { return Ok(Undone::default()) };
        let backend = record.backend.of(cx).await?;
        with!(backend, installer => restore(cx, installer, &record, name).await)
    }

    fn describe(record: &PkgRecord) -> Vec<String> {
        vec![record.describe()]
    }

    fn owns(record: &PkgRecord) -> Vec<Uid> {
        vec![Uid::of(Package(record.name.clone()))]
    }
}

/// Puts the package back as it was.
async fn restore(cx: &ApplyCx, installer: &impl Installer, record: &PkgRecord, name: PkgName) -> Result<Undone> {
    let _turn = installer.turn().lock().await;
    let installed = installer.installed(cx, vec![name.clone()]).await?;
    if installed.get(&name) == record.was.as_ref() {
        return Ok(Undone::default());
    }
    let state = record.was.clone().map_or(PkgState::Uninstalled, PkgState::Version);
    if state == PkgState::Uninstalled {
        // What needs it by now was not there before.
        let removed = installer.removed_with(cx, &name).await?;
        let is_itself = |other: &&String| **other == name.name || **other == name.to_string();
        if let Some(other) = removed.iter().find(|other| !is_itself(other)) {
            return Ok(Undone::default().kept(format!("the package {name} is needed by {other}")));
        }
    }
    let backend = record.backend;
    let wanted = Wanted { name, state, nonfree: true, unsupported: true, downgrade: true, backend };
    let ways = Ways { downgrade: true, ..Ways::default() };
    let ends = repair(installer, &[Member { wanted, cx: cx.clone(), configure: false }], ways).await;
    match ends.into_iter().next() {
        Some(Err(error)) if error.obstacle().is_some_and(|obstacle| obstacle.kind == ObstacleKind::Missing) => {
            Ok(Undone::default().kept(error.to_string()))
        }
        Some(Err(error)) => Err(error),
        _ => Ok(Undone::default().did(record.describe())),
    }
}

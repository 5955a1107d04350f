//! How a package was before a resource changed it, and putting it back when the resource has left the graph.

use serde::{Deserialize, Serialize};

use crate::resource::{ApplyCx, ObstacleKind, Package, Recorded, Result, Reverse, Uid, Undone};
use crate::resources::pkg::apt::{self, Ways};
use crate::resources::pkg::apt_host::AptHost;
use crate::resources::pkg::judge::Wanted;
use crate::resources::pkg::kind::Pkg;
use crate::resources::pkg::name::PkgName;
use crate::resources::pkg::state::PkgState;
use crate::resources::pkg::status::Entry;
use crate::resources::pkg::transact::{Member, repair};

/// How a package was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PkgRecord {
    name: String,
    /// The version that was installed; `None`: none was.
    was: Option<String>,
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
pub(super) fn record(cx: &ApplyCx, name: &PkgName, found: Option<&Entry>) -> Result<()> {
    let Some(recorder) = cx.recorder::<Pkg>() else { return Ok(()) };
    if recorder.read()?.is_some() {
        return Ok(());
    }
    let was = found.filter(|entry| entry.is_installed()).map(|entry| entry.version.clone());
    recorder.write(&PkgRecord { name: name.to_string(), was })
}

impl Reverse for Pkg {
    type Record = PkgRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<PkgRecord>) -> Result<Undone> {
        let record = record.data;
        let Ok(name) = PkgName::parse(&record.name) else { return Ok(Undone::default()) };
        let host = cx.shared::<AptHost>();
        let _turn = host.turn.lock().await;
        let packages = {
            let host = host.clone();
            cx.look(move |fs, _| host.packages(fs)).await?
        };
        let is = packages.get(&name).filter(|entry| entry.is_installed()).map(|entry| &entry.version);
        if is == record.was.as_ref() {
            return Ok(Undone::default());
        }
        let state = record.was.clone().map_or(PkgState::Uninstalled, PkgState::Version);
        if state == PkgState::Uninstalled {
            // What needs it by now was not there before.
            let removed = apt::removed_with(&name).await?;
            let is_itself = |other: &&String| **other == name.name || **other == name.to_string();
            if let Some(other) = removed.iter().find(|other| !is_itself(other)) {
                return Ok(Undone::default().kept(format!("the package {name} is needed by {other}")));
            }
        }
        let wanted = Wanted { name, state, nonfree: true, unsupported: true, downgrade: true };
        let ways = Ways { downgrade: true, ..Ways::default() };
        let ends = repair(&host, &[Member { wanted, cx: cx.clone(), configure: false }], ways).await;
        match ends.into_iter().next() {
            Some(Err(error)) if error.obstacle().is_some_and(|obstacle| obstacle.kind == ObstacleKind::Missing) => {
                Ok(Undone::default().kept(error.to_string()))
            }
            Some(Err(error)) => Err(error),
            _ => Ok(Undone::default().did(record.describe())),
        }
    }

    fn describe(record: &PkgRecord) -> Vec<String> {
        vec![record.describe()]
    }

    fn owns(record: &PkgRecord) -> Vec<Uid> {
        vec![Uid::of(Package(record.name.clone()))]
    }
}

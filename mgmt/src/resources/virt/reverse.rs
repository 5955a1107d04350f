//! How a domain was before a resource changed it, and putting that back when the resource has left the graph.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::resource::{ApplyCx, Error, Recorded, Recorders, Result, Reverse, Uid, Undone};
use crate::resources::virt::definition::Definition;
use crate::resources::virt::door::{VirtKey, libvirt};
use crate::resources::virt::fields::{VirtRestart, VirtState};
use crate::resources::virt::kind::{DomainOf, Virt};
use crate::resources::virt::live::Refused;
use crate::resources::virt::repair::{PutBack, Target};
use crate::resources::virt::wanted::Wanted;
use crate::sys::libvirt::{Domain, DomainState, Element, Login, Place};

/// How a domain was. The file of the record is readable by the user of the engine alone.
#[derive(Debug, Serialize, Deserialize)]
pub struct VirtRecord {
    uri: String,
    login: Option<LoginWas>,
    name: String,
    /// How long its system is given to shut down, in milliseconds.
    shutdown_ms: u64,
    /// What is done if a change needs a restart.
    restart: VirtRestart,
    /// `None`: there was none.
    was: Option<DomainWas>,
}

#[derive(Serialize, Deserialize)]
struct LoginWas {
    username: String,
    password: String,
}

impl std::fmt::Debug for LoginWas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginWas").field("username", &self.username).finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct DomainWas {
    uuid: String,
    state: VirtState,
    is_persistent: bool,
    autostart: bool,
    /// The definition of the next start.
    saved: String,
    /// The definition of the run was another one.
    differs: bool,
}

/// Records how a domain is, unless that was recorded before.
pub(super) fn note(to: &Recording, wanted: &Wanted, domain: Option<&Domain>) -> Result<()> {
    for recorder in &to.recorders {
        if recorder.read()?.is_none() {
            recorder.write(&record(&to.key, wanted, domain))?;
        }
    }
    Ok(())
}

/// Where a record goes, and what its undo needs to connect.
pub(super) struct Recording {
    pub(super) recorders: Recorders<Virt>,
    pub(super) key: VirtKey,
}

fn record(key: &VirtKey, wanted: &Wanted, domain: Option<&Domain>) -> VirtRecord {
    let login = key.login.as_ref().map(|login| {
        let (username, password) = login.parts();
        LoginWas { username: username.to_owned(), password: password.to_owned() }
    });
    let was = domain.map(|domain| DomainWas {
        uuid: domain.uuid.clone(),
        state: match domain.state {
            DomainState::Running | DomainState::Suspended => VirtState::Running,
            DomainState::Paused(_) => VirtState::Paused,
            DomainState::ShuttingDown | DomainState::Shutoff | DomainState::Crashed => VirtState::Shutoff,
        },
        is_persistent: domain.is_persistent,
        autostart: domain.autostart,
        saved: domain.saved.to_string(),
        differs: domain.live.as_ref().is_some_and(|live| !Definition::of(live).is_like(&Definition::of(&domain.saved))),
    });
    let shutdown_ms = u64::try_from(wanted.shutdown.as_millis()).unwrap_or(u64::MAX);
    VirtRecord { uri: key.uri.clone(), login, name: wanted.name.clone(), shutdown_ms, restart: wanted.restart, was }
}

fn read(xml: &str) -> Result<Element> {
    Element::parse(xml).map_err(|why| Error::new(format!("the recorded definition can't be read: {why}")))
}

impl VirtRecord {
    /// What undoes it, in words.
    fn words(&self) -> String {
        let name = &self.name;
        match &self.was {
            None => format!("remove the domain `{name}`"),
            Some(was) => format!("put the domain `{name}` back as it was ({})", was.state),
        }
    }

    fn wanted(&self) -> Result<Wanted> {
        let place = Place::of(&self.uri).map_err(|why| Error::new(format!("`uri` {why}")))?;
        let shutdown = Duration::from_millis(self.shutdown_ms);
        let was = match &self.was {
            None => {
                let nothing = Definition::of(&Element::new("domain"));
                return Ok(Wanted::absent(&self.name, place, &nothing, shutdown));
            }
            Some(was) => was,
        };
        let definition = Definition::of(&read(&was.saved)?);
        let wanted = Wanted::as_was(&self.name, place, &definition, was.state);
        Ok(Wanted {
            transient: !was.is_persistent,
            startup: was.is_persistent.then_some(was.autostart),
            shutdown,
            // A run that differed before is not ended for what it had.
            restart: if was.differs { VirtRestart::Ignore } else { self.restart },
            ..wanted
        })
    }
}

impl Reverse for Virt {
    type Record = VirtRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<VirtRecord>) -> Result<Undone> {
        let record = record.data;
        let login = record.login.as_ref().map(|login| Login::new(&login.username, &login.password));
        let libvirt = libvirt(cx, &VirtKey { uri: record.uri.clone(), login }).await?;
        let target = Target { libvirt, wanted: Arc::new(record.wanted()?), refused: Arc::new(Refused::default()) };
        let mut is_done = false;
        if let Some(was) = &record.was {
            match target.put_back(cx, &read(&was.saved)?, &was.uuid, was.is_persistent).await? {
                PutBack::AsWas => {}
                PutBack::Done => is_done = true,
                PutBack::Kept(why) => return Ok(Undone::default().kept(why)),
            }
        }
        is_done |= target.repair(cx, None).await?.is_changed;
        let undone = Undone::default();
        Ok(if is_done { undone.did(record.words()) } else { undone })
    }

    fn describe(record: &VirtRecord) -> Vec<String> {
        vec![record.words()]
    }

    fn owns(record: &VirtRecord) -> Vec<Uid> {
        vec![Uid::of(DomainOf { uri: record.uri.clone(), name: record.name.clone() })]
    }
}

//! Packages through PackageKit, on hosts that have no dpkg, or where that is asked for.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::resource::{Bus, Change, CheckCx, Error, Obstacle, ObstacleKind, Result};
use crate::resources::pkg::apt_host::{Apt, AptHost};
use crate::resources::pkg::installer::{Failure, Installer, Member, Part, Ways};
use crate::resources::pkg::judge::{Judged, Todo, Wanted};
use crate::resources::pkg::name::PkgName;
use crate::resources::pkg::state::PkgState;
use crate::sys::packagekit::{Found, KitError, Meaning, PackageId, PackageKit, filter, flag, info};
use crate::sys::process::to_its_end;

/// How long an answer of the repositories counts as new.
const NEW: Duration = Duration::from_secs(3600);

/// What all packages of an engine share that are kept through PackageKit.
#[derive(Debug, Default)]
pub(super) struct KitHost {
    /// One transaction at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// When this engine has asked the repositories.
    asked: Mutex<Option<Instant>>,
}

/// PackageKit, for one check or one repair.
pub(super) struct Kit {
    host: Arc<KitHost>,
    kit: PackageKit,
    /// What it has answered last: from that, a repair takes what it changes.
    found: Mutex<Arc<Offers>>,
}

/// What PackageKit has of some names.
#[derive(Debug, Default)]
struct Offers {
    /// All versions, installed ones and others.
    all: Vec<Found>,
    /// The newest version that may be installed, by what may be: (not free, not supported).
    newest: HashMap<(bool, bool), Vec<Found>>,
    /// To what installed packages can be updated.
    updates: Vec<Found>,
}

impl Kit {
    pub(super) async fn of(cx: &CheckCx) -> Result<Kit> {
        let kit = PackageKit::new(cx.bus(Bus::System).await?);
        Ok(Kit { host: cx.shared::<KitHost>(), kit, found: Mutex::default() })
    }

    fn may_be_old(&self) -> bool {
        let asked = *self.host.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.is_none_or(|asked| asked.elapsed() > NEW)
    }

    /// What there is of these packages.
    async fn offers<'a>(&self, all: impl Iterator<Item = &'a Wanted> + Clone) -> Result<Offers, KitError> {
        let names = |some: &mut dyn Iterator<Item = &'a Wanted>| {
            let names: BTreeSet<_> = some.map(|wanted| wanted.name.name.clone()).collect();
            names.into_iter().collect::<Vec<_>>()
        };
        let mut offers =
            Offers { all: self.kit.resolve(filter::NONE, &names(&mut all.clone())).await?, ..Offers::default() };
        let others = offers.others(all.clone());
        if !others.is_empty() {
            let found = self.kit.resolve(filter::NONE, &others).await?;
            offers.all.extend(found);
        }
        for (nonfree, unsupported) in [(false, false), (false, true), (true, false), (true, true)] {
            let is_missing = |wanted: &&Wanted| {
                (wanted.nonfree, wanted.unsupported) == (nonfree, unsupported)
                    && matches!(wanted.state, PkgState::Installed | PkgState::Newest)
                    && offers.installed(&wanted.name).is_none()
            };
            let missing = names(&mut all.clone().filter(is_missing));
            if missing.is_empty() {
                continue;
            }
            let free = if nonfree { 0 } else { filter::FREE };
            let supported = if unsupported { 0 } else { filter::SUPPORTED };
            let newest = self.kit.resolve(filter::NEWEST | free | supported, &missing).await?;
            offers.newest.insert((nonfree, unsupported), newest);
        }
        let mut newest = all.clone().filter(|wanted| wanted.state == PkgState::Newest);
        if newest.any(|wanted| offers.installed(&wanted.name).is_some()) {
            offers.updates = self.kit.updates().await?;
        }
        Ok(offers)
    }

    /// The packages that a transaction installs or removes, as PackageKit has just named them.
    fn ids(&self, todo: &[Part<'_>]) -> Result<Vec<String>, Failure> {
        let offers = Arc::clone(&self.found.lock().unwrap_or_else(PoisonError::into_inner));
        let ids = todo.iter().map(|part| {
            let wanted = part.wanted;
            let found = match part.todo {
                Todo::Remove => offers.installed(&wanted.name),
                Todo::Install(_) | Todo::Ask => offers.candidate(wanted),
            };
            found.map(|found| found.id.to_string()).ok_or_else(|| {
                let why = format!("the packages have changed meanwhile: there is no {} as declared", wanted.name);
                Failure::Other(Error::new(why).outdated())
            })
        });
        ids.collect()
    }

    /// What a transaction would change.
    async fn rehearsed(&self, task: &Task) -> Result<(), Failure> {
        let changed = task.run(&self.kit, flag::SIMULATE).await.map_err(failure)?;
        let is_own = |found: &Found| task.ids.iter().any(|id| id.split(';').next() == Some(&found.id.name));
        for found in &changed {
            let what = match found.info {
                info::REMOVING | info::OBSOLETING if !task.is_removal && !is_own(found) => "would be removed",
                info::DOWNGRADING if !task.downgrade => "would be replaced by an older version: set `allowdowngrade`",
                _ => continue,
            };
            return Err(Failure::Refused(Error::new(format!("{} {what}", found.id.name))));
        }
        Ok(())
    }

    fn task(&self, todo: &[Part<'_>], ways: Ways) -> Result<Task, Failure> {
        let is_removal = todo.first().is_some_and(|part| *part.todo == Todo::Remove);
        let Ways { untrusted, downgrade, .. } = ways;
        Ok(Task { ids: self.ids(todo)?, is_removal, untrusted, downgrade })
    }
}

/// A transaction.
#[derive(Clone, Debug)]
struct Task {
    ids: Vec<String>,
    is_removal: bool,
    untrusted: bool,
    downgrade: bool,
}

impl Task {
    async fn run(&self, kit: &PackageKit, flags: u64) -> Result<Vec<Found>, KitError> {
        let trusted = if self.untrusted { 0 } else { flag::ONLY_TRUSTED };
        let downgrade = if self.downgrade { flag::ALLOW_DOWNGRADE } else { 0 };
        match self.is_removal {
            true => kit.remove(flags, &self.ids).await,
            false => kit.install(flags | trusted | downgrade, &self.ids).await,
        }
    }

    /// Does it, after what an earlier one has left, if that is wanted.
    async fn finish(&self, kit: &PackageKit, repairs: bool) -> Result<(), KitError> {
        match self.run(kit, 0).await {
            Err(KitError::Failed { meaning: Meaning::Unfinished, .. }) if repairs => {
                kit.repair().await?;
                self.run(kit, 0).await.map(drop)
            }
            done => done.map(drop),
        }
    }
}

impl Offers {
    /// The version of a package that is installed.
    fn installed(&self, name: &PkgName) -> Option<&Found> {
        self.all.iter().find(|found| found.is_installed() && is_of(found, name))
    }

    /// Versions that are declared and were not found by the names of their packages: some back ends find the newest
    /// one only by a name. The architecture is that of the version which was found.
    fn others<'a>(&self, all: impl Iterator<Item = &'a Wanted>) -> Vec<String> {
        let other = |wanted: &Wanted| {
            let PkgState::Version(version) = &wanted.state else { return None };
            let mut of_name = self.all.iter().filter(|found| is_of(found, &wanted.name));
            let first = of_name.next()?;
            let is_there = first.id.version == *version || of_name.any(|found| found.id.version == *version);
            let PackageId { name, architecture, .. } = &first.id;
            (!is_there).then(|| format!("{name};{version};{architecture};"))
        };
        all.filter_map(other).collect()
    }

    /// What must be installed so that the package is as declared; `None`: it is not there.
    fn candidate(&self, wanted: &Wanted) -> Option<&Found> {
        let is_it = |found: &&Found| !found.is_installed() && is_of(found, &wanted.name);
        match &wanted.state {
            PkgState::Version(version) => self.all.iter().filter(is_it).find(|found| found.id.version == *version),
            _ if self.installed(&wanted.name).is_some() => self.updates.iter().find(is_it),
            _ => self.newest.get(&(wanted.nonfree, wanted.unsupported))?.iter().find(is_it),
        }
    }

    fn judge(&self, wanted: &Wanted, may_be_old: bool) -> Result<Judged> {
        let name = &wanted.name;
        let installed = self.installed(name).map(|found| found.id.version.as_str());
        let from = installed.map_or_else(|| "uninstalled".to_owned(), |version| format!("installed ({version})"));
        let change = |to: String| Change::new("state", from.clone(), to);
        match (&wanted.state, installed) {
            (PkgState::Uninstalled, None) | (PkgState::Installed, Some(_)) => return Ok(None),
            (PkgState::Uninstalled, Some(_)) => return Ok(Some((Todo::Remove, change("uninstalled".to_owned())))),
            (PkgState::Version(version), Some(is)) if version == is => return Ok(None),
            _ => {}
        }
        if let Some(found) = self.candidate(wanted) {
            if found.info == info::BLOCKED {
                let why = format!("{name} is held: the package manager does not change it until it is released");
                return Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay)));
            }
            let version = &found.id.version;
            return Ok(Some(match &wanted.state {
                PkgState::Version(_) => (Todo::Install(Some(version.clone())), change(version.clone())),
                state => (Todo::Install(None), change(format!("{state} ({version})"))),
            }));
        }
        match (&wanted.state, installed) {
            (PkgState::Newest, Some(_)) => return Ok(None),
            _ if may_be_old => return Ok(Some((Todo::Ask, change(wanted.state.to_string())))),
            _ => {}
        }
        Err(self.missing(wanted))
    }

    /// Why there is nothing to install.
    fn missing(&self, wanted: &Wanted) -> Error {
        let name = &wanted.name;
        let others: Vec<_> = self.all.iter().filter(|found| is_of(found, name)).collect();
        let why = match &wanted.state {
            _ if others.is_empty() => format!("no repository of this host has a package `{name}`"),
            PkgState::Version(version) => {
                let versions: BTreeSet<_> = others.iter().map(|found| found.id.version.as_str()).collect();
                let versions = versions.into_iter().collect::<Vec<_>>().join(", ");
                format!("no repository of this host has {name} in version {version}, only {versions}")
            }
            _ => {
                return Error::new(format!(
                    "{name} is not free software or not supported by the distribution: set `allownonfree` or \
                     `allowunsupported` to install it"
                ));
            }
        };
        Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Missing))
    }
}

/// Whether this is the package of that name: without an architecture, the one that comes first.
fn is_of(found: &Found, name: &PkgName) -> bool {
    found.id.name == name.name
        && name.architecture.as_ref().is_none_or(|architecture| found.id.architecture == *architecture)
}

/// Which of these are in sync, by what dpkg has, where there is dpkg: PackageKit needs a second for an answer.
async fn in_sync_by_status(cx: &CheckCx, all: &[Wanted]) -> Vec<bool> {
    let host = cx.shared::<AptHost>();
    match cx.look(move |fs, _| host.packages(fs)).await {
        Ok(packages) => all.iter().map(|wanted| matches!(wanted.by_status(&packages), Some(None))).collect(),
        // Without it, or if it can't be read, PackageKit knows.
        Err(_) => vec![false; all.len()],
    }
}

fn failure(error: KitError) -> Failure {
    let text = error.to_string();
    let KitError::Failed { meaning, .. } = &error else { return Failure::Other(error.into()) };
    match meaning {
        Meaning::Refused | Meaning::NotFound => Failure::Refused(error.into()),
        Meaning::Untrusted => {
            let why = format!("the package is not signed by a key that is trusted: set `allowuntrusted` ({text})");
            Failure::Refused(Error::new(why))
        }
        Meaning::Locked => {
            let why = format!("another program is changing packages; it is tried again ({text})");
            Failure::Other(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Busy)))
        }
        Meaning::Changed => Failure::Other(Error::new(text).outdated()),
        Meaning::Unfinished => {
            let why =
                format!("an earlier transaction was interrupted: run `pkcon repair`, or set `configure` ({text})");
            Failure::Other(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay)))
        }
        Meaning::NoSpace | Meaning::NotAllowed | Meaning::NoNetwork | Meaning::Other => Failure::Other(error.into()),
    }
}

impl Installer for Kit {
    fn turn(&self) -> &Arc<tokio::sync::Mutex<()>> {
        &self.host.turn
    }

    async fn judge(&self, cx: &CheckCx, all: Vec<Wanted>) -> Result<Vec<Result<Judged>>> {
        let is_decided = in_sync_by_status(cx, &all).await;
        let open = all.iter().zip(&is_decided).filter(|(_, is_decided)| !**is_decided).map(|(wanted, _)| wanted);
        let offers = if open.clone().next().is_some() { self.offers(open).await? } else { Offers::default() };
        let may_be_old = self.may_be_old();
        let judged = all.iter().zip(is_decided).map(|(wanted, is_decided)| match is_decided {
            true => Ok(None),
            false => offers.judge(wanted, may_be_old),
        });
        let judged = judged.collect();
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(offers);
        Ok(judged)
    }

    async fn installed(&self, _: &CheckCx, names: Vec<PkgName>) -> Result<HashMap<PkgName, String>> {
        let bare: Vec<_> = names.iter().map(|name| name.name.clone()).collect();
        let offers = Offers { all: self.kit.resolve(filter::NONE, &bare).await?, ..Offers::default() };
        let found = names.into_iter().filter_map(|name| {
            let version = offers.installed(&name)?.id.version.clone();
            Some((name, version))
        });
        Ok(found.collect())
    }

    async fn finish(&self, members: &[Member], ways: Ways) -> Result<()> {
        // Of dpkg it is known beforehand; with others, a transaction is refused then.
        Apt(members[0].cx.shared::<AptHost>()).finish(members, ways).await
    }

    async fn refresh(&self, _: &[Member]) -> Result<(), Failure> {
        self.kit.refresh().await.map_err(failure)?;
        *self.host.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    async fn rehearse(&self, _: &[Member], todo: &[Part<'_>], ways: Ways) -> Result<(), Failure> {
        let task = self.task(todo, ways)?;
        self.rehearsed(&task).await
    }

    async fn change(&self, members: &[Member], todo: &[Part<'_>], ways: Ways) -> Result<(), Failure> {
        let task = self.task(todo, ways)?;
        self.rehearsed(&task).await?;
        let works: Vec<_> = members.iter().map(|member| member.cx.work("changing packages")).collect();
        let repairs = members.iter().any(|member| member.configure);
        let kit = self.kit.clone();
        to_its_end(async move { task.finish(&kit, repairs).await }, works).await.map_err(failure)
    }

    async fn removed_with(&self, _: &CheckCx, name: &PkgName) -> Result<Vec<String>> {
        let offers = Offers {
            all: self.kit.resolve(filter::NONE, std::slice::from_ref(&name.name)).await?,
            ..Offers::default()
        };
        let Some(found) = offers.installed(name) else { return Ok(Vec::new()) };
        let changed = self.kit.remove(flag::SIMULATE, &[found.id.to_string()]).await?;
        let removed = changed.into_iter().filter(|found| found.info == info::REMOVING);
        Ok(removed.map(|found| found.id.name).collect())
    }
}

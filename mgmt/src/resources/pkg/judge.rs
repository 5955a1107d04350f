//! What must be done to a package: from what dpkg and the repositories have.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use crate::resource::{Change, Error, Obstacle, ObstacleKind, Result};
use crate::resources::pkg::name::PkgName;
use crate::resources::pkg::policy::{self, Known, Offered};
use crate::resources::pkg::state::{PkgBackend, PkgState};
use crate::resources::pkg::status::{Entry, Packages, STATUS};
use crate::resources::pkg::version::compare;

/// Where apt keeps what the repositories have.
pub(super) const LISTS: &str = "/var/lib/apt/lists";

/// Components whose packages are not free software.
const NONFREE: [&str; 4] = ["non-free", "non-free-firmware", "restricted", "multiverse"];
/// Components for which the distribution gives no support.
const UNSUPPORTED: [&str; 2] = ["universe", "multiverse"];

/// What is declared about a package.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) name: PkgName,
    pub(super) state: PkgState,
    pub(super) nonfree: bool,
    pub(super) unsupported: bool,
    pub(super) downgrade: bool,
    pub(super) backend: PkgBackend,
}

/// What must be done to a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Todo {
    /// It is installed, in this version or the one that apt chooses.
    Install(Option<String>),
    Remove,
    /// The repositories must be asked before anything else is known.
    Ask,
}

/// What differs, and what must be done.
pub(super) type Judged = Option<(Todo, Change)>;

/// What the repositories have.
#[derive(Debug, Default)]
pub(super) struct Repositories {
    pub(super) known: HashMap<String, Known>,
    /// The origins of sources.
    pub(super) origins: Arc<HashMap<String, String>>,
    /// Who makes this distribution, as its repositories have it.
    pub(super) distribution: String,
    /// Whether apt may learn of further packages: it has not asked the repositories for long.
    pub(super) may_be_old: bool,
}

impl Wanted {
    /// What follows from dpkg's own state; the outer `None`: that depends on the repositories.
    pub(super) fn by_status(&self, packages: &Packages) -> Option<Judged> {
        let found = packages.get(&self.name);
        let is_installed = found.is_some_and(Entry::is_installed);
        match &self.state {
            PkgState::Installed if is_installed || self.is_provided(packages) => Some(None),
            PkgState::Newest if !is_installed && self.is_provided(packages) => Some(None),
            PkgState::Version(version) if is_installed && found.is_some_and(|entry| entry.version == *version) => {
                Some(None)
            }
            PkgState::Uninstalled => Some(found.filter(|entry| !entry.is_removed()).map(|entry| {
                let change = Change::new("state", shown(Some(entry)), "uninstalled");
                (Todo::Remove, change)
            })),
            _ => None,
        }
    }

    /// Another package has the name too.
    fn is_provided(&self, packages: &Packages) -> bool {
        self.name.architecture.is_none() && packages.provider(&self.name).is_some()
    }

    /// What follows from the repositories.
    ///
    /// # Errors
    /// They do not have it, or not as it may be.
    pub(super) fn by_repositories(&self, packages: &Packages, repositories: &Repositories) -> Result<Judged> {
        let (name, found) = (&self.name, packages.get(&self.name));
        let installed = found.filter(|entry| entry.is_installed()).map(|entry| entry.version.as_str());
        let change = |to: String| Change::new("state", shown(found), to);
        let Some(known) = repositories.of(name) else {
            // What was installed from a file stays the newest one.
            return match (&self.state, installed) {
                (PkgState::Newest, Some(_)) => Ok(None),
                _ if repositories.may_be_old => Ok(Some((Todo::Ask, change(self.to(None))))),
                _ => Err(missing(format!("no repository of this host has a package `{name}`"))),
            };
        };
        let version = match &self.state {
            PkgState::Version(version) => Some(version),
            _ => known.candidate.as_ref(),
        };
        let Some(version) = version else {
            if repositories.may_be_old {
                return Ok(Some((Todo::Ask, change(self.to(None)))));
            }
            // Other packages provide it: apt chooses, or lists those between which it can't.
            return Ok(Some((Todo::Install(None), change(self.to(None)))));
        };
        if installed == Some(version) {
            return Ok(None);
        }
        if installed.is_some_and(|installed| compare(version, installed) == Ordering::Less) && !self.downgrade {
            return match &self.state {
                PkgState::Version(version) => Err(Error::new(format!(
                    "{name} is installed in the newer version {}: set `allowdowngrade` to install {version}",
                    installed.unwrap_or_default()
                ))),
                _ => Ok(None),
            };
        }
        match known.version(version) {
            Some(offered) => self.may_be(offered, repositories)?,
            None if repositories.may_be_old => return Ok(Some((Todo::Ask, change(self.to(None))))),
            None => {
                let others: Vec<_> = known.versions.iter().map(|offered| offered.version.as_str()).collect();
                return Err(missing(format!(
                    "no repository of this host has {name} in version {version}, only {}",
                    others.join(", ")
                )));
            }
        }
        if let Some(entry) = found.filter(|entry| entry.is_held()) {
            return Err(Error::new(format!(
                "{name} is held in version {}: release it with `apt-mark unhold {name}`",
                entry.version
            ))
            .waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(STATUS)));
        }
        Ok(Some((Todo::Install(self.exactly()), change(self.to(Some(version))))))
    }

    /// The version that must be named to the package manager.
    fn exactly(&self) -> Option<String> {
        match &self.state {
            PkgState::Version(version) => Some(version.clone()),
            _ => None,
        }
    }

    /// The state in words, with the version if that is known.
    fn to(&self, version: Option<&str>) -> String {
        match (&self.state, version) {
            (PkgState::Version(version), _) => version.clone(),
            (state, Some(version)) => format!("{state} ({version})"),
            (state, None) => state.to_string(),
        }
    }

    /// # Errors
    /// No source has it as it may be.
    fn may_be(&self, offered: &Offered, repositories: &Repositories) -> Result<()> {
        let is_own = |source: &&String| !source.starts_with('/');
        let free = |source: &String| policy::component(source).is_none_or(|part| !NONFREE.contains(&part));
        let supported = |source: &String| {
            repositories
                .origins
                .get(source)
                .is_some_and(|origin| origin.eq_ignore_ascii_case(&repositories.distribution))
                && policy::component(source).is_none_or(|part| !UNSUPPORTED.contains(&part))
        };
        let mut sources = offered.sources.iter().filter(is_own).peekable();
        let Some(first) = sources.peek().copied() else { return Ok(()) };
        let ways = [(self.nonfree, &free as &dyn Fn(&String) -> bool), (self.unsupported, &supported)];
        if sources.any(|source| ways.iter().all(|(is_allowed, is_so)| *is_allowed || is_so(source))) {
            return Ok(());
        }
        let (what, field) = match self.nonfree || free(first) {
            true => ("is not supported by the distribution", "allowunsupported"),
            false => ("is not free software", "allownonfree"),
        };
        Err(Error::new(format!("{} {} {what} ({first}): set `{field}` to install it", self.name, offered.version)))
    }
}

impl Repositories {
    fn of(&self, name: &PkgName) -> Option<&Known> {
        self.known.get(&name.to_string()).or_else(|| self.known.get(&name.name).filter(|_| name.architecture.is_some()))
    }
}

/// The state of a package in words.
fn shown(found: Option<&Entry>) -> String {
    match found {
        Some(entry) if entry.is_installed() => format!("installed ({})", entry.version),
        Some(entry) if !entry.is_removed() => entry.state.clone(),
        _ => "uninstalled".to_owned(),
    }
}

/// An error that ends when apt knows more.
fn missing(why: String) -> Error {
    Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Missing).at(LISTS))
}

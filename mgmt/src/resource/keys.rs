//! The keys of things that packages, services and accounts own and provide, and what follows from them.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::resource::uid::{Group, Need, Reach, Uid, UidKey, User};

/// A package, by name, whatever its version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Package(pub String);

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl UidKey for Package {
    const WORD: &'static str = "package";
}

/// Any package that ships this path, in normal form. A package provides one for each of its files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ships(pub PathBuf);

impl fmt::Display for Ships {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl UidKey for Ships {
    const WORD: &'static str = "package with";
}

/// A unit of the system's systemd, by its whole name, such as `nginx.service`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit(String);

/// A unit of a user's systemd.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionUnit {
    /// The user, by name.
    pub user: String,
    /// The unit.
    pub unit: Unit,
}

/// The ends of the names of units.
const ENDS: [&str; 11] = [
    ".service",
    ".socket",
    ".timer",
    ".target",
    ".path",
    ".mount",
    ".automount",
    ".swap",
    ".slice",
    ".scope",
    ".device",
];
/// Where systemd looks for units of the system.
const SYSTEM_DIRS: [&str; 4] =
    ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

impl Unit {
    /// The unit of that name. A name without the end of a unit is that of a service.
    ///
    /// ```
    /// use mgmt::resource::Unit;
    /// assert_eq!(Unit::new("nginx").to_string(), "nginx.service");
    /// assert_eq!(Unit::new("backup.timer").to_string(), "backup.timer");
    /// ```
    pub fn new(name: impl Into<String>) -> Unit {
        let name = name.into();
        let is_whole = ENDS.iter().any(|end| name.ends_with(end));
        Unit(if is_whole { name } else { name + ".service" })
    }

    /// The unit of a container of `systemd-nspawn`. A resource that keeps the container running provides it.
    pub fn of_container(name: &str) -> Unit {
        Unit(format!("systemd-nspawn@{name}.service"))
    }

    /// What a resource needs that keeps this unit of the system in a state: its unit file, and what is added to that.
    pub fn needs(&self) -> Vec<Need> {
        self.files(&SYSTEM_DIRS.map(PathBuf::from))
    }

    /// The same for a unit of the user whose home directory this is.
    pub fn session_needs(&self, home: &Path) -> Vec<Need> {
        self.files(&[home.join(".config/systemd/user")])
    }

    fn files(&self, dirs: &[PathBuf]) -> Vec<Need> {
        let of = |dir: &PathBuf| {
            let names = std::iter::once(self.0.clone()).chain(self.template());
            names
                .flat_map(|name| {
                    let file = Need::after(Uid::path(dir.join(&name))).reach(Reach::Exact).because("its unit file");
                    let added = Uid::path(dir.join(format!("{name}.d")));
                    [file, Need::after(added).reach(Reach::Inside).because("a drop-in of its unit")]
                })
                .collect::<Vec<_>>()
        };
        dirs.iter().flat_map(of).collect()
    }

    /// The template of an instance: `getty@.service` of `getty@tty1.service`.
    fn template(&self) -> Option<String> {
        let (name, end) = self.0.rsplit_once('.')?;
        let (template, instance) = name.split_once('@')?;
        (!instance.is_empty()).then(|| format!("{template}@.{end}"))
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl UidKey for Unit {
    const WORD: &'static str = "unit";
}

impl fmt::Display for SessionUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.unit, self.user)
    }
}

impl UidKey for SessionUnit {
    const WORD: &'static str = "session unit";
}

impl User {
    /// What a user is related to that is in these groups: they come first. If the user must be absent, they come later,
    /// since a group that is the main one of a user can't be removed.
    pub fn needs<G: Into<String>>(groups: impl IntoIterator<Item = G>, is_absent: bool) -> Vec<Need> {
        let need = |group: G| {
            let group = Uid::of(Group(group.into()));
            match is_absent {
                false => Need::after(group).because("its group"),
                true => Need::before(group).because("it is in the group"),
            }
        };
        groups.into_iter().map(need).collect()
    }
}

//! What dpkg knows about the packages of this host, as its file has it.

use std::collections::HashMap;

use crate::resources::pkg::name::PkgName;

/// The file in which dpkg keeps the state of all packages.
pub(super) const STATUS: &str = "/var/lib/dpkg/status";
/// Where dpkg keeps what it has not written to that file yet. Files are left here if it is interrupted.
pub(super) const UPDATES: &str = "/var/lib/dpkg/updates";

/// A package that dpkg knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) architecture: String,
    pub(super) version: String,
    /// What was asked for, as in `dpkg --get-selections`: `install`, `hold`, `deinstall`, `purge`.
    pub(super) selection: String,
    /// `installed`, `config-files`, `unpacked`, `half-configured` and so on.
    pub(super) state: String,
    /// The names that it provides too.
    pub(super) provides: Vec<String>,
}

impl Entry {
    pub(super) fn is_installed(&self) -> bool {
        // With triggers that are awaited or pending, everything of the package itself has been done.
        matches!(self.state.as_str(), "installed" | "triggers-awaited" | "triggers-pending")
    }

    /// Nothing of it is left but settings.
    pub(super) fn is_removed(&self) -> bool {
        matches!(self.state.as_str(), "not-installed" | "config-files")
    }

    pub(super) fn is_held(&self) -> bool {
        self.selection == "hold"
    }

    fn parse(paragraph: &str) -> Option<Entry> {
        let field = |name: &str| {
            let mut lines = paragraph.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let mut status = field("Status")?.split_whitespace();
        let (selection, _, state) = (status.next()?, status.next()?, status.next()?);
        let provides = field("Provides").unwrap_or_default().split(',');
        let provides = provides.filter_map(|name| name.split_whitespace().next());
        Some(Entry {
            name: field("Package")?.to_owned(),
            architecture: field("Architecture").unwrap_or_default().to_owned(),
            version: field("Version").unwrap_or_default().to_owned(),
            selection: selection.to_owned(),
            state: state.to_owned(),
            provides: provides.map(str::to_owned).collect(),
        })
    }
}

/// All packages that dpkg knows.
#[derive(Debug, Default)]
pub(super) struct Packages {
    all: Vec<Entry>,
    by_name: HashMap<String, Vec<usize>>,
    /// By a name that they provide: those that are installed.
    providers: HashMap<String, Vec<usize>>,
    /// The architecture of this host.
    native: String,
}

impl Packages {
    pub(super) fn parse(text: &str) -> Packages {
        let mut packages =
            Packages { all: text.split("\n\n").filter_map(Entry::parse).collect(), ..Packages::default() };
        for (at, entry) in packages.all.iter().enumerate() {
            packages.by_name.entry(entry.name.clone()).or_default().push(at);
            if entry.is_installed() {
                for name in &entry.provides {
                    packages.providers.entry(name.clone()).or_default().push(at);
                }
            }
        }
        // dpkg itself always has it.
        let native = packages.entries("dpkg").next().map(|dpkg| dpkg.architecture.clone());
        Packages { native: native.unwrap_or_default(), ..packages }
    }

    fn entries(&self, name: &str) -> impl Iterator<Item = &Entry> {
        self.by_name.get(name).into_iter().flatten().filter_map(|at| self.all.get(*at))
    }

    /// The package of this name: without an architecture, that of this host's, or one for all.
    pub(super) fn get(&self, name: &PkgName) -> Option<&Entry> {
        let is_it = |entry: &&Entry| match &name.architecture {
            Some(architecture) if *architecture != self.native => entry.architecture == *architecture,
            _ => entry.architecture == self.native || entry.architecture == "all",
        };
        // A package that has changed its architecture has an entry for each.
        let found = || self.entries(&name.name).filter(is_it);
        found()
            .find(|entry| entry.is_installed())
            .or_else(|| found().find(|entry| !entry.is_removed()))
            .or_else(|| found().next())
    }

    /// An installed package that provides this name.
    pub(super) fn provider(&self, name: &PkgName) -> Option<&Entry> {
        self.providers.get(&name.name).into_iter().flatten().filter_map(|at| self.all.get(*at)).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21\n\n\
        Package: libc6\nStatus: hold ok installed\nArchitecture: amd64\nMulti-Arch: same\nVersion: 2.36-9\n\
        Provides: libc6-2.36, libc-of (= 1:2)\nDescription: C\n Version: 9\n .\n more\n\n\
        Package: libc6\nStatus: install ok unpacked\nArchitecture: i386\nVersion: 2.35\n\n\
        Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n\
        Package: gone\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2\n\n\
        Package: waits\nStatus: install ok triggers-pending\nArchitecture: all\nVersion: 3\n\
        nonsense\n\nPackage: broken\nStatus: short\n";

    fn name(text: &str) -> PkgName {
        PkgName::parse(text).unwrap()
    }

    #[test]
    fn each_package_is_found_by_its_name_and_architecture() {
        let packages = Packages::parse(TEXT);
        let found = |text: &str| packages.get(&name(text)).map(|entry| (entry.version.as_str(), entry.is_installed()));
        assert_eq!(found("libc6"), Some(("2.36-9", true)));
        assert_eq!(found("libc6:amd64"), Some(("2.36-9", true)));
        assert_eq!(found("libc6:i386"), Some(("2.35", false)));
        assert_eq!(found("gone"), Some(("2", true)));
        assert_eq!(found("waits"), Some(("3", true)));
        assert_eq!((found("libc6:arm64"), found("broken"), found("none")), (None, None, None));
        assert!(packages.get(&name("libc6")).unwrap().is_held());
    }

    #[test]
    fn what_installed_packages_provide_is_found() {
        let packages = Packages::parse(TEXT);
        for provided in ["libc6-2.36", "libc-of"] {
            assert_eq!(packages.provider(&name(provided)).unwrap().name, "libc6");
        }
        assert_eq!(packages.provider(&name("libc6")), None);
    }
}

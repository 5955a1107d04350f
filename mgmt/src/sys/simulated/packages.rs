//! The packages of a simulated host: repositories, and the programs of apt and dpkg that install from them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use super::commands::{Answer, Called};
use super::host::{Host, Part, lock};

const STATUS: &str = "/var/lib/dpkg/status";
const INFO: &str = "/var/lib/dpkg/info";
/// What each simulated repository is called.
const SOURCE: &str = "http://repository.invalid stable/main amd64 Packages";

/// A package that the repositories of a simulated host have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deb {
    name: String,
    version: String,
    provides: Vec<String>,
    files: BTreeMap<String, String>,
}

impl Deb {
    /// A package without files.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Deb {
        Deb { name: name.into(), version: version.into(), ..Deb::default() }
    }

    /// The same package with one more file. Files below `/etc` are settings: they stay if they were changed, or if the
    /// package is removed.
    #[must_use]
    pub fn file(mut self, path: impl Into<String>, content: impl Into<String>) -> Deb {
        self.files.insert(path.into(), content.into());
        self
    }

    /// The same package with one more name that it provides.
    #[must_use]
    pub fn provides(mut self, name: impl Into<String>) -> Deb {
        self.provides.push(name.into());
        self
    }
}

/// What the repositories have, the newest version of each package last.
#[derive(Debug, Default)]
pub(super) struct Repository(Mutex<Vec<Deb>>);

impl Part for Repository {
    fn fork(&self) -> Repository {
        Repository(Mutex::new(lock(&self.0).clone()))
    }

    /// What is installed is in files.
    fn state(&self, _: &Host) -> Vec<String> {
        Vec::new()
    }
}

impl Host {
    /// Adds a package to the repositories of this host, as the newest version of its name.
    pub fn offer(&self, deb: Deb) {
        lock(&self.part::<Repository>().0).push(deb);
    }

    /// The installed version of a package.
    pub fn package(&self, name: &str) -> Option<String> {
        self.installed().get(name).and_then(|paragraph| version_installed(paragraph)).map(str::to_owned)
    }

    /// Installs a package as another program would. Returns `false` if the repositories do not have it.
    pub fn install_package(&self, name: &str) -> bool {
        let (deb, mut installed) = (self.offered(name, None), self.installed());
        deb.iter().for_each(|deb| unpack(self, deb, &mut installed));
        self.write_installed(&installed);
        deb.is_some()
    }

    /// Removes a package as another program would. Returns `false` if it is not installed.
    pub fn remove_package(&self, name: &str) -> bool {
        let (is_there, mut installed) = (self.package(name).is_some(), self.installed());
        remove(self, name, &mut installed);
        self.write_installed(&installed);
        is_there
    }

    fn offered(&self, name: &str, version: Option<&str>) -> Option<Deb> {
        let repository = self.part::<Repository>();
        let debs = lock(&repository.0);
        let is_it = |deb: &&Deb| deb.name == name && version.is_none_or(|version| deb.version == version);
        debs.iter()
            .rev()
            .find(is_it)
            .or_else(|| debs.iter().rev().find(|deb| deb.provides.iter().any(|p| p == name)))
            .cloned()
    }

    /// The paragraphs of the file of dpkg, by name.
    fn installed(&self) -> BTreeMap<String, String> {
        let text = self.read(STATUS).unwrap_or_default();
        let paragraphs = text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
        paragraphs
            .filter_map(|paragraph| Some((field(paragraph, "Package")?.to_owned(), paragraph.to_owned())))
            .collect()
    }

    fn write_installed(&self, all: &BTreeMap<String, String>) {
        self.write(STATUS, all.values().map(|paragraph| format!("{paragraph}\n\n")).collect::<String>());
    }
}

fn field<'a>(paragraph: &'a str, name: &str) -> Option<&'a str> {
    paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn version_installed(paragraph: &str) -> Option<&str> {
    field(paragraph, "Status").filter(|status| status.ends_with(" installed"))?;
    field(paragraph, "Version")
}

/// Adds the programs, and a dpkg without packages but itself.
pub(super) fn add(host: &Host) {
    let dpkg = "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21.22".to_owned();
    host.write_installed(&[("dpkg".to_owned(), dpkg)].into());
    host.program("apt-cache *", policy);
    host.program("apt-get *", apt_get);
    host.program("dpkg *", |_| Answer::ok());
}

/// The arguments after `--`.
fn names<'a>(called: &'a Called<'_>) -> impl Iterator<Item = &'a str> {
    called.args().iter().skip_while(|arg| *arg != "--").skip(1).map(String::as_str)
}

fn policy(called: &Called<'_>) -> Answer {
    let host = called.host;
    if names(called).next().is_none() {
        return Answer::prints(format!(
            "Package files:\n 500 {SOURCE}\n     release o=simulated,c=main\nPinned packages:\n"
        ));
    }
    let installed = host.installed();
    let repository = host.part::<Repository>();
    let debs = lock(&repository.0);
    let mut text = String::new();
    for name in names(called) {
        let offered: Vec<&str> = debs.iter().rev().filter(|deb| deb.name == name).map(|deb| &*deb.version).collect();
        let is = installed.get(name).and_then(|paragraph| version_installed(paragraph));
        let is_provided = debs.iter().any(|deb| deb.provides.iter().any(|provided| provided == name));
        let Some(candidate) = offered.first().copied().or(is).or(is_provided.then_some("(none)")) else { continue };
        text +=
            &format!("{name}:\n  Installed: {}\n  Candidate: {candidate}\n  Version table:\n", is.unwrap_or("(none)"));
        for version in &offered {
            text += &format!("     {version} 500\n        500 {SOURCE}\n");
        }
        if let Some(version) = is.filter(|is| !offered.contains(is)) {
            text += &format!(" *** {version} 100\n        100 {STATUS}\n");
        }
    }
    Answer::prints(text)
}

fn apt_get(called: &Called<'_>) -> Answer {
    let has = |word: &str| called.args().iter().any(|arg| arg == word);
    if has("update") {
        return Answer::ok();
    }
    let (host, mut installed) = (called.host, called.host.installed());
    if has("--simulate") && has("remove") {
        return Answer::prints(names(called).map(|name| format!("Remv {name}\n")).collect::<String>());
    }
    let mut debs = Vec::new();
    for name in names(called).filter(|_| has("install")) {
        let (name, version) = name.split_once('=').map_or((name, None), |(name, version)| (name, Some(version)));
        match host.offered(name, version) {
            Some(deb) => debs.push(deb),
            None => return Answer::fails(100, format!("E: Unable to locate package {name}\n")),
        }
    }
    if has("--simulate") {
        return Answer::ok();
    }
    for deb in debs {
        unpack(host, &deb, &mut installed);
    }
    for name in names(called).filter(|_| has("remove")) {
        remove(host, name, &mut installed);
    }
    host.write_installed(&installed);
    Answer::ok()
}

fn list_of(name: &str) -> String {
    format!("{INFO}/{name}.list")
}

fn unpack(host: &Host, deb: &Deb, installed: &mut BTreeMap<String, String>) {
    let mut list = String::from("/.\n");
    for (path, content) in &deb.files {
        if !(path.starts_with("/etc/") && host.exists(path)) {
            host.write(path, content.as_bytes());
        }
        let above: Vec<_> = Path::new(path).ancestors().skip(1).filter(|dir| *dir != Path::new("/")).collect();
        above.iter().rev().for_each(|dir| list += &format!("{}\n", dir.display()));
        list += &format!("{path}\n");
    }
    host.write(list_of(&deb.name), list);
    let provides =
        if deb.provides.is_empty() { String::new() } else { format!("\nProvides: {}", deb.provides.join(", ")) };
    let paragraph = format!(
        "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {}{provides}",
        deb.name, deb.version
    );
    installed.insert(deb.name.clone(), paragraph);
}

fn remove(host: &Host, name: &str, installed: &mut BTreeMap<String, String>) {
    let list = host.read(list_of(name)).unwrap_or_default();
    let files = || list.lines().filter(|path| host.read_bytes(path).is_some());
    let settings = files().filter(|path| path.starts_with("/etc/")).count();
    files().filter(|path| !path.starts_with("/etc/")).for_each(|path| {
        host.remove(path);
    });
    match (settings, installed.get_mut(name)) {
        (0, _) => {
            installed.remove(name);
            host.remove(list_of(name));
        }
        (_, Some(paragraph)) => *paragraph = paragraph.replace("install ok installed", "deinstall ok config-files"),
        (_, None) => {}
    }
}

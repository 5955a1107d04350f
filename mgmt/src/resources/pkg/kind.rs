//! The kind `pkg`.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::resource::{
    ApplyCx, ApplyItem, Asking, Change, CheckCx, CheckItem, Converge, ConvergeMany, Drift, Error, FieldProblem,
    Findings, Grouped, Inquiry, Known, Merge, MergedDirs, Need, Package, Prepare, PrepareCx, Result, ShippedFiles,
    Ships, Uid, Watch, WatchCx,
};
#[cfg(feature = "dbus")]
use crate::resource::{Bus, SignalRule};
use crate::resources::pkg::answers::SETTINGS;
use crate::resources::pkg::backend::{Backend, with};
use crate::resources::pkg::installer::{Installer as _, Member, Ways};
use crate::resources::pkg::judge::{Judged, LISTS, Wanted};
use crate::resources::pkg::name::PkgName;
use crate::resources::pkg::shipped;
use crate::resources::pkg::state::{PkgBackend, PkgConffiles, PkgState};
use crate::resources::pkg::status::STATUS;
use crate::resources::pkg::transact::{Done, repair};
#[cfg(feature = "dbus")]
use crate::sys::packagekit;
use mgmt_macros::Resource;

/// Where rpm keeps what is installed.
#[cfg(feature = "dbus")]
const RPM: [&str; 2] = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"];

/// A package of the Linux distribution: installed or not, in any version, the newest, or an exact one.
///
/// Packages that must be changed at the same time are changed in one transaction, which asks nothing. It is never
/// interrupted: neither by a `timeout` nor by the end of the program. If another program is changing packages, the
/// resource waits for it and names it.
///
/// Where there is dpkg, that is done with `apt-get`; elsewhere through PackageKit, which serves the package managers of
/// many distributions (tested with its back end for apt, and not with rpm); `backend` chooses one. PackageKit finds
/// packages by their own names only, and the package manager's rules decide about settings files. An answer of it takes
/// up to seconds, so it is not asked about packages that are as declared by the status file of dpkg.
///
/// A package that is provided by another one that is installed (`mail-transport-agent`) counts as installed. An
/// installation that would remove a package fails; to remove a package also removes those that depend on it. Packages
/// on hold are not changed: that is an error until they are released.
///
/// What the repositories have is asked again (`apt-get update`) if this host has never asked, if a name is unknown and
/// the engine has not asked in the last hour, and if they no longer have a file. Otherwise that is for the system's own
/// timers, and `newest` means the newest that is known.
///
/// A package can be declared more than once in a graph: `installed` and `newest` together are `newest`. Other
/// declarations that differ are refused.
///
/// Woken by `/var/lib/dpkg/status`; with `newest`, also by `/var/lib/apt/lists` and `/etc/apt`. Through PackageKit:
/// by its signals, and by the files in which dpkg and rpm keep what is installed. Default poll: none.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("packages");
/// g.add(Pkg::new("nginx"));
/// g.add(Pkg::new("curl").newest());
/// g.add(Pkg::new("telnet").uninstalled());
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "pkg", inline = watch)]
pub struct Pkg {
    /// The name of the package. With an architecture (`libc6:i386`), it is the package for that.
    #[resource(name)]
    pub(super) name: String,
    /// Whether it is installed (`installed`), in the newest version that the repositories have (`newest`), in an exact
    /// version (`1.22.1-9`), or not at all (`uninstalled`; its settings stay). Default: `installed`.
    #[resource(default)]
    pub(super) state: PkgState,
    /// Whether it may come from a repository that is not signed by a key that apt trusts. Default: false.
    #[resource(default)]
    allowuntrusted: bool,
    /// Whether it may be software that is not free: from `non-free`, `non-free-firmware`, `restricted` or `multiverse`.
    /// Default: false.
    #[resource(default)]
    allownonfree: bool,
    /// Whether it may come from others than the distribution, or from a part of it without support (`universe`,
    /// `multiverse`). Default: false.
    #[resource(default)]
    allowunsupported: bool,
    /// Whether an older version may take the place of a newer one, if it is the exact one of `state`. Default: false.
    #[resource(default)]
    allowdowngrade: bool,
    /// Whether a settings file that was changed on this host stays as it is (`keep`), or is replaced by that of a new
    /// version of the package (`replace`). Default: `keep`.
    #[resource(default)]
    conffiles: PkgConffiles,
    /// Whether what an interrupted transaction has left is ended first (`dpkg --configure -a`). Without, that is an
    /// error. Default: false.
    #[resource(default)]
    configure: bool,
    /// Through which program: `apt`, `packagekit`, or `auto`, which is apt where there is dpkg and PackageKit
    /// elsewhere. Default: `auto`.
    #[resource(default)]
    pub(super) backend: PkgBackend,
}

impl PkgBuilder {
    /// Declares that it is installed, in any version. The default.
    pub fn installed(self) -> Self {
        self.state(PkgState::Installed)
    }

    /// Declares that it is not installed.
    pub fn uninstalled(self) -> Self {
        self.state(PkgState::Uninstalled)
    }

    /// Declares that it is installed in the newest version.
    pub fn newest(self) -> Self {
        self.state(PkgState::Newest)
    }

    /// Declares that it is installed in this version.
    pub fn version(self, version: impl Into<String>) -> Self {
        self.state(PkgState::Version(version.into()))
    }
}

/// What is not as declared.
#[derive(Clone, Debug)]
pub struct PkgDrift(Change);

impl Drift for PkgDrift {
    fn changes(&self) -> Vec<Change> {
        vec![self.0.clone()]
    }
}

impl Converge for Pkg {
    type Drift = PkgDrift;

    fn irreversible(&self) -> Option<String> {
        Some("what the scripts of packages do can't be undone".to_owned())
    }

    fn validate(&self, _: &Known<'_>) -> Vec<FieldProblem> {
        let name = PkgName::parse(&self.name).err();
        let name = name.map(|why| FieldProblem::new("name", why, "write it as the package manager does"));
        let state = PkgState::try_from(self.state.to_string()).err();
        let state = state.map(|why| FieldProblem::new("state", why, "write the version as the package manager does"));
        let both = self.backend == PkgBackend::Packagekit && self.conffiles == PkgConffiles::Replace;
        let why = "is `replace`, which PackageKit can't do";
        let both = both.then(|| FieldProblem::new("conffiles", why, "leave it out, or declare `backend: apt`"));
        name.into_iter().chain(state).chain(both).collect()
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<PkgDrift>> {
        let judged = self.judge(cx, vec![self.wanted()?]).await?;
        let judged = judged.into_iter().next().unwrap_or(Ok(None))?;
        Ok(judged.map(|(_, change)| PkgDrift(change)))
    }

    async fn apply(&self, cx: &ApplyCx, _: PkgDrift) -> Result<()> {
        let ends = self.repair(cx, &[self.member(cx)?]).await?;
        ends.into_iter().try_for_each(|end| settled(cx, end))
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let status = cx.fs().path(STATUS);
        #[cfg(feature = "dbus")]
        if self.backend.is_packagekit() {
            let dirs = RPM.iter().fold(status, |all, dir| all.and(cx.fs().levels(*dir, 1)));
            let rule = |member| {
                let rule = SignalRule::new().sender(packagekit::NAME).path(packagekit::PATH);
                rule.interface(packagekit::NAME).member(member)
            };
            let signals = ["UpdatesChanged", "RepoListChanged"].into_iter();
            return signals.fold(dirs, |all, member| all.and(Watch::signals(Bus::System, rule(member))));
        }
        match self.state {
            PkgState::Newest => status.and(cx.fs().levels(LISTS, 1)).and(cx.fs().tree(SETTINGS)),
            _ => status,
        }
    }

    fn uids(&self, _: &Known<'_>) -> Vec<Uid> {
        vec![Uid::of(Package(self.name.clone()))]
    }

    fn provides(&self, _: &Known<'_>) -> Vec<Uid> {
        if self.state == PkgState::Uninstalled {
            return Vec::new();
        }
        let ships = shipped::presumed(&self.name).map(|path| Uid::of(Ships(path)));
        ships.chain(shipped::presumed_dirs(&self.name).map(Uid::Path)).collect()
    }

    fn needs(&self, _: &Known<'_>) -> Vec<Need> {
        let before = |path: &str, why| Need::after(Uid::Path(PathBuf::from(path))).because(why);
        vec![
            before("/etc/apt/sources.list", "a list of repositories"),
            before("/etc/apt/sources.list.d", "a list of repositories"),
        ]
    }

    fn inquiry(&self, _: &Known<'_>) -> Option<Box<dyn Inquiry>> {
        Some(Box::new(ShippedFiles::new(shipped::presumed(&self.name), &MergedDirs::default())))
    }

    fn is_absent(&self, known: &Known<'_>) -> Option<bool> {
        known.is_known("state").then_some(self.state == PkgState::Uninstalled)
    }
}

/// All that are looked at together are one question to apt, and all that must change are one transaction.
impl ConvergeMany for Pkg {
    async fn check_many(items: Vec<CheckItem<Pkg>>) {
        let Some(first) = items.first() else { return };
        let (cx, first) = (first.cx().clone(), first.resource().clone());
        let wanted: Result<Vec<_>> = items.iter().map(|item| item.resource().wanted()).collect();
        let judged = match wanted {
            Ok(wanted) => first.judge(&cx, wanted).await,
            Err(error) => Err(error),
        };
        match judged {
            Ok(all) => {
                let ends = items.into_iter().zip(all);
                ends.for_each(|(item, judged)| {
                    item.answer(judged.map(|some| some.map(|(_, change)| PkgDrift(change))))
                });
            }
            Err(error) => items.into_iter().for_each(|item| item.answer(Err(error.clone()))),
        }
    }

    async fn apply_many(items: Vec<ApplyItem<Pkg>>) {
        let Some(first) = items.first() else { return };
        let (cx, first) = (first.cx().clone(), first.resource().clone());
        let members: Result<Vec<_>> = items.iter().map(|item| item.resource().member(item.cx())).collect();
        let ends = match members {
            Ok(members) => first.repair(&cx, &members).await,
            Err(error) => Err(error),
        };
        let ends = match ends {
            Ok(ends) => ends,
            Err(error) => return items.into_iter().for_each(|item| item.answer(Err(error.clone()))),
        };
        for (item, end) in items.into_iter().zip(ends) {
            let done = settled(item.cx(), end);
            item.answer(done);
        }
    }
}

impl Grouped for Pkg {
    fn group_key(&self, known: &Known<'_>) -> Option<Cow<'static, str>> {
        let fields = ["state", "allowuntrusted", "allowdowngrade", "conffiles", "backend"];
        let Ways { untrusted, downgrade, conffiles } = self.ways();
        let what = if self.state == PkgState::Uninstalled { "removed" } else { "installed" };
        known
            .are_known(fields)
            .then(|| Cow::Owned(format!("{what} {untrusted} {downgrade} {conffiles:?} {:?}", self.backend)))
    }
}

impl Prepare for Pkg {
    async fn prepare(&self, cx: &PrepareCx) -> Result<Findings> {
        if self.state == PkgState::Uninstalled {
            return Ok(Findings::default());
        }
        let name = self.name.clone();
        let (files, merged) = cx.look(move |fs| (shipped::files(fs, &name), MergedDirs::of_host(fs))).await;
        let mut found = Findings::default();
        found.provides.extend(files.iter().map(|path| Uid::of(Ships(path.clone()))));
        match files.is_empty() {
            true => Ok(found),
            false => Ok(found.asks(Asking::of(move || ShippedFiles::new(&files, &merged)))),
        }
    }
}

impl Merge for Pkg {
    fn merge(&self, other: &Pkg) -> Result<Pkg, String> {
        let pairs = [
            ("allowuntrusted", self.allowuntrusted == other.allowuntrusted),
            ("allownonfree", self.allownonfree == other.allownonfree),
            ("allowunsupported", self.allowunsupported == other.allowunsupported),
            ("allowdowngrade", self.allowdowngrade == other.allowdowngrade),
            ("conffiles", self.conffiles == other.conffiles),
            ("configure", self.configure == other.configure),
            ("backend", self.backend == other.backend),
        ];
        if let Some((field, _)) = pairs.into_iter().find(|(_, is_same)| !is_same) {
            return Err(format!("`{field}` differs"));
        }
        match (&self.state, &other.state) {
            (one, two) if one == two => Ok(self.clone()),
            (PkgState::Installed, PkgState::Newest) => Ok(other.clone()),
            (PkgState::Newest, PkgState::Installed) => Ok(self.clone()),
            (one, two) => Err(format!("one is `{one}`, the other `{two}`")),
        }
    }
}

/// The answer of one member.
fn settled(cx: &ApplyCx, end: Result<Done>) -> Result<()> {
    if let Done::Unchanged = end? {
        cx.unchanged();
    }
    Ok(())
}

impl Pkg {
    /// What differs for each of these, which have the same package manager.
    async fn judge(&self, cx: &CheckCx, all: Vec<Wanted>) -> Result<Vec<Result<Judged>>> {
        let backend = self.backend.of(cx).await?;
        with!(backend, installer => installer.judge(cx, all).await)
    }

    /// Changes these, which may be in one transaction.
    async fn repair(&self, cx: &CheckCx, members: &[Member]) -> Result<Vec<Result<Done>>> {
        let backend = self.backend.of(cx).await?;
        with!(backend, installer => {
            let _turn = installer.turn().lock().await;
            Ok(repair(installer, members, self.ways()).await)
        })
    }

    fn ways(&self) -> Ways {
        Ways { untrusted: self.allowuntrusted, downgrade: self.allowdowngrade, conffiles: self.conffiles }
    }

    fn wanted(&self) -> Result<Wanted> {
        let name = PkgName::parse(&self.name).map_err(|why| Error::new(format!("the name `{}` {why}", self.name)))?;
        Ok(Wanted {
            name,
            state: self.state.clone(),
            nonfree: self.allownonfree,
            unsupported: self.allowunsupported,
            downgrade: self.allowdowngrade,
            backend: self.backend,
        })
    }

    fn member(&self, cx: &ApplyCx) -> Result<Member> {
        Ok(Member { wanted: self.wanted()?, cx: cx.clone(), configure: self.configure })
    }
}

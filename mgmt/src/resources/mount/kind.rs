//! The kind `mount`.

use std::path::{Path, PathBuf};

use crate::resource::{
    ApplyCx, Change, CheckCx, Context as _, Converge, Drift, FieldProblem, Known, Need, Result, Uid, UidKey, Watch,
    WatchCx, WatchEvent, every,
};
use crate::resources::mount::commands::{mounting, swapping_on};
use crate::resources::mount::fstab::{Entry, FILE, SWAP};
use crate::resources::mount::look::{Act, Found, Pending, foresee, look};
use crate::resources::mount::options::MountOptions;
use crate::resources::mount::repair::repair;
use crate::resources::mount::state::MountState;
use crate::resources::mount::wanted::{Wanted, What};
use crate::resources::mount::{active, device, flags};
use crate::resources::paths::declared;
use crate::sys::fs::normal_form;
use crate::sys::process::examine;
use crate::sys::tables::Table;
use mgmt_macros::Resource;

/// An entry of `/etc/fstab`, and what it describes: a file system that is mounted or not, or a swap device in use or
/// not.
///
/// The name is the mount point, a directory that must exist. With `type: swap` there is none, and the name is any.
///
/// The entry is known by its mount point (a swap device, by its `device`). It is changed in its place, or added as the
/// last line; all other lines, and the blanks and the comment in its own line, stay as they are. Blanks in fields are
/// written as fstab(5) demands, and so must not be escaped here. Further entries for the same mount point are removed.
/// Where systemd runs, it is made to read the changed file (`systemctl daemon-reload`) before anything is mounted.
///
/// What is mounted is compared with the table of the kernel. A device is compared by what it leads to (`UUID=`,
/// `LABEL=`, symlinks, the file behind a loop device), a bind mount by the directory that is visible. Options that the
/// kernel adds (`relatime`), shows in another form (`size=1024k`) or does not show, and options that `mount` or systemd
/// reads (`nofail`, `x-systemd.automount`) are no drift. If options differ, the file system is mounted again with them
/// (`remount`); if the device or the type differs, it is unmounted first. An option of the file system that is not
/// declared any more ends with the next mount. A swap device is compared by its priority (`pri`) only.
///
/// What is in use can't be unmounted: the resource then names the processes, and waits. Nothing is unmounted by force,
/// and the root file system never is. Its programs are `mount`, `umount`, `swapon` and `swapoff`.
///
/// Woken by: changes of the file, and the kernel's report that something was mounted, unmounted or mounted with other
/// options at the mount point, and of each change of swap devices. There is no default `poll`.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("disks");
/// g.add(File::new("/srv/data/"));
/// g.add(Mount::new("/srv/data").device("LABEL=data").r#type("ext4").options(["noatime", "nofail"]).passno(2));
/// g.add(Mount::new("/srv/www").device("/srv/data/www").options("bind,ro"));
/// g.add(Mount::new("swap").device("/dev/sdb2").r#type("swap").options("pri=10"));
/// g.add(Mount::new("/mnt/old").absent());
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "mount", inline = watch)]
pub struct Mount {
    /// The mount point: an absolute path without `..`. With `type: swap`, any name.
    #[resource(name)]
    name: String,
    /// Whether it has an entry in the file and is mounted (`mounted`), has an entry and is not mounted (`unmounted`),
    /// or has no entry and is not mounted (`absent`). Default: `mounted`.
    #[resource(default)]
    state: MountState,
    /// The device: a path, `UUID=`, `LABEL=`, `PARTUUID=`, `PARTLABEL=`, `ID=`, the name of a file system without a
    /// device (`tmpfs`), a share (`host:/dir`), or the directory for a bind mount. Must be given, unless `state` is
    /// `absent`.
    device: Option<String>,
    /// The type of the file system, such as `ext4`; `swap` for a swap device. Default: `auto`, or for a bind mount
    /// `none`.
    r#type: Option<String>,
    /// The options: one text with commas, a list, or a map. Default: none, which is written as `defaults`.
    #[resource(default)]
    options: MountOptions,
    /// How often dump(8) saves the file system, in days. Default: 0, never.
    #[resource(default)]
    freq: u32,
    /// The order in which fsck(8) examines file systems at boot: 1 for the root, 2 for others. Default: 0, never.
    #[resource(default)]
    passno: u32,
}

impl MountBuilder {
    /// Declares that it has an entry and is mounted. The default.
    pub fn mounted(self) -> Self {
        self.state(MountState::Mounted)
    }

    /// Declares that it has an entry and is not mounted.
    pub fn unmounted(self) -> Self {
        self.state(MountState::Unmounted)
    }

    /// Declares that it has no entry and is not mounted.
    pub fn absent(self) -> Self {
        self.state(MountState::Absent)
    }
}

/// What is not as declared.
#[derive(Clone, Debug)]
pub struct MountDrift(Found);

impl Drift for MountDrift {
    fn changes(&self) -> Vec<Change> {
        self.0.changes.clone()
    }
}

/// A mount point.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct MountPoint(pub(super) PathBuf);

/// A swap device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SwapDevice(pub(super) String);

impl std::fmt::Display for MountPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}

impl UidKey for MountPoint {
    const WORD: &'static str = "mount point";
}

impl std::fmt::Display for SwapDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl UidKey for SwapDevice {
    const WORD: &'static str = "swap device";
}

/// The fields on which it depends what the resource owns and needs.
const FIELDS: [&str; 4] = ["state", "device", "type", "options"];

impl Converge for Mount {
    type Drift = MountDrift;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let is_there = self.state != MountState::Absent;
        let has_device = self.device.as_ref().is_some_and(|device| !device.is_empty());
        let device = known.require(
            ["device", "state"],
            has_device || !is_there && !self.is_swap(),
            "is missing",
            "give what is mounted there",
        );
        let point = FieldProblem::of_path("name", Path::new(&self.name)).filter(|_| !self.is_swap());
        let point = point.map(|problem| problem.judged_by(["name", "type"]));
        let is_path = self.device.as_deref().is_none_or(|device| device.starts_with('/'));
        let bind = known.require(
            ["device", "options"],
            is_path || !self.is_bind(),
            "is no path, and the option `bind` needs one",
            "name the directory",
        );
        let fields = [("device", &self.device), ("type", &self.r#type)];
        let lines = fields.map(|(field, text)| {
            let is_line = text.as_ref().is_none_or(|text| !text.contains(['\n', '\0']));
            known.require(field, is_line, "has several lines or a NUL byte", "give one line")
        });
        let is_line = self.options.to_list().iter().all(|option| !option.contains(['\n', '\0']));
        let options = known.require("options", is_line, "has several lines or a NUL byte", "give one line");
        every([device, point, bind, options].into_iter().chain(lines))
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<MountDrift>> {
        let (wanted, owned, pending) = (self.wanted()?, cx.owned_paths(), Pending::of(cx.mark().as_deref()));
        let found = cx.look(move |fs, _| look(&wanted, fs, &owned, pending)).await?;
        Ok((!found.changes.is_empty()).then_some(MountDrift(found)))
    }

    async fn apply(&self, cx: &ApplyCx, drift: MountDrift) -> Result<()> {
        repair(cx, &self.wanted()?, &drift.0).await
    }

    async fn foresee(&self, cx: &CheckCx, drift: &MountDrift) -> Result<()> {
        let (wanted, owned, found) = (self.wanted()?, cx.owned_paths(), drift.0.clone());
        let command = match found.act {
            Act::Nothing => None,
            _ if wanted.what == What::Swap => Some(swapping_on(&wanted.entry)),
            _ => Some(mounting(&wanted.entry)),
        };
        cx.look(move |fs, _| foresee(&wanted, fs, &owned, &found)).await?;
        if let Some(command) = command {
            examine(&command).await?;
        }
        Ok(())
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let file = cx.fs().path(FILE);
        match self.is_swap() {
            true => file.and(swaps()),
            false => file.and(cx.fs().itself(&self.name)),
        }
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        if !known.are_known(["device", "type"]) {
            return Vec::new();
        }
        let device = self.device.clone().filter(|_| self.is_swap()).map(SwapDevice).map(Uid::of);
        device.or_else(|| self.point().map(MountPoint).map(Uid::of)).into_iter().collect()
    }

    fn parts(&self, _: &Known<'_>) -> Vec<PathBuf> {
        vec![PathBuf::from(FILE)]
    }

    fn provides(&self, known: &Known<'_>) -> Vec<Uid> {
        let is_there = self.state == MountState::Mounted && known.are_known(FIELDS);
        self.point().filter(|_| is_there).map(Uid::Path).into_iter().collect()
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        let mut needs = vec![Need::after(Uid::path(FILE)).because("its file")];
        if !known.are_known(FIELDS) {
            return needs;
        }
        let is_mounted = self.state == MountState::Mounted;
        if let Some(point) = self.point().map(Uid::Path) {
            needs.push(match is_mounted {
                true => Need::after(point).because("its mount point"),
                // The directory may be removed, or its content may be another one then.
                false => Need::before(point).because("it is unmounted first"),
            });
        }
        let device = self.device.as_deref().filter(|_| is_mounted).and_then(device::path);
        let device = device.and_then(|path| normal_form(&path).ok());
        needs.extend(device.map(|device| Need::after(Uid::Path(device)).because("its device")));
        needs
    }

    fn is_absent(&self, known: &Known<'_>) -> Option<bool> {
        known.is_known("state").then_some(self.state == MountState::Absent)
    }
}

/// The kernel's reports about swap devices.
fn swaps() -> Watch {
    Watch::unfold(None, async |table: Option<Table>| {
        let Some(mut table) = table else {
            let table = Table::open(active::SWAPS).context(active::SWAPS)?;
            return Ok((WatchEvent::Ready, Some(table)));
        };
        table.changed().await.context(active::SWAPS)?;
        Ok((WatchEvent::Changed, Some(table)))
    })
}

impl Mount {
    fn is_swap(&self) -> bool {
        self.r#type.as_deref() == Some(SWAP)
    }

    fn is_bind(&self) -> bool {
        flags::is_bind(&self.options.to_list())
    }

    /// The mount point; `None`: there is none, or its path is wrong.
    fn point(&self) -> Option<PathBuf> {
        normal_form(Path::new(&self.name)).ok().filter(|_| !self.is_swap())
    }

    fn wanted(&self) -> Result<Wanted> {
        let is_swap = self.is_swap();
        let what = if is_swap { What::Swap } else { What::Point(declared("name", &self.name)?) };
        let point = match &what {
            What::Point(point) => point.to_string_lossy().into_owned(),
            What::Swap => String::new(),
        };
        let fstype = self.r#type.clone().unwrap_or_else(|| if self.is_bind() { "none" } else { "auto" }.to_owned());
        let entry = Entry {
            device: self.device.clone().unwrap_or_default(),
            point,
            fstype,
            options: self.options.to_list(),
            freq: self.freq,
            passno: self.passno,
        };
        Ok(Wanted { what, state: self.state, entry })
    }
}

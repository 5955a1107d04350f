//! What was in the file and what was mounted before a resource changed that, and putting it back when the resource has
//! left the graph.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::resource::{ApplyCx, Recorded, Recorder, Result, Reverse, Stopping, Uid, Undone};
use crate::resources::edits::{FileEdit, text_of};
use crate::resources::locks::Locks;
use crate::resources::mount::active::{self, Active};
use crate::resources::mount::commands::{self, Reloads};
use crate::resources::mount::fstab::{self, Entry, FILE, SWAP};
use crate::resources::mount::kind::{Mount, MountPoint, SwapDevice};
use crate::resources::mount::look::{as_text, file, swap};
use crate::resources::mount::options::split;
use crate::resources::mount::state::MountState;
use crate::resources::mount::wanted::{Wanted, What};
use crate::resources::mount::{device, flags};
use crate::sys::fs::{ReadFs, WriteFs};

/// What the resource has changed, in the order of the changes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct MountRecord {
    all: Vec<MountWas>,
}

/// A mount point or a swap device.
#[derive(Debug, Serialize, Deserialize)]
struct MountWas {
    /// Empty for a swap device.
    point: String,
    device: String,
    /// Its entries in the file.
    file: fstab::Was,
    /// The file was not there.
    made: bool,
    /// What was mounted.
    mounted: Option<MountedWas>,
    /// The line that the last change made; `None`: it removed all.
    ours: Option<String>,
    /// The last change mounted something.
    is_ours_mounted: bool,
}

/// What was mounted.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct MountedWas {
    root: String,
    source: String,
    fstype: String,
    /// Separated by commas.
    options: String,
}

impl MountedWas {
    fn of(active: &Active) -> MountedWas {
        let options: Vec<&String> = active.options.iter().chain(&active.fs_options).collect();
        let options = options.into_iter().map(String::as_str).collect::<Vec<_>>().join(",");
        let Active { root, source, fstype, .. } = active.clone();
        MountedWas { root, source, fstype, options }
    }

    /// The options with which it can be mounted again: the kernel shows some that it does not take.
    fn options(&self) -> Vec<String> {
        let shown = split(&self.options);
        let mut options: Vec<String> = Vec::new();
        for option in shown {
            if option != "seclabel"
                && !options.contains(&option)
                && !(option == "rw" && options.contains(&"ro".to_owned()))
            {
                options.push(option);
            }
        }
        options
    }
}

/// Records what is there, before that is changed to what is wanted.
pub(super) fn record(recorder: &Recorder<Mount>, fs: &ReadFs, wanted: &Wanted) -> Result<()> {
    let mut record = recorder.read()?.unwrap_or_default();
    let Entry { point, device, .. } = &wanted.entry;
    let is_it = |was: &MountWas| was.point == *point && (!point.is_empty() || was.device == *device);
    let at = match record.all.iter().position(is_it) {
        Some(at) => at,
        None => {
            let (file, mounted) = (fstab::was(&file(fs)?, wanted.which()), mounted(fs, wanted)?);
            let made = text_of(fs, Path::new(FILE))?.is_none();
            let (point, device) = (point.clone(), device.clone());
            record.all.push(MountWas { point, device, file, made, mounted, ours: None, is_ours_mounted: false });
            record.all.len() - 1
        }
    };
    record.all[at].ours = wanted.kept_entry().map(Entry::line);
    record.all[at].is_ours_mounted = wanted.state == MountState::Mounted;
    record.all[at].device.clone_from(device);
    recorder.write(&record)
}

/// What is mounted there now, or the swap device in use.
fn mounted(fs: &ReadFs, wanted: &Wanted) -> Result<Option<MountedWas>> {
    match &wanted.what {
        What::Point(point) => Ok(active::mounts(fs, point)?.here.last().map(MountedWas::of)),
        What::Swap => Ok(swap(fs, &wanted.entry.device)?.map(|swap| MountedWas {
            root: "/".to_owned(),
            source: swap.device,
            fstype: SWAP.to_owned(),
            options: if swap.priority < 0 { String::new() } else { format!("pri={}", swap.priority) },
        })),
    }
}

impl MountWas {
    fn shown(&self) -> &str {
        if self.point.is_empty() { &self.device } else { &self.point }
    }

    fn describe(&self) -> String {
        let shown = self.shown();
        let verb = match (&self.mounted, self.is_ours_mounted) {
            (None, true) => "unmount",
            (Some(_), _) => "mount as before",
            (None, false) => return format!("put the entry of `{shown}` in {FILE} back"),
        };
        format!("{verb} `{shown}`, and put its entry in {FILE} back")
    }

    /// What was mounted, as something that can be wanted.
    fn wanted(&self) -> Wanted {
        let what = if self.point.is_empty() { What::Swap } else { What::Point(PathBuf::from(&self.point)) };
        let state = if self.mounted.is_some() { MountState::Mounted } else { MountState::Unmounted };
        let (device, fstype, options) = match &self.mounted {
            Some(was) => (was.source.clone(), was.fstype.clone(), was.options()),
            None => (self.device.clone(), if self.point.is_empty() { SWAP } else { "auto" }.to_owned(), Vec::new()),
        };
        let entry = Entry { device, point: self.point.clone(), fstype, options, freq: 0, passno: 0 };
        Wanted { what, state, entry }
    }

    /// Mounts or unmounts what was there. Returns whether something was done, or why it was left.
    async fn undo_mount(&self, cx: &ApplyCx) -> Result<Result<bool, String>> {
        let wanted = self.wanted();
        let known = wanted.clone();
        let now = cx.look(move |fs, _| mounted(fs, &known)).await?;
        let Some(now) = now else {
            return match &self.mounted {
                None => Ok(Ok(false)),
                Some(was) if was.root != "/" => Ok(Err(self.by_hand())),
                Some(_) => commands::mount(cx, &wanted).await.map(|()| Ok(true)),
            };
        };
        if let Some(was) = self.mounted.as_ref().filter(|was| now.source == was.source && now.fstype == was.fstype) {
            if now.options == was.options {
                return Ok(Ok(false));
            }
            self.undo_options(cx, wanted, &now).await?;
            return Ok(Ok(true));
        }
        if !self.is_ours_mounted {
            // It was another program that mounted it.
            return Ok(Ok(false));
        }
        let (ours, source) = (self.device.clone(), now.source.clone());
        // A bind mount shows the device that has its directory.
        let is_ours = now.root != "/" || cx.look(move |fs, _| device::is_of(fs, &ours, &source)).await?;
        if !is_ours {
            return Ok(Err(format!("`{}`: another program has mounted {} there", self.shown(), now.source)));
        }
        if self.mounted.as_ref().is_some_and(|was| was.root != "/") {
            return Ok(Err(self.by_hand()));
        }
        commands::unmount(cx, &wanted).await?;
        if self.mounted.is_some() {
            commands::mount(cx, &wanted).await?;
        }
        Ok(Ok(true))
    }

    fn by_hand(&self) -> String {
        format!("`{}` was a part of another file system: mount it by hand", self.shown())
    }

    async fn undo_options(&self, cx: &ApplyCx, mut wanted: Wanted, now: &MountedWas) -> Result<()> {
        if wanted.what == What::Swap {
            commands::unmount(cx, &wanted).await?;
            return commands::mount(cx, &wanted).await;
        }
        // Options that are the same are not given again: not every file system takes all that it shows.
        let now = split(&now.options);
        wanted.entry.options.retain(|option| flags::is_switch(option) || !now.contains(option));
        commands::remount(cx, &wanted).await
    }

    /// Puts the lines of the file back. Returns whether something was done, or why it was left.
    fn undo_lines(&self, edit: &FileEdit<'_>, fs: &WriteFs) -> Result<Result<bool, String>> {
        let wanted = self.wanted();
        let which = if self.point.is_empty() { fstab::Which::Swap(&self.device) } else { wanted.which() };
        let mut is_foreign = false;
        let is_changed = edit.run(fs, |text| {
            let Some(text) = text else { return Ok(None) };
            let text = as_text(text.to_vec())?;
            let now = fstab::lines(&text, which);
            if now == self.file.lines {
                return Ok(None);
            }
            let found = fstab::entries(&text, which);
            let ours = self.ours.as_deref().map(|line| fstab::entries(line, which));
            is_foreign = match (found.as_slice(), ours.as_deref()) {
                ([], _) => self.ours.is_some(),
                ([found], Some([ours])) => !found.is_same(ours),
                _ => true,
            };
            Ok((!is_foreign).then(|| fstab::restored(&text, which, &self.file).into_bytes()))
        })?;
        match is_foreign {
            true => Ok(Err(format!("the entry of `{}` in {FILE} was changed by another program", self.shown()))),
            false => Ok(Ok(is_changed)),
        }
    }
}

impl Reverse for Mount {
    type Record = MountRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<MountRecord>) -> Result<Undone> {
        let mut undone = Undone::default();
        for was in record.data.all.into_iter().rev() {
            let described = was.describe();
            let mount = was.undo_mount(cx).await?;
            let (locks, owned, reloads) = (cx.shared::<Locks>(), cx.owned_paths(), cx.shared::<Reloads>());
            let work = move |fs: &WriteFs, stop: &Stopping| {
                let (locks, owned, path) = (&*locks, &*owned, Path::new(FILE));
                let removes_empty = was.made;
                let edit = FileEdit { path, locks, owned, stop, is_announced: false, removes_empty };
                was.undo_lines(&edit, fs)
            };
            let lines = cx.change(work).await?;
            if lines == Ok(true) {
                reloads.changed();
                commands::reload(cx).await?;
            }
            if mount == Ok(true) || lines == Ok(true) {
                undone = undone.did(described);
            }
            for kept in [mount, lines].into_iter().filter_map(Result::err) {
                undone = undone.kept(kept);
            }
        }
        Ok(undone)
    }

    fn describe(record: &MountRecord) -> Vec<String> {
        record.all.iter().map(MountWas::describe).collect()
    }

    fn owns(record: &MountRecord) -> Vec<Uid> {
        let key = |was: &MountWas| match was.point.is_empty() {
            true => Uid::of(SwapDevice(was.device.clone())),
            false => Uid::of(MountPoint(PathBuf::from(&was.point))),
        };
        record.all.iter().map(key).collect()
    }
}

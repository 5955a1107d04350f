//! What is otherwise than declared: the entry in the file, and what is mounted.

use std::path::Path;

use crate::resource::{Change, Error, OwnedPaths, Result};
use crate::resources::beside;
use crate::resources::edits::{self, text_of, waiting};
use crate::resources::mount::active::{self, Active, Swap};
use crate::resources::mount::fstab::{self, Entry, FILE};
use crate::resources::mount::state::MountState;
use crate::resources::mount::wanted::{Wanted, What};
use crate::resources::mount::{device, flags};
use crate::resources::paths::shown;
use crate::sys::fs::ReadFs;

/// What must be done about what is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Nothing,
    Mount,
    Unmount,
    /// Unmounts, and mounts what is declared.
    Again,
    Remount,
}

/// What an interrupted repair has left to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pending {
    /// systemd has not read the changed file.
    pub(super) reload: bool,
    /// The mount has the options that were declared before.
    pub(super) remount: bool,
}

impl Pending {
    pub(super) fn of(mark: Option<&[u8]>) -> Pending {
        let has = |word: &[u8]| mark.is_some_and(|mark| mark.split(|byte| *byte == b' ').any(|found| found == word));
        Pending { reload: has(b"reload"), remount: has(b"remount") }
    }

    pub(super) fn to_mark(self) -> Option<Vec<u8>> {
        let words = [(self.reload, "reload"), (self.remount, "remount")];
        let words: Vec<&str> = words.into_iter().filter(|(is_due, _)| *is_due).map(|(_, word)| word).collect();
        (!words.is_empty()).then(|| words.join(" ").into_bytes())
    }
}

/// What a check has found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) changes: Vec<Change>,
    /// Whether the file must be changed.
    pub(super) entry: bool,
    pub(super) act: Act,
    pub(super) pending: Pending,
}

/// The text of the file, which may be missing.
pub(super) fn file(fs: &ReadFs) -> Result<String> {
    let text = text_of(fs, Path::new(FILE))?.unwrap_or_default();
    as_text(text)
}

pub(super) fn as_text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::new(format!("{FILE} is not text in UTF-8")))
}

/// Compares the system with what is declared.
pub(super) fn look(wanted: &Wanted, fs: &ReadFs, owned: &OwnedPaths, pending: Pending) -> Result<Found> {
    let path = Path::new(FILE);
    let mut changes: Vec<Change> =
        entry(wanted, &file(fs).map_err(|error| waiting(error, path))?).into_iter().collect();
    if !changes.is_empty() {
        edits::may_edit(fs, owned, path)?;
    }
    changes.extend(beside::leftovers(fs, path));
    if changes.is_empty() {
        changes.extend(beside::unsynced(fs, path));
    }
    let is_entry = !changes.is_empty();
    let (mounted, mut act) = match &wanted.what {
        What::Point(point) => at_point(wanted, fs, point)?,
        What::Swap => of_swap(wanted, fs)?,
    };
    changes.extend(mounted);
    if pending.reload {
        changes.push(Change::new("systemd", "has not read the file since it was changed", "has read it"));
    }
    if pending.remount && act == Act::Nothing && wanted.state == MountState::Mounted {
        changes.push(Change::new("options", "perhaps those of before an interrupted repair", "as declared"));
        act = Act::Remount;
    }
    Ok(Found { changes, entry: is_entry, act, pending })
}

/// What must change in the file.
fn entry(wanted: &Wanted, text: &str) -> Option<Change> {
    let (which, new) = (wanted.which(), wanted.kept_entry());
    let found = fstab::entries(text, which);
    let is_same = match (found.as_slice(), new) {
        ([], None) => true,
        ([found], Some(new)) => found.is_same(new),
        _ => false,
    };
    if is_same {
        return None;
    }
    let old: String = fstab::lines(text, which).iter().map(|line| format!("-{line}\n")).collect();
    let added = new.map(|new| format!("+{}\n", new.line())).unwrap_or_default();
    let from = match found.as_slice() {
        [] => "no entry".to_owned(),
        [found] => found.line(),
        several => format!("{} entries", several.len()),
    };
    Some(Change::new("fstab", from, new.map_or("no entry".to_owned(), Entry::line)).with_diff(old + &added))
}

fn word(state: MountState) -> &'static str {
    match state {
        MountState::Mounted => "mounted",
        MountState::Unmounted | MountState::Absent => "unmounted",
    }
}

fn state(from: MountState, to: MountState) -> Change {
    Change::new("state", word(from), word(to))
}

fn at_point(wanted: &Wanted, fs: &ReadFs, point: &Path) -> Result<(Vec<Change>, Act)> {
    let mounts = active::mounts(fs, point)?;
    let is_wanted = wanted.state == MountState::Mounted;
    let (changes, act) = match mounts.here.last() {
        None if is_wanted => (vec![state(MountState::Unmounted, wanted.state)], Act::Mount),
        None => (Vec::new(), Act::Nothing),
        Some(_) if !is_wanted => (vec![state(MountState::Mounted, wanted.state)], Act::Unmount),
        Some(found) => mounted(wanted, fs, point, found)?,
    };
    match act {
        Act::Unmount | Act::Again if point == Path::new("/") => {
            Err(Error::new("the root file system can't be unmounted: declare it as it is mounted"))
        }
        act => Ok((changes, act)),
    }
}

/// What is otherwise in a mount that must be there.
fn mounted(wanted: &Wanted, fs: &ReadFs, point: &Path, found: &Active) -> Result<(Vec<Change>, Act)> {
    let Entry { device, fstype, options, .. } = &wanted.entry;
    if found.fstype == "autofs" && options.iter().any(|option| option == "x-systemd.automount") {
        // It is mounted as soon as it is used.
        return Ok((Vec::new(), Act::Nothing));
    }
    let mut changes = Vec::new();
    if wanted.is_bind() {
        let (source, target) = (fs.stat(device)?, fs.stat(point)?);
        let is_same = source.is_none_or(|source| target.is_some_and(|target| source.identity() == target.identity()));
        if !is_same {
            let from = if found.root == "/" { &found.source } else { &found.root };
            changes.push(Change::new("device", from, device));
        }
    } else {
        if !device::is_type(fstype, &found.fstype) {
            changes.push(Change::new("type", &found.fstype, fstype));
        }
        if !device::is_of(fs, device, &found.source)? {
            changes.push(Change::new("device", &found.source, device));
        }
    }
    if !changes.is_empty() {
        return Ok((changes, Act::Again));
    }
    let (from, to): (Vec<_>, Vec<_>) = flags::differences(options, found).into_iter().unzip();
    if from.is_empty() {
        return Ok((Vec::new(), Act::Nothing));
    }
    Ok((vec![Change::new("options", from.join(","), to.join(","))], Act::Remount))
}

/// The swap device in use that is the declared one.
pub(super) fn swap(fs: &ReadFs, device: &str) -> Result<Option<Swap>> {
    let Some(path) = device::path(device) else { return Ok(None) };
    let path = device::real(fs, &path)?;
    let is_it = |swap: &Swap| Path::new(&swap.device) == path;
    Ok(active::swaps(fs)?.into_iter().find(is_it))
}

fn of_swap(wanted: &Wanted, fs: &ReadFs) -> Result<(Vec<Change>, Act)> {
    let found = swap(fs, &wanted.entry.device)?;
    let is_wanted = wanted.state == MountState::Mounted;
    let priority =
        wanted.entry.options.iter().rev().find_map(|option| option.strip_prefix("pri=")?.parse::<i32>().ok());
    Ok(match (found, priority) {
        (None, _) if is_wanted => (vec![state(MountState::Unmounted, wanted.state)], Act::Mount),
        (Some(_), _) if !is_wanted => (vec![state(MountState::Mounted, wanted.state)], Act::Unmount),
        (Some(found), Some(priority)) if found.priority != priority => {
            let (from, to) = (format!("pri={}", found.priority), format!("pri={priority}"));
            (vec![Change::new("options", from, to)], Act::Again)
        }
        _ => (Vec::new(), Act::Nothing),
    })
}

/// The reason why the declared state can't be reached, as far as that can be found without a change.
pub(super) fn foresee(wanted: &Wanted, fs: &ReadFs, owned: &OwnedPaths, found: &Found) -> Result<()> {
    if found.entry {
        edits::foresee(fs, owned, Path::new(FILE))?;
    }
    match (&wanted.what, found.act) {
        (What::Point(point), Act::Mount | Act::Again) => must_be_there(fs, owned, point),
        _ => Ok(()),
    }
}

/// Fails if there is no mount point.
pub(super) fn must_be_there(fs: &ReadFs, owned: &OwnedPaths, point: &Path) -> Result<()> {
    use crate::resource::{Obstacle, ObstacleKind};
    if fs.stat(point)?.is_some() {
        return Ok(());
    }
    let shown = shown(point);
    let remedy = match owned.contains(point) {
        true => format!("add an edge: file[{shown}/] must come before this"),
        false => format!("declare it too: file[{shown}/]"),
    };
    let why = format!("the mount point {shown} does not exist; {remedy}");
    Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Missing).at(point)))
}

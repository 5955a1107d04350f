//! Which processes keep a file system from being unmounted.

use std::path::{Path, PathBuf};

use crate::id::shortened;
use crate::resource::{Error, Obstacle, ObstacleKind, Result, Stopping};
use crate::resources::mount::active;
use crate::resources::paths::shown;
use crate::sys::fs::ReadFs;

/// The most processes that are named.
const NAMED_MAX: usize = 8;
/// The most open files of a process that are looked at.
const FILES_MAX: usize = 10_000;
/// How much of the list of a process's mapped files is read, in bytes.
const MAPS_BYTES_MAX: u64 = 4 << 20;

/// The error of a mount point that can't be unmounted because it is in use.
pub(super) fn busy(fs: &ReadFs, point: &Path, stop: &Stopping) -> Result<Error> {
    let below: Vec<_> = active::mounts(fs, point)?.below.into_iter().map(|active| active.point).collect();
    let (mut users, mut more) = (Vec::new(), 0);
    for process in processes(fs)? {
        stop.check()?;
        let Some(how) = uses(fs, &process, point) else { continue };
        if users.len() < NAMED_MAX {
            users.push(format!("`{}` (pid {}, {how})", name(fs, &process), number(&process)));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        users.push(format!("{more} more"));
    }
    let mut why = Vec::new();
    if !below.is_empty() {
        why.push(format!("{} is mounted below it", below.join(", ")));
    }
    if !users.is_empty() {
        why.push(format!("it is used by {}", users.join(", ")));
    }
    if why.is_empty() {
        why.push("it is in use, by no process that can be seen here".to_owned());
    }
    let why = format!("{} can't be unmounted: {}", shown(point), why.join(", and "));
    Ok(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Busy)))
}

fn processes(fs: &ReadFs) -> Result<Vec<PathBuf>> {
    let entries = fs.read_dir("/proc")?.into_iter();
    let is_number = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    Ok(entries.filter(|entry| is_number(&entry.name)).map(|entry| Path::new("/proc").join(entry.name)).collect())
}

fn number(process: &Path) -> String {
    process.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn name(fs: &ReadFs, process: &Path) -> String {
    const CHARS_MAX: usize = 64;
    let name = fs.read_file(process.join("comm"), 4096).unwrap_or_default();
    shortened(String::from_utf8_lossy(&name).trim_end(), CHARS_MAX)
}

/// How a process uses what is below the mount point. A process that has ended meanwhile, or that may not be looked at,
/// does not.
fn uses(fs: &ReadFs, process: &Path, point: &Path) -> Option<&'static str> {
    let leads_below = |link: PathBuf| {
        let target = fs.stat(link).ok().flatten().and_then(|stat| stat.link_target);
        target.is_some_and(|target| target.starts_with(point))
    };
    for (link, how) in [("cwd", "its directory"), ("root", "its root directory"), ("exe", "its program")] {
        if leads_below(process.join(link)) {
            return Some(how);
        }
    }
    let open = process.join("fd");
    let files = fs.read_dir(&open).unwrap_or_default().into_iter().take(FILES_MAX);
    if files.into_iter().any(|entry| leads_below(open.join(entry.name))) {
        return Some("an open file");
    }
    let maps = fs.read_file(process.join("maps"), MAPS_BYTES_MAX).unwrap_or_default();
    let maps = String::from_utf8_lossy(&maps);
    let mut paths = maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..]));
    paths.any(|path| Path::new(path).starts_with(point)).then_some("a mapped file")
}

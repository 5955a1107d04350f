//! The files of packages: of those that are installed, and what is presumed of all.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::sys::fs::ReadFs;

/// Where dpkg keeps the lists of files.
const INFO: &str = "/var/lib/dpkg/info";
/// The largest list that is read, in bytes.
const BYTES_MAX: u64 = 64 << 20;

/// The architecture of this host in Debian's words; empty: it has another one, and packages are found by their whole
/// names only.
const NATIVE: &str = match std::env::consts::ARCH.as_bytes() {
    b"x86_64" => "amd64",
    b"x86" => "i386",
    b"aarch64" => "arm64",
    b"riscv64" => "riscv64",
    b"s390x" => "s390x",
    _ => "",
};

/// Where a package has a directory of its name, by the conventions of the distribution.
const DIRS: [&str; 7] = ["/etc", "/srv", "/usr/lib", "/usr/share", "/var/cache", "/var/lib", "/var/log"];
/// Where it has a file of its name.
const FILES: [&str; 3] = ["/etc/default", "/usr/bin", "/usr/sbin"];

/// The paths that are taken for those of a package of this name before anything is known about it: its program, its
/// unit, its settings, its directories. Of a package with a dependency that ships these for it (`nginx` and
/// `nginx-common`), no list has them either.
pub(super) fn presumed(name: &str) -> impl Iterator<Item = PathBuf> {
    let name = bare(name);
    let files = FILES.into_iter().map(move |dir| Path::new(dir).join(name));
    let unit = Path::new("/usr/lib/systemd/system").join(format!("{name}.service"));
    presumed_dirs(name).chain(files).chain([unit, Path::new("/etc").join(format!("{name}.conf"))])
}

/// Those of them that are directories.
pub(super) fn presumed_dirs(name: &str) -> impl Iterator<Item = PathBuf> {
    let name = bare(name);
    DIRS.into_iter().map(move |dir| Path::new(dir).join(name))
}

/// The name without its architecture.
fn bare(name: &str) -> &str {
    name.split(':').next().unwrap_or_default()
}

/// The files of a package, as long as it is installed: before, nothing on this host lists them.
pub(super) fn files(fs: &ReadFs, name: &str) -> Vec<PathBuf> {
    let read = |name: &str| fs.read_file(Path::new(INFO).join(format!("{name}.list")), BYTES_MAX).ok();
    // Packages that can be installed for several architectures at once have theirs in the name.
    let Some(list) = read(name).or_else(|| read(&format!("{name}:{NATIVE}"))) else { return Vec::new() };
    let lines = list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && *line != b"/.");
    lines.map(|line| PathBuf::from(OsStr::from_bytes(line))).collect()
}

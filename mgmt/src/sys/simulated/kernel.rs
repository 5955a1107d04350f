//! The files that the kernel of a simulated host makes: its parameters in `/proc/sys`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::{Errno, Result};

use super::disk::Tree;
use super::host::Host;
use super::inode::{Body, Inode, Number};

/// The number that the kernel gives to the file system `proc`.
pub(super) const PROC: u64 = 0x0000_9fa0;

/// Whether the object is in `/proc`.
pub(super) fn is_in_proc(tree: &Tree, number: Number) -> bool {
    tree.path_of(number).starts_with("/proc")
}

/// A write to a parameter: it has the new value as a whole, which is shown with single tabs between its words.
pub(super) fn take(inode: &mut Inode, bytes: &[u8], stamp: i128) -> Result<()> {
    if inode.mode & 0o222 == 0 {
        return Err(Errno::ACCESS);
    }
    let Body::File(content) = &mut inode.body else { return Err(Errno::ISDIR) };
    *content = Arc::new(shown(&String::from_utf8_lossy(bytes)).into_bytes());
    inode.mtime_ns = stamp;
    Ok(())
}

fn shown(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join("\t") + "\n"
}

/// The file of a parameter; in its name, dots separate, and a slash stands for a dot.
fn path(name: &str) -> PathBuf {
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    Path::new("/proc/sys").join(name.chars().map(swap).collect::<String>())
}

impl Host {
    /// Gives a parameter of the kernel a value, as `sysctl -w` would. A parameter that does not exist appears, as with
    /// the module of the kernel that has it. A new host has none.
    pub fn sysctl(&self, name: &str, value: &str) {
        self.write(path(name), shown(value));
    }

    /// The value of a parameter of the kernel; `None`: there is no such parameter.
    pub fn sysctl_value(&self, name: &str) -> Option<String> {
        self.read(path(name)).map(|text| text.trim_end_matches('\n').to_owned())
    }
}

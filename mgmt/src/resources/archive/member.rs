//! What an archive may hold: which members are accepted, and why others are refused.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use tar::EntryType;

use crate::resource::Digest;
use crate::sys::fs::{NAME_BYTES_MAX, PATH_BYTES_MAX, is_temporary_name};

/// The bits of a mode that are taken from an archive, and put into one: not set-user-id, set-group-id and sticky.
pub(super) const MODE_BITS: u32 = 0o777;

/// The most components of the path of a member.
pub(super) const DEPTH_MAX: usize = 256;

/// A member, as it must be on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Relative to the directory, with normal components only.
    pub(super) path: PathBuf,
    pub(super) what: What,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Directory {
        mode: u32,
    },
    File {
        mode: u32,
        size: u64,
        digest: Digest,
    },
    Symlink {
        target: PathBuf,
    },
    /// Another name of an earlier file: a file of its own with the same content.
    SameAs {
        file: PathBuf,
        mode: u32,
        size: u64,
        digest: Digest,
    },
}

/// The header of a member.
pub(super) struct Head {
    /// `None`: the directory itself.
    pub(super) path: Option<PathBuf>,
    pub(super) sort: Sort,
    pub(super) mode: u32,
}

/// The type of a member.
pub(super) enum Sort {
    Directory,
    File,
    Symlink(PathBuf),
    Hardlink(PathBuf),
    /// Attributes for all members that follow, which have no meaning here.
    Global,
}

/// The header, or the reason why the member is refused.
pub(super) fn head(name: &[u8], kind: EntryType, link: Option<&[u8]>, mode: u32) -> Result<Head, String> {
    let mode = mode & MODE_BITS;
    if kind.is_pax_global_extensions() {
        return Ok(Head { path: None, sort: Sort::Global, mode });
    }
    let path = inside(name)?;
    let sort = match kind {
        EntryType::Directory => Sort::Directory,
        // Old archives mark a directory by the slash at its end.
        EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") => Sort::Directory,
        EntryType::Regular | EntryType::Continuous => Sort::File,
        EntryType::Symlink => {
            let depth = path.as_ref().map_or(0, |path| path.components().count().saturating_sub(1));
            Sort::Symlink(target(link.unwrap_or_default(), depth)?)
        }
        EntryType::Link => {
            let to = inside(link.unwrap_or_default()).map_err(|why| format!("is a hard link to a name that {why}"))?;
            Sort::Hardlink(to.ok_or("is a hard link to the directory itself")?)
        }
        EntryType::Char | EntryType::Block => return Err("is a device".to_owned()),
        EntryType::Fifo => return Err("is a pipe".to_owned()),
        EntryType::GNUSparse => return Err("is a sparse file, which is not supported".to_owned()),
        other => return Err(format!("has the unknown type {:?}", char::from(other.as_byte()))),
    };
    if path.is_none() && !matches!(sort, Sort::Directory) {
        return Err("is the directory itself, and no directory".to_owned());
    }
    Ok(Head { path, sort, mode })
}

/// The path of a member below the directory; `None` for the directory itself.
fn inside(name: &[u8]) -> Result<Option<PathBuf>, String> {
    if name.is_empty() {
        return Err("has no name".to_owned());
    }
    if name.contains(&0) {
        return Err("has a NUL byte in its name".to_owned());
    }
    if name.len() > PATH_BYTES_MAX {
        return Err(format!("has a name of {} bytes", name.len()));
    }
    let mut path = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(name)).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) if name.len() > NAME_BYTES_MAX => {
                return Err(format!("has a component of {} bytes in its name", name.len()));
            }
            Component::Normal(name) if is_temporary_name(name) => {
                return Err("has the name of a temporary file".to_owned());
            }
            Component::Normal(name) => path.push(name),
            Component::ParentDir => return Err("has `..` in its name".to_owned()),
            Component::RootDir | Component::Prefix(_) => return Err("has an absolute name".to_owned()),
        }
    }
    if path.components().count() > DEPTH_MAX {
        return Err(format!("lies more than {DEPTH_MAX} directories deep"));
    }
    Ok((path != Path::new("")).then_some(path))
}

/// The target of a symlink that lies `depth` directories deep, if it leads to something inside.
///
/// `..` is accepted at the beginning only: after another component, which may be a symlink, it can lead anywhere.
fn target(bytes: &[u8], depth: usize) -> Result<PathBuf, String> {
    let text = Path::new(OsStr::from_bytes(bytes));
    if bytes.is_empty() || bytes.contains(&0) || bytes.len() > PATH_BYTES_MAX {
        return Err("is a symlink without a usable target".to_owned());
    }
    let (mut up, mut is_down) = (0, false);
    for component in text.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(_) => is_down = true,
            Component::ParentDir if is_down => {
                return Err(format!("is a symlink to {}, with `..` in the middle", text.display()));
            }
            Component::ParentDir => up += 1,
            Component::RootDir | Component::Prefix(_) => {
                return Err(format!("is a symlink to {}, which is absolute", text.display()));
            }
        }
    }
    if up > depth {
        return Err(format!("is a symlink to {}, which is outside of the directory", text.display()));
    }
    Ok(text.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_inside() {
        assert_eq!(inside(b"./a//b/").unwrap().unwrap(), Path::new("a/b"));
        assert_eq!(inside(b"./").unwrap(), None);
        for name in [&b"/a"[..], b"..", b"a/../b", b"", b"a\0b", &[b'a'; 256], &b"a/".repeat(4000), &b"a/".repeat(257)]
        {
            inside(name).unwrap_err();
        }
    }

    #[test]
    fn a_target_goes_up_only_at_its_beginning_and_not_out() {
        for (text, depth) in [("b", 0), ("../b", 1), ("./../../b/c", 2), ("..", 1)] {
            target(text.as_bytes(), depth).unwrap();
        }
        // With `a` a symlink to `.`, `a/..` is the directory above.
        for (text, depth) in [("a/..", 5), ("..", 0), ("../../b", 1), ("/b", 9), ("", 0), ("a/../b", 0)] {
            target(text.as_bytes(), depth).unwrap_err();
        }
    }
}

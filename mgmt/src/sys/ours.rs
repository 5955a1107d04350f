//! Checks that a directory, with the files in it, is ours alone: no other user can have planted it, write to it, or
//! swap it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, mkdirat, openat, openat2, statat};
use rustix::io::Errno;

use super::fs::ReadFs;
use super::users::{group_has_others, user_name};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const PASSED: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const ACCESS_LIST: &str = "system.posix_acl_access";
const READ: u16 = 4;
const WRITE: u16 = 2;
const STICKY: u32 = 0o1000;

/// Why a directory or a file is not ours alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotOurs {
    /// Another user owns it, so its content may be planted.
    #[error("{} belongs to {owner}, not to {us}: what it holds could be planted; use another place, or, if you trust all that is in it, \
             `chown` it", .path.display())]
    Owner {
        /// The path of the directory or file.
        path: PathBuf,
        /// The name of the owner.
        owner: String,
        /// The name of the user of this process.
        us: String,
    },
    /// Other users may write it.
    #[error("{} has mode {mode:04o}: {who} may write it; use another place, or, if you trust all that is in it, `chmod go-w` it", .path.display())]
    Writable {
        /// The path of the directory or file.
        path: PathBuf,
        /// The permission bits.
        mode: u32,
        /// The users who may write it.
        who: String,
    },
    /// An access list lets other users write it, or read it.
    #[error("{} has an access list, by which {who} may {what} it; use another place, or, if you trust all that is in it, \
             remove the list: `setfacl -b`", .path.display())]
    Listed {
        /// The path of the directory or file.
        path: PathBuf,
        /// A user or a group of the list.
        who: String,
        /// `write` or `read`.
        what: &'static str,
    },
    /// It can be replaced through a directory above it.
    #[error("{} can be swapped for another one through {}, which {who} may write; use another place", .path.display(), .above.display())]
    Swappable {
        /// The path of the directory or file.
        path: PathBuf,
        /// The directory above.
        above: PathBuf,
        /// The users who may write that directory.
        who: String,
    },
    /// It is of another type than expected, or has several names.
    #[error("{} is {found}: it could be planted; move it away", .path.display())]
    Strange {
        /// The path of the directory or file.
        path: PathBuf,
        /// What was found there.
        found: &'static str,
    },
    /// A directory on the path can't be entered, or the path leads through a symlink that another user may have made.
    #[error("cannot use {}: {source}", .path.display())]
    Io {
        /// The path of the directory or file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// The owners whose files are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The user of this process.
    Us,
    /// Root too: for reading.
    UsAndRoot,
}

/// Makes the directory `path` (mode 0700, and missing parents too) or, if it exists, examines it. Returns its path
/// without symlinks.
///
/// # Errors
/// Another user could have planted it, can write it, or can swap it.
pub fn make_dir(path: &Path) -> Result<PathBuf, NotOurs> {
    Ok(walk(path, true)?.unwrap_or_else(|| path.to_owned()))
}

/// Examines the directory at `path`, which may belong to root too. `None`: it does not exist.
///
/// # Errors
/// As [`make_dir`].
pub fn look_at_dir(path: &Path) -> Result<Option<PathBuf>, NotOurs> {
    walk(path, false)
}

/// Examines an open regular file.
///
/// # Errors
/// It is of another type, has several names, belongs to another user, or others may write it, or read it by an access
/// list.
pub fn examine_file(file: &File, path: &Path, trust: Trust) -> Result<(), NotOurs> {
    let stat = fstat(file).map_err(|errno| failed(path, errno))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(NotOurs::Strange { path: path.to_owned(), found: "no regular file" });
    }
    if stat.st_nlink > 1 {
        return Err(NotOurs::Strange { path: path.to_owned(), found: "a file with further names (hard links)" });
    }
    examine(file.as_fd(), &stat, path, trust)
}

/// Examines all directories below one of ours, down to `depth` levels, and refuses symlinks in the place of
/// directories.
///
/// # Errors
/// As [`make_dir`], for the first directory that is not ours. A directory that does not exist is no error.
pub fn examine_below(path: &Path, depth: usize, trust: Trust) -> Result<(), NotOurs> {
    let io = |source| NotOurs::Io { path: path.to_owned(), source };
    let dir = match openat(CWD, path, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        // A directory that can't be read can't plant anything.
        Err(Errno::ACCESS) if trust == Trust::UsAndRoot => return Ok(()),
        Err(Errno::LOOP | Errno::NOTDIR) => {
            return Err(NotOurs::Strange { path: path.to_owned(), found: "no directory" });
        }
        other => other.map_err(|errno| failed(path, errno))?,
    };
    let stat = fstat(&dir).map_err(|errno| failed(path, errno))?;
    examine(dir.as_fd(), &stat, path, trust)?;
    if depth == 0 {
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?;
        let kind = entry.file_type().map_err(io)?;
        if kind.is_symlink() {
            return Err(NotOurs::Strange { path: entry.path(), found: "a symlink" });
        }
        if kind.is_dir() {
            examine_below(&entry.path(), depth - 1, trust)?;
        }
    }
    Ok(())
}

/// The path of a file that a person has named, without symlinks: only links that no other user can have made are
/// followed. The file may be missing.
///
/// # Errors
/// A symlink on the way may be another user's.
fn real_path(path: &Path) -> Result<PathBuf, NotOurs> {
    let strange = |source| NotOurs::Io { path: path.to_owned(), source };
    let absolute = std::path::absolute(path).map_err(strange)?;
    ReadFs::new().real_path_of_the_existing(absolute).map_err(|error| strange(io::Error::other(error)))
}

/// Opens a file that a person has named, to append to it; it is made if it is missing. A pipe or a terminal is accepted
/// too, and is never waited for.
///
/// # Errors
/// A symlink on the way may be another user's. In a directory that others can write: the file is another user's, or has
/// several names.
pub fn open_to_append(path: &Path) -> Result<File, NotOurs> {
    let real = real_path(path)?;
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o644);
    let opened = match openat2(CWD, &real, flags, mode, ResolveFlags::NO_SYMLINKS) {
        // An older kernel.
        Err(Errno::NOSYS | Errno::PERM) => openat(CWD, &real, flags | OFlags::NOFOLLOW, mode),
        other => other,
    };
    if opened.as_ref().is_err_and(|errno| *errno == Errno::ACCESS)
        && let Ok(there) = statat(CWD, &real, AtFlags::SYMLINK_NOFOLLOW)
    {
        // With `fs.protected_regular` the kernel refuses the call, without naming the owner.
        must_be_trusted(&real, there.st_uid)?;
    }
    let file = File::from(opened.map_err(|errno| failed(&real, errno))?);
    let stat = fstat(&file).map_err(|errno| failed(&real, errno))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::BlockDevice => return Err(NotOurs::Strange { path: real, found: "a block device" }),
        FileType::RegularFile if stat.st_nlink > 1 => {
            return Err(NotOurs::Strange { path: real, found: "a file with further names (hard links)" });
        }
        _ => {}
    }
    must_be_trusted(&real, stat.st_uid)?;
    Ok(file)
}

/// Checks that a file in a directory that all users can write belongs to root or to us.
fn must_be_trusted(real: &Path, owner: u32) -> Result<(), NotOurs> {
    let us = super::users::us();
    let above = real.parent().map_or(Ok(0), |above| rustix::fs::stat(above).map(|stat| stat.st_mode));
    if above.map_err(|errno| failed(real, errno))? & 0o002 != 0 && ![0, us].contains(&owner) {
        return Err(NotOurs::Owner { path: real.to_owned(), owner: user_name(owner), us: user_name(us) });
    }
    Ok(())
}

fn failed(path: &Path, errno: Errno) -> NotOurs {
    NotOurs::Io { path: path.to_owned(), source: errno.into() }
}

/// Walks down from the root, each step relative to the one before, so that the walk goes through the directories that
/// were examined.
fn walk(path: &Path, makes: bool) -> Result<Option<PathBuf>, NotOurs> {
    let real = real_path(path)?;
    let names: Vec<&OsStr> = real.components().filter_map(name_of).collect();
    let mut dir = openat(CWD, "/", PASSED, Mode::empty()).map_err(|errno| failed(Path::new("/"), errno))?;
    let mut here = PathBuf::from("/");
    for (n, name) in names.iter().enumerate() {
        may_hold(&dir, &here, &real)?;
        here.push(name);
        let flags = if makes && n + 1 == names.len() { DIRECTORY } else { PASSED };
        dir = match openat(&dir, *name, flags, Mode::empty()) {
            Err(Errno::NOENT) if !makes => return Ok(None),
            Err(Errno::NOENT) => made(&dir, name, flags).map_err(|errno| failed(&here, errno))?,
            other => other.map_err(|errno| failed(&here, errno))?,
        };
    }
    let stat = fstat(&dir).map_err(|errno| failed(&here, errno))?;
    examine(dir.as_fd(), &stat, &here, if makes { Trust::Us } else { Trust::UsAndRoot })?;
    Ok(Some(real))
}

fn name_of(component: Component<'_>) -> Option<&OsStr> {
    match component {
        Component::Normal(name) => Some(name),
        _ => None,
    }
}

/// Makes and opens a directory. If another process is faster, the directory that it made is opened, and later examined.
fn made(dir: &OwnedFd, name: &OsStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    match mkdirat(dir, name, Mode::RWXU) {
        Err(Errno::EXIST) | Ok(()) => openat(dir, name, flags, Mode::empty()),
        Err(errno) => Err(errno),
    }
}

/// Checks that no other user can swap what is in the directory at `here`. Only root needs this: for another user, the
/// owner of that directory could do as much harm anyway.
fn may_hold(dir: &OwnedFd, here: &Path, real: &Path) -> Result<(), NotOurs> {
    if !super::users::is_root() {
        return Ok(());
    }
    let stat = fstat(dir).map_err(|errno| failed(here, errno))?;
    let swappable = |who| Err(NotOurs::Swappable { path: real.to_owned(), above: here.to_owned(), who });
    if stat.st_uid != 0 && !super::users::is_unmapped(stat.st_uid) {
        return swappable(user_name(stat.st_uid));
    }
    match writers(|| access_list(dir.as_fd()), &stat) {
        Some(who) if stat.st_mode & STICKY == 0 => swappable(who),
        _ => Ok(()),
    }
}

fn examine(fd: BorrowedFd<'_>, stat: &Stat, path: &Path, trust: Trust) -> Result<(), NotOurs> {
    let us = super::users::us();
    let is_trusted = stat.st_uid == us || (trust == Trust::UsAndRoot && stat.st_uid == 0);
    if !is_trusted {
        return Err(NotOurs::Owner { path: path.to_owned(), owner: user_name(stat.st_uid), us: user_name(us) });
    }
    let list = access_list(fd);
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    // What is written for us alone must not be readable by a list either.
    for (right, what) in [(WRITE, "write"), (READ, "read")] {
        let list = list.as_deref().filter(|_| is_file || right == WRITE);
        if let Some(who) = list.and_then(|list| listed(list, right, stat)) {
            return Err(NotOurs::Listed { path: path.to_owned(), who, what });
        }
    }
    match writers(|| list, stat) {
        Some(who) => Err(NotOurs::Writable { path: path.to_owned(), mode: stat.st_mode & 0o7777, who }),
        None => Ok(()),
    }
}

/// The users, other than the owner and root, who may write the file.
fn writers(list: impl FnOnce() -> Option<Vec<u8>>, stat: &Stat) -> Option<String> {
    if stat.st_mode & 0o002 != 0 {
        return Some("everybody".to_owned());
    }
    if stat.st_mode & 0o020 == 0 {
        return None;
    }
    // With an access list, the group bits of the mode are the most that any entry of the list grants.
    match list() {
        Some(list) => listed(&list, WRITE, stat),
        None => group_name_if_others(stat.st_gid),
    }
}

/// The group, if it has members other than us.
fn group_name_if_others(gid: u32) -> Option<String> {
    group_has_others(gid).then(|| format!("the group {}", super::users::group_name(gid)))
}

/// The access list of a file or directory, which may be open only as a reference (`O_PATH`).
fn access_list(fd: BorrowedFd<'_>) -> Option<Vec<u8>> {
    const BYTES_MAX: usize = 64 * 1024;
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let size = rustix::fs::getxattr_query(&path, ACCESS_LIST).ok().filter(|size| (1..=BYTES_MAX).contains(size))?;
    let mut list = vec![0; size];
    let size = rustix::fs::getxattr(&path, ACCESS_LIST, &mut list[..]).ok()?;
    list.truncate(size);
    Some(list)
}

/// The first user or group, other than the owner, root and us, to whom the list grants this right. A list that can't be
/// understood grants it.
fn listed(list: &[u8], right: u16, stat: &Stat) -> Option<String> {
    const USER: u16 = 2;
    const OWNERS_GROUP: u16 = 4;
    const GROUP: u16 = 8;
    const MASK: u16 = 16;
    // A version of four bytes; then tag, rights and number of each entry.
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u32, |all, byte| all << 8 | u32::from(*byte));
    let entry = |bytes: &[u8]| (number(&bytes[..2]) as u16, number(&bytes[2..4]) as u16, number(&bytes[4..8]));
    let Some((&[2, 0, 0, 0], entries)) = list.split_first_chunk::<4>() else {
        return Some("others".to_owned());
    };
    let entries: Vec<_> = entries.chunks_exact(8).map(entry).collect();
    let mask = entries.iter().find(|(tag, ..)| *tag == MASK).map_or(u16::MAX, |(_, rights, _)| *rights);
    let granting = entries.iter().filter(|(_, rights, _)| rights & mask & right != 0);
    granting
        .filter_map(|(tag, _, id)| match *tag {
            USER if ![0, stat.st_uid, super::users::us()].contains(id) => Some(format!("the user {}", user_name(*id))),
            GROUP => group_name_if_others(*id),
            OWNERS_GROUP if right == WRITE => group_name_if_others(stat.st_gid),
            _ => None,
        })
        .next()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

    use super::*;

    const STRANGER: u32 = 54321;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn said<T: std::fmt::Debug>(outcome: Result<T, NotOurs>) -> String {
        outcome.unwrap_err().to_string()
    }

    #[test]
    fn what_is_made_is_for_us_alone_and_so_is_what_is_missing_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert_eq!(look_at_dir(&path).unwrap(), None);
        assert_eq!(make_dir(&path).unwrap(), path);
        for path in [&path, &dir.path().join("a")] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, 0o700);
        }
        assert_eq!(make_dir(&path).unwrap(), path);
        assert_eq!(look_at_dir(&path).unwrap(), Some(path));
    }

    #[test]
    fn what_others_can_write_or_swap_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (above, path) = (dir.path().join("above"), dir.path().join("above/dir"));
        fs::create_dir_all(&path).unwrap();
        chmod(&path, 0o757);
        assert!(said(make_dir(&path)).contains("has mode 0757: everybody may write it"));
        chmod(&path, 0o755);
        chmod(&above, 0o777);
        if crate::sys::users::is_root() {
            assert!(said(make_dir(&path)).contains("can be swapped for another one through"));
            assert!(said(look_at_dir(&path)).contains("can be swapped for another one through"));
        }
        // Like the directory for temporary files.
        chmod(&above, 0o1777);
        make_dir(&path).unwrap();
        // A group without any other member.
        chmod(&path, 0o770);
        make_dir(&path).unwrap();
    }

    /// Adds an entry for this user to the rights of the mode 0700, or 0600.
    fn list(path: &Path, user: u32, rights: u16, own: u16) {
        let mut list = 2u32.to_le_bytes().to_vec();
        let none = u32::MAX;
        for (tag, rights, id) in [(1, own, none), (2, rights, user), (4, 0, none), (16, rights, none), (32, 0, none)] {
            list.extend([u16::to_le_bytes(tag), u16::to_le_bytes(rights)].concat());
            list.extend(id.to_le_bytes());
        }
        rustix::fs::setxattr(path, ACCESS_LIST, &list, rustix::fs::XattrFlags::empty()).unwrap();
    }

    #[test]
    fn an_access_list_that_lets_others_in_is_refused_and_the_remedy_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (path, file) = (dir.path().join("dir"), dir.path().join("dir/file"));
        fs::create_dir(&path).unwrap();
        fs::write(&file, "x").unwrap();
        chmod(&file, 0o600);
        let examined = |trust| examine_file(&fs::File::open(&file).unwrap(), &file, trust);
        for (user, rights, refused) in [(STRANGER, 7, true), (STRANGER, 5, false), (crate::sys::users::us(), 7, false)]
        {
            list(&path, user, rights, 7);
            for outcome in [make_dir(&path).err(), look_at_dir(&path).err()] {
                let outcome = outcome.map(|error| error.to_string());
                let is_named =
                    |text: &String| text.contains("the user 54321 may write it") && text.ends_with("`setfacl -b`");
                assert_eq!(outcome.as_ref().is_some_and(is_named), refused, "{user} {rights} {outcome:?}");
                assert_eq!(outcome.is_some(), refused);
            }
        }
        list(&path, STRANGER, 7, 7);
        assert!(examine_below(dir.path(), 1, Trust::Us).is_err());
        list(&file, STRANGER, 4, 6);
        assert!(said(examined(Trust::Us)).contains("the user 54321 may read it"));
        list(&file, STRANGER, 6, 6);
        assert!(said(examined(Trust::UsAndRoot)).contains("the user 54321 may write it"));
        // A directory above, by which ours could be swapped.
        list(&path, STRANGER, 7, 7);
        let below = path.join("below");
        if crate::sys::users::is_root() {
            assert!(said(make_dir(&below)).contains("swapped"));
        }
    }

    #[test]
    #[ignore = "needs root"]
    fn what_another_user_owns_or_links_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        chmod(dir.path(), 0o1777);
        let (path, link) = (dir.path().join("planted"), dir.path().join("link"));
        fs::create_dir(&path).unwrap();
        chown(&path, Some(STRANGER), Some(STRANGER)).unwrap();
        assert!(said(make_dir(&path)).contains("belongs to 54321, not to root"));
        assert!(said(look_at_dir(&path)).contains("belongs to 54321, not to root"));
        let below = said(make_dir(&path.join("below")));
        assert!(
            below.contains("can be swapped for another one through") && below.ends_with("use another place"),
            "{below}"
        );
        symlink(dir.path().join("ours"), &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(STRANGER), None).unwrap();
        assert!(said(make_dir(&link)).contains("symlink"));
        assert!(said(open_to_append(&link)).contains("symlink"));
        assert!(!dir.path().join("ours").exists());
        let daemon = crate::sys::users::gid_of("nogroup").unwrap();
        let shared = dir.path().join("shared");
        fs::create_dir(&shared).unwrap();
        chown(&shared, None, Some(daemon)).unwrap();
        chmod(&shared, 0o770);
        assert!(said(make_dir(&shared)).contains("the group nogroup may write it"));
    }

    #[test]
    #[ignore = "needs root"]
    fn a_file_that_another_user_has_put_where_all_can_write_is_not_appended_to() {
        let dir = tempfile::tempdir().unwrap();
        chmod(dir.path(), 0o1777);
        let (theirs, victim, name) = (dir.path().join("theirs"), dir.path().join("victim"), dir.path().join("name"));
        fs::write(&theirs, "").unwrap();
        chown(&theirs, Some(STRANGER), None).unwrap();
        assert!(said(open_to_append(&theirs)).contains("belongs to 54321"));
        fs::write(&victim, "").unwrap();
        fs::hard_link(&victim, &name).unwrap();
        assert!(said(open_to_append(&name)).contains("hard links"));
        open_to_append(&dir.path().join("new")).unwrap();
        chmod(dir.path(), 0o755);
        open_to_append(&theirs).unwrap();
    }

    #[test]
    fn links_of_ours_lead_where_they_lead() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        assert_eq!(make_dir(&link).unwrap(), real);
        open_to_append(&link.join("file")).unwrap();
        assert!(real.join("file").exists());
        assert!(said(examine_below(dir.path(), 1, Trust::Us)).contains("is a symlink"));
        fs::remove_file(&link).unwrap();
        examine_below(dir.path(), 1, Trust::Us).unwrap();
        chmod(&real, 0o757);
        assert!(said(examine_below(dir.path(), 1, Trust::Us)).contains("everybody may write it"));
    }
}

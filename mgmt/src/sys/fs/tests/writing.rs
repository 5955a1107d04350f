//! Files, directories and links: what the doors do when nothing fails, and what they refuse.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use super::support::*;

#[test]
fn a_new_file_has_its_content_and_the_default_mode_whatever_the_umask() {
    let dir = temp_dir();
    let path = dir.path().join("motd");
    let fs = WriteFs::new();
    let written = fs.write_file(&path, "hello\n", &WriteOptions::new()).unwrap();
    assert_eq!(text(&path), "hello\n");
    assert_eq!(mode_of(&path), 0o644);
    assert_eq!(written.digest, Digest::of(b"hello\n"));
    assert_eq!(written.replaced, None);
    assert_eq!(Some(&written.stat), fs.stat(&path).unwrap().as_ref());
    assert_eq!(names(dir.path()), ["motd"]);
}

#[test]
fn a_rewritten_file_keeps_what_is_not_asked_for() {
    let dir = temp_dir();
    let path = dir.path().join("f");
    std::fs::write(&path, "old").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o2751)).unwrap();
    let fs = WriteFs::new();
    let has_xattrs = rustix::fs::setxattr(&path, "user.note", b"kept", rustix::fs::XattrFlags::empty()).is_ok();
    let written = fs.write_file(&path, "new", &WriteOptions::new()).unwrap();
    assert_eq!((text(&path).as_str(), mode_of(&path)), ("new", 0o2751));
    assert_ne!(written.replaced.unwrap().identity(), written.stat.identity());
    if has_xattrs {
        let mut value = [0; 16];
        let n = rustix::fs::getxattr(&path, "user.note", &mut value).unwrap();
        assert_eq!(&value[..n], b"kept");
    }
    fs.write_file(&path, "newer", &WriteOptions::new().mode(0o600)).unwrap();
    assert_eq!((text(&path).as_str(), mode_of(&path)), ("newer", 0o600));
    fs.write_file(&path, "newest", &WriteOptions::new().keep(false)).unwrap();
    assert_eq!((text(&path).as_str(), mode_of(&path)), ("newest", 0o644));
}

/// An access list: owner rw, user 12 rw, group none, mask rw, others none.
fn with_mask() -> Vec<u8> {
    // Version 2; then tag, permissions and id of each.
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in
        [(1u16, 6u16, u32::MAX), (2, 6, 12), (4, 0, u32::MAX), (16, 6, u32::MAX), (32, 0, u32::MAX)]
    {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

#[test]
fn an_access_list_is_kept_and_limited_by_a_mode_that_is_given() {
    let dir = temp_dir();
    let path = dir.path().join("f");
    std::fs::write(&path, "old").unwrap();
    const NAME: &str = "system.posix_acl_access";
    let mut list = with_mask();
    if rustix::fs::setxattr(&path, NAME, &list, rustix::fs::XattrFlags::empty()).is_err() {
        return eprintln!("the file system of {} has no access lists: nothing to keep", path.display());
    }
    let found = || {
        let mut value = vec![0; 1024];
        let n = rustix::fs::getxattr(&path, NAME, &mut value).unwrap_or(0);
        value[..n].to_vec()
    };
    let fs = WriteFs::new();
    fs.write_file(&path, "new", &WriteOptions::new()).unwrap();
    assert_eq!((found(), mode_of(&path)), (list.clone(), 0o660));
    fs.write_file(&path, "as it has", &WriteOptions::new().mode(0o660)).unwrap();
    assert_eq!((found(), mode_of(&path)), (list.clone(), 0o660));
    fs.write_file(&path, "newer", &WriteOptions::new().mode(0o640)).unwrap();
    // The group bits are now the mask, the fourth entry of the list.
    list[4 + 3 * 8 + 2] = 4;
    assert_eq!((found(), mode_of(&path)), (list, 0o640));
    fs.write_file(&path, "without", &WriteOptions::new().mode(0o640).keep(false)).unwrap();
    assert_eq!((found(), mode_of(&path)), (vec![], 0o640));
    // The access list that the directory gives to new files is not one that the old file had.
    if rustix::fs::setxattr(dir.path(), "system.posix_acl_default", &with_mask(), rustix::fs::XattrFlags::empty())
        .is_ok()
    {
        fs.write_file(&path, "newest", &WriteOptions::new()).unwrap();
        assert_eq!((found(), mode_of(&path)), (vec![], 0o640));
    }
}

#[test]
fn a_big_content_comes_in_pieces_and_its_digest_is_right() {
    let dir = temp_dir();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let big: Vec<u8> = (0..1_000_003u32).map(|i| (i * 7 % 251) as u8).collect();
    std::fs::write(&from, &big).unwrap();
    std::fs::set_permissions(&from, std::fs::Permissions::from_mode(0o4750)).unwrap();
    let fs = WriteFs::new();
    let written = fs.copy_file(&from, &to, &WriteOptions::new()).unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), big);
    assert_eq!(written.digest, Digest::of(&big));
    assert_eq!(fs.hash_file(&to).unwrap(), Digest::of(&big));
    assert_eq!(mode_of(&to), 0o750, "the source's mode, without set-user-id");
    fs.write_file(&to, &[0u8; 3], &WriteOptions::new().mode(0o640)).unwrap();
    fs.copy_file(&from, &to, &WriteOptions::new()).unwrap();
    assert_eq!(mode_of(&to), 0o640, "an existing file keeps its mode");
}

#[test]
fn a_copy_is_made_by_the_kernel_where_that_can_be_and_is_the_same_where_not() {
    let dir = temp_dir();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let content: Vec<u8> = (0..400_001u32).map(|i| (i * 11 % 253) as u8).collect();
    std::fs::write(&from, &content).unwrap();
    let faults = Faults::new();
    let fs = WriteFs::with_faults(Arc::clone(&faults));
    let copy = |unable: &[(Call, Errno)]| {
        faults.reset();
        unable.iter().for_each(|(call, errno)| faults.fail(At::Every(*call), errno.raw_os_error()));
        let written = fs.copy_file(&from, &to, &WriteOptions::new()).unwrap();
        assert_eq!((std::fs::read(&to).unwrap() == content, written.digest), (true, Digest::of(&content)));
        assert_eq!((written.stat.size, written.stat.kind), (content.len() as u64, FileKind::File));
        [Call::Clone, Call::Copy, Call::Write].map(|call| faults.count(call))
    };
    let [clones, copies, writes] = copy(&[]);
    assert_eq!((clones, writes), (1, 0), "{copies} copies");
    for errno in [Errno::OPNOTSUPP, Errno::NOTTY, Errno::XDEV, Errno::INVAL, Errno::NOSYS, Errno::PERM] {
        assert!(copy(&[(Call::Clone, errno)])[1] > 0);
        let [_, copies, writes] = copy(&[(Call::Clone, errno), (Call::Copy, errno)]);
        assert!(copies == 1 && writes > 1, "read and written: {copies} {writes}");
    }
    // An empty file, and one whose reported size is 0.
    std::fs::write(&from, "").unwrap();
    assert_eq!(fs.copy_file(&from, &to, &WriteOptions::new()).unwrap().digest, Digest::of(b""));
    let made_up = Path::new("/proc/self/cmdline");
    fs.copy_file(made_up, &to, &WriteOptions::new()).unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), std::fs::read(made_up).unwrap());
}

#[test]
fn a_copy_can_be_stopped() {
    let dir = temp_dir();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    std::fs::write(&from, "new").unwrap();
    let fs = WriteFs::new();
    let mut file = fs.open(&from).unwrap();
    let source = CopySource { file: &mut file, is_stopped: &|| true };
    let error = fs.write_file(&to, Content::File(source), &WriteOptions::new()).unwrap_err();
    assert!(error.to_string().ends_with("cancelled"), "{error}");
    assert_eq!(names(dir.path()), ["from"]);
}

#[test]
fn a_symlink_is_refused_or_itself_replaced_and_never_written_through() {
    let dir = temp_dir();
    let (canary, link) = (dir.path().join("canary"), dir.path().join("link"));
    std::fs::write(&canary, "tweet").unwrap();
    symlink(&canary, &link).unwrap();
    let fs = WriteFs::new();
    let error = fs.write_file(&link, "x", &WriteOptions::new()).unwrap_err();
    assert_eq!(error.to_string(), format!("symlink at {}, where a regular file was expected", link.display()));
    let error = fs.set_attributes(&link, &Attributes::new().mode(0o666)).unwrap_err();
    assert!(matches!(error, FsError::Symlink { .. }), "{error}");
    assert!(matches!(fs.read_file(&link, 99), Err(FsError::Symlink { .. })));
    assert!(matches!(fs.hash_file(&link), Err(FsError::Symlink { .. })));
    fs.write_file(&link, "x", &WriteOptions::new().replace(Replace::NotDirectory)).unwrap();
    assert_eq!((text(&link).as_str(), mode_of(&link)), ("x", 0o644));
    assert_eq!((text(&canary).as_str(), mode_of(&canary)), ("tweet", 0o644));
}

#[test]
fn a_directory_gives_way_only_as_a_tree_with_a_cap() {
    let dir = temp_dir();
    let path = dir.path().join("d");
    std::fs::create_dir_all(path.join("a/b")).unwrap();
    std::fs::write(path.join("a/f"), "").unwrap();
    let fs = WriteFs::new();
    for replace in [Replace::SameKind, Replace::NotDirectory] {
        let error = fs.write_file(&path, "x", &WriteOptions::new().replace(replace)).unwrap_err();
        assert_eq!(error.to_string(), format!("{} is a directory, not a regular file", path.display()));
    }
    let error = fs.write_file(&path, "x", &WriteOptions::new().replace(Replace::Nothing)).unwrap_err();
    assert!(matches!(error, FsError::Exists { .. }));
    let error = fs.write_file(&path, "x", &WriteOptions::new().replace(Replace::Tree { cap: 3 })).unwrap_err();
    assert!(matches!(error, FsError::TooMany { cap: 3, .. }), "{error}");
    assert_eq!(names(dir.path()), ["d"]);
    assert!(path.join("a/f").exists());
    fs.write_file(&path, "x", &WriteOptions::new().replace(Replace::Tree { cap: 4 })).unwrap();
    assert_eq!((text(&path).as_str(), names(dir.path())), ("x", vec!["d".to_owned()]));
}

#[test]
fn a_write_that_must_not_replace_loses_against_a_file_that_comes_meanwhile() {
    let dir = temp_dir();
    let path = dir.path().join("f");
    let faults = Faults::new();
    let theirs = path.clone();
    faults.hook(At::Nth(Call::Rename, 1), move || std::fs::write(&theirs, "theirs").unwrap());
    let options = WriteOptions::new().replace(Replace::Nothing);
    let error = WriteFs::with_faults(faults).write_file(&path, "ours", &options).unwrap_err();
    assert_eq!(error.errno(), Some(17), "{error}");
    assert_eq!((text(&path).as_str(), names(dir.path())), ("theirs", vec!["f".to_owned()]));
}

#[test]
fn directories_are_made_with_their_mode_and_left_alone_if_they_exist() {
    let dir = temp_dir();
    let fs = WriteFs::new();
    let path = dir.path().join("a");
    assert!(fs.make_dir(&path, &Attributes::new().mode(0o1777)).unwrap());
    assert_eq!(mode_of(&path), 0o1777);
    assert!(!fs.make_dir(&path, &Attributes::new().mode(0o700)).unwrap());
    assert_eq!(mode_of(&path), 0o1777);
    assert_eq!(fs.make_dirs(path.join("b/c//d/"), &Attributes::new()).unwrap(), 3);
    assert_eq!(mode_of(path.join("b/c/d")), 0o755);
    assert_eq!(fs.make_dirs(path.join("b/c/d"), &Attributes::new()).unwrap(), 0);
    assert!(!fs.make_dir("/", &Attributes::new()).unwrap());
    std::fs::write(dir.path().join("f"), "").unwrap();
    let error = fs.make_dir(dir.path().join("f"), &Attributes::new()).unwrap_err();
    assert!(matches!(error, FsError::WrongType { found: FileKind::File, .. }), "{error}");
    symlink(&path, dir.path().join("l")).unwrap();
    let error = fs.make_dir(dir.path().join("l"), &Attributes::new()).unwrap_err();
    assert!(matches!(error, FsError::Symlink { .. }), "{error}");
}

#[test]
fn what_is_not_there_is_no_error_to_look_for_or_to_remove_and_named_otherwise() {
    let dir = temp_dir();
    let fs = WriteFs::new();
    let gone = dir.path().join("no/where");
    assert_eq!(fs.stat(&gone).unwrap(), None);
    assert!(!fs.remove_file(&gone).unwrap());
    assert!(!fs.remove_dir(&gone).unwrap());
    assert_eq!(fs.remove_tree(&gone, 9).unwrap(), 0);
    let parent = dir.path().join("no");
    for error in [
        fs.read_file(&gone, 9).unwrap_err(),
        fs.write_file(&gone, "x", &WriteOptions::new()).unwrap_err(),
        fs.make_dir(&gone, &Attributes::new()).unwrap_err(),
        fs.read_dir(&gone).unwrap_err(),
    ] {
        assert!(error.is_missing() && error.path() == parent, "{error}");
    }
    let error = fs.set_attributes(&parent, &Attributes::new().mode(0)).unwrap_err();
    assert_eq!(error.to_string(), format!("{} does not exist", parent.display()));
    std::fs::write(&parent, "").unwrap();
    let error = fs.stat(&gone).unwrap_err();
    assert_eq!(error.to_string(), format!("{} is a regular file, not a directory", parent.display()));
}

#[test]
fn symlinks_are_made_replaced_and_left_alone_if_they_lead_there() {
    let dir = temp_dir();
    let fs = WriteFs::new();
    let path = dir.path().join("l");
    assert!(fs.make_symlink(&path, "../dangling", Replace::default()).unwrap());
    assert!(!fs.make_symlink(&path, "../dangling", Replace::default()).unwrap());
    assert!(fs.make_symlink(&path, "/etc/hostname", Replace::default()).unwrap());
    let stat = fs.stat(&path).unwrap().unwrap();
    assert_eq!((stat.kind, stat.link_target.as_deref()), (FileKind::Symlink, Some(Path::new("/etc/hostname"))));
    assert_eq!(names(dir.path()), ["l"]);
    assert!(matches!(fs.make_symlink(&path, "x", Replace::Nothing), Err(FsError::Exists { .. })));
    let file = dir.path().join("f");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(fs.make_symlink(&file, "x", Replace::SameKind), Err(FsError::WrongType { .. })));
    assert!(fs.make_symlink(&file, "x", Replace::NotDirectory).unwrap());
    assert!(matches!(fs.make_symlink(&file, "", Replace::SameKind), Err(FsError::BadPath { .. })));
    assert!(fs.remove_file(&path).unwrap());
    assert!(Path::new("/etc/hostname").exists());
    assert_eq!(names(dir.path()), ["f"]);
}

#[test]
fn attributes_change_through_the_open_file_and_only_when_they_differ() {
    let dir = temp_dir();
    let path = dir.path().join("f");
    std::fs::write(&path, "").unwrap();
    let faults = Faults::new();
    let fs = WriteFs::with_faults(faults.clone());
    assert!(fs.set_attributes(&path, &Attributes::new().mode(0o4711)).unwrap());
    assert_eq!(mode_of(&path), 0o4711);
    faults.reset();
    let me = std::fs::metadata(&path).unwrap();
    let all = Attributes::new().mode(0o4711).uid(me.uid()).gid(me.gid());
    assert!(!fs.set_attributes(&path, &all).unwrap());
    assert_eq!(faults.changes(), [], "nothing to do, nothing done");
    if is_root() {
        // Less first, then the owner, then the set-id bit that the kernel drops with the owner.
        assert!(fs.set_attributes(&path, &Attributes::new().mode(0o4640).uid(12).gid(34)).unwrap());
        let stat = std::fs::metadata(&path).unwrap();
        assert_eq!((stat.mode() & 0o7777, stat.uid(), stat.gid()), (0o4640, 12, 34));
        let calls: Vec<_> = faults.changes().into_iter().map(|(call, _)| call).collect();
        assert_eq!(calls, [Call::Chmod, Call::Chown, Call::Chmod]);
        assert!(fs.set_attributes(&path, &Attributes::new().uid(56)).unwrap());
        let uid = std::fs::metadata(&path).unwrap().uid();
        assert_eq!((mode_of(&path), uid), (0o640, 56), "without a mode, no set-id bit is taken over");
    }
}

#[test]
fn a_file_is_read_up_to_its_cap_and_other_things_not_at_all() {
    let dir = temp_dir();
    let fs = ReadFs::new();
    let path = dir.path().join("f");
    std::fs::write(&path, "12345").unwrap();
    assert_eq!(fs.read_file(&path, 5).unwrap(), b"12345");
    assert!(matches!(fs.read_file(&path, 4), Err(FsError::TooLarge { cap: 4, .. })));
    assert!(!fs.read_file("/proc/self/status", 1 << 20).unwrap().is_empty(), "its size says 0");
    assert!(matches!(fs.read_file("/proc/self/status", 10), Err(FsError::TooLarge { .. })));
    assert!(matches!(fs.read_file(dir.path(), 9), Err(FsError::WrongType { .. })));
    assert!(matches!(fs.hash_file("/dev/zero"), Err(FsError::WrongType { found: FileKind::CharDevice, .. })));
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    assert!(matches!(fs.read_file(&pipe, 9), Err(FsError::WrongType { found: FileKind::Fifo, .. })), "and no waiting");
    assert_eq!(fs.read_file(&path, u64::MAX).unwrap(), b"12345");
}

#[test]
fn a_directory_is_listed_in_order_with_types() {
    let dir = temp_dir();
    std::fs::create_dir(dir.path().join("b")).unwrap();
    std::fs::write(dir.path().join("c\nd"), "").unwrap();
    symlink("nowhere", dir.path().join("a")).unwrap();
    let found = ReadFs::new().read_dir(dir.path()).unwrap();
    let found: Vec<_> = found.iter().map(|entry| (entry.name.to_str().unwrap(), entry.kind)).collect();
    assert_eq!(found, [("a", FileKind::Symlink), ("b", FileKind::Directory), ("c\nd", FileKind::File)]);
    assert!(!ReadFs::new().read_dir("/").unwrap().is_empty());
}

#[test]
fn the_root_directory_and_bad_paths_are_refused_by_everything_that_writes() {
    let fs = WriteFs::new();
    for path in ["/", "//", "/./"] {
        assert!(matches!(fs.write_file(path, "x", &WriteOptions::new()), Err(FsError::RootDirectory { .. })));
        assert!(matches!(fs.remove_tree(path, usize::MAX), Err(FsError::RootDirectory { .. })));
        assert!(matches!(fs.remove_file(path), Err(FsError::RootDirectory { .. })));
        assert!(matches!(fs.make_symlink(path, "x", Replace::Tree { cap: 9 }), Err(FsError::RootDirectory { .. })));
    }
    for path in ["", "etc", "/tmp/../etc", "/a\0b"] {
        assert!(matches!(fs.write_file(path, "x", &WriteOptions::new()), Err(FsError::BadPath { .. })), "{path:?}");
        assert!(matches!(fs.remove_tree(path, 9), Err(FsError::BadPath { .. })), "{path:?}");
        assert!(matches!(fs.stat(path), Err(FsError::BadPath { .. })), "{path:?}");
    }
    assert_eq!(fs.stat("").unwrap_err().to_string(), "``: the path is empty");
    assert!(fs.stat("/").unwrap().unwrap().is_dir());
}

#[test]
fn a_batch_of_500_files_costs_one_fsync_of_their_directory() {
    let dir = fast_temp_dir();
    let faults = Faults::new();
    let fs = WriteFs::with_faults(faults.clone());
    let batch = fs.batch();
    for i in 0..500 {
        batch.fs().write_file(dir.path().join(i.to_string()), "x", &WriteOptions::new()).unwrap();
    }
    assert_eq!(faults.count(Call::SyncDir), 0);
    assert_eq!(batch.commit().unwrap(), 1);
    assert_eq!((faults.count(Call::SyncDir), faults.count(Call::Sync)), (1, 500));
    assert_eq!(names(dir.path()).len(), 500);
    fs.write_file(dir.path().join("y"), "x", &WriteOptions::new().durable(false)).unwrap();
    assert_eq!((faults.count(Call::SyncDir), faults.count(Call::Sync)), (1, 500));
    drop({
        let batch = fs.batch();
        batch.fs().make_dir(dir.path().join("z"), &Attributes::new()).unwrap();
        batch
    });
    assert_eq!(faults.count(Call::SyncDir), 2, "dropping commits");
}

#[test]
fn a_batch_over_many_directories_stays_within_its_open_files() {
    let dir = fast_temp_dir();
    let faults = Faults::new();
    let fs = WriteFs::with_faults(faults.clone());
    let batch = fs.batch();
    for i in 0..100 {
        let sub = dir.path().join(format!("d{i:03}"));
        std::fs::create_dir(&sub).unwrap();
        batch.fs().write_file(sub.join("f"), "x", &WriteOptions::new()).unwrap();
    }
    assert_eq!(faults.count(Call::SyncDir), 64);
    assert_eq!(batch.commit().unwrap(), 36);
    assert_eq!(faults.count(Call::SyncDir), 100);
}

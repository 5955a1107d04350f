//! Objects that another user made and that root takes over: none of that user's rights remain.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use super::support::*;

/// A user and a group that are neither root's nor ours.
const OTHER: u32 = 12345;
const ACL: &str = "system.posix_acl_access";
const DEFAULT_ACL: &str = "system.posix_acl_default";

/// An access list: the owner and user 54321 may read and write, group and others nothing.
fn access_list() -> Vec<u8> {
    // Version 2; then tag, permissions and id of each entry.
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in
        [(1u16, 6u16, u32::MAX), (2, 6, 54321), (4, 0, u32::MAX), (16, 6, u32::MAX), (32, 0, u32::MAX)]
    {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

fn set_list(path: &std::path::Path, name: &str) {
    let set = rustix::fs::setxattr(path, name, &access_list(), rustix::fs::XattrFlags::empty());
    set.expect("the file system of the temporary directory has access lists");
}

fn has_list(path: &std::path::Path, name: &str) -> bool {
    rustix::fs::getxattr(path, name, &mut [0; 1024]).is_ok()
}

/// Makes an object with this owner, group and mode.
fn planted(path: &std::path::Path, owner: u32, group: u32, mode: u32) {
    if !path.exists() {
        std::fs::write(path, "planted").unwrap();
    }
    chown(path, Some(owner), Some(group)).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_new_owner_takes_over_no_set_id_bits_and_no_rights_of_others_to_write() {
    if !is_root() {
        return eprintln!("only root can give files to others");
    }
    let dir = temp_dir();
    let (file, sub, fs) = (dir.path().join("f"), dir.path().join("d"), WriteFs::new());
    std::fs::create_dir(&sub).unwrap();
    let root = Attributes::new().uid(0);
    for path in [&file, &sub] {
        // (owner and group before), mode before, what is desired, mode afterwards
        let cases = [
            ((OTHER, OTHER), 0o6777, root, 0o755),
            ((OTHER, OTHER), 0o1666, root.gid(0), 0o644),
            ((OTHER, OTHER), 0o600, root, 0o600),
            ((OTHER, OTHER), 0o6777, root.mode(0o4711), 0o4711),
            ((OTHER, 0), 0o6777, Attributes::new().gid(OTHER), 0o777),
            ((0, 0), 0o6775, Attributes::new().gid(OTHER), 0o775),
            ((0, 0), 0o6775, Attributes::new().uid(OTHER), 0o775),
            ((0, 0), 0o6775, root.gid(0), 0o6775),
        ];
        for ((owner, group), before, desired, after) in cases {
            planted(path, owner, group, before);
            fs.set_attributes(path, &desired).unwrap();
            assert_eq!(format!("{:o}", mode_of(path)), format!("{after:o}"), "{owner} {before:o} {desired:?}");
        }
    }
}

#[test]
fn the_same_holds_when_the_content_is_replaced() {
    if !is_root() {
        return eprintln!("only root can give files to others");
    }
    let dir = temp_dir();
    let (file, fs) = (dir.path().join("f"), WriteFs::new());
    let write = |options: &WriteOptions, listed: bool| {
        planted(&file, OTHER, OTHER, 0o6777);
        if listed {
            set_list(&file, ACL);
        }
        fs.write_file(&file, "new", options).unwrap();
        let stat = std::fs::metadata(&file).unwrap();
        (stat.uid(), stat.gid(), mode_of(&file), has_list(&file, ACL))
    };
    assert_eq!(write(&WriteOptions::new().uid(0), false), (0, OTHER, 0o755, false));
    assert_eq!(write(&WriteOptions::new().uid(0), true), (0, OTHER, 0o600, false));
    assert_eq!(write(&WriteOptions::new().uid(0).mode(0o4755), true), (0, OTHER, 0o4755, false));
    let (uid, _, _, list) = write(&WriteOptions::new(), true);
    assert_eq!((uid, list), (OTHER, true), "where the owner stays, it is as that owner wanted it");
}

#[test]
fn the_access_lists_of_another_user_go_and_nobody_gets_what_they_kept_closed() {
    if !is_root() {
        return eprintln!("only root can give files to others");
    }
    let dir = temp_dir();
    let (file, sub, fs) = (dir.path().join("f"), dir.path().join("d"), WriteFs::new());
    std::fs::create_dir(&sub).unwrap();
    for path in [&file, &sub] {
        planted(path, OTHER, OTHER, 0o600);
        set_list(path, ACL);
        // The mask of the list shows in the mode: the group itself has no permission.
        assert_eq!(mode_of(path) & 0o070, 0o060);
    }
    set_list(&sub, DEFAULT_ACL);
    for path in [&file, &sub] {
        fs.set_attributes(path, &Attributes::new().uid(0)).unwrap();
        assert!(!has_list(path, ACL) && !has_list(path, DEFAULT_ACL));
        assert_eq!(mode_of(path), 0o600);
    }
}

#[test]
fn a_mode_that_is_given_says_all_whatever_the_directory_gives_to_new_files() {
    let dir = temp_dir();
    set_list(dir.path(), DEFAULT_ACL);
    let fs = WriteFs::new();
    let (file, sub, plain) = (dir.path().join("f"), dir.path().join("d"), dir.path().join("plain"));
    fs.write_file(&file, "x", &WriteOptions::new().mode(0o640)).unwrap();
    fs.make_dir(&sub, &Attributes::new().mode(0o750)).unwrap();
    for (path, mode) in [(&file, 0o640), (&sub, 0o750)] {
        assert!(!has_list(path, ACL), "{path:?}");
        assert_eq!(mode_of(path), mode);
    }
    assert!(fs.has_access_list(dir.path()).is_ok_and(|has| !has));
    fs.write_file(&plain, "x", &WriteOptions::new()).unwrap();
    assert!(fs.has_access_list(&plain).unwrap(), "without one, the directory has its say");
    assert!(!fs.has_access_list(dir.path().join("missing")).unwrap());
}

#[test]
fn without_its_access_list_a_group_may_no_more_than_others_and_no_more_than_before() {
    for (mode, without) in [(0o664, 0o644), (0o670, 0o600), (0o604, 0o604), (0o2755, 0o755)] {
        assert_eq!(without_group(mode), without, "{mode:o}");
    }
}

//! The simulated host by itself: its files behind the door that all kinds use, and its watches.

use std::path::Path;
use std::task::{Poll, Waker};

use super::*;
use crate::sys::fs::hub::{Extent, Watched};
use crate::sys::fs::{Attributes, Content, FileKind, FsError, Links, Replace, WriteFs, WriteOptions};
use crate::sys::{facts, rng, users};

fn door(host: &Host) -> WriteFs {
    host.on(WriteFs::new)
}

#[test]
fn files_behave_as_on_a_real_host() {
    let host = Host::new();
    let fs = door(&host);
    let written = fs.write_file("/etc/a", "one\n", &WriteOptions::new()).unwrap();
    assert_eq!((written.stat.mode, written.stat.uid, written.stat.nlink), (0o644, 0, 1));
    assert_eq!(fs.read_file("/etc/a", 100).unwrap(), b"one\n");
    let again = fs.write_file("/etc/a", Content::Bytes(b"two\n"), &WriteOptions::new()).unwrap();
    assert_ne!(again.stat.identity(), written.stat.identity(), "a file is replaced as a whole");
    assert!(again.stat.mtime_ns > written.stat.mtime_ns);
    assert_eq!(again.replaced.unwrap().identity(), written.stat.identity());
    assert!(fs.make_dir("/etc/d", &Attributes::new().mode(0o2750).uid(33).gid(4)).unwrap());
    let dir = fs.stat("/etc/d").unwrap().unwrap();
    assert_eq!((dir.kind, dir.mode, dir.uid, dir.gid), (FileKind::Directory, 0o2750, 33, 4));
    fs.write_file("/etc/d/f", "x", &WriteOptions::new()).unwrap();
    assert_eq!(fs.stat("/etc/d/f").unwrap().unwrap().gid, 4, "from the directory");
    assert!(fs.remove_dir("/etc/d").is_err(), "it is not empty");
    assert_eq!(fs.remove_tree("/etc/d", 10).unwrap(), 2);
    assert!(fs.stat("/etc/d").unwrap().is_none() && !host.exists("/etc/d"));
    assert!(matches!(fs.read_file("/etc", 1), Err(FsError::WrongType { .. })));
    assert!(host.temporary_files().is_empty());
}

#[test]
fn symlinks_are_followed_by_the_rules_of_the_door() {
    let host = Host::new();
    let fs = door(&host);
    assert!(fs.make_symlink("/etc/link", "../srv", Replace::SameKind).unwrap());
    host.write("/srv/page", "hello");
    assert_eq!(fs.read_file("/etc/link/page", 10).unwrap(), b"hello");
    assert_eq!(fs.real_path("/etc/link/page").unwrap(), Path::new("/srv/page"));
    host.symlink("/tmp/planted", "/etc");
    assert!(matches!(fs.stat("/tmp/planted/shadow"), Err(FsError::Symlink { .. })), "others can write /tmp");
    assert!(fs.clone().links(Links::Follow).stat("/tmp/planted/link").unwrap().is_some());
    host.symlink("/etc/loop", "loop");
    assert!(fs.clone().links(Links::Follow).stat("/etc/loop/x").is_err());
}

#[test]
fn after_the_end_of_a_process_its_doors_have_no_effect() {
    let host = Host::new();
    let life = host.new_life();
    let fs = door(&host);
    fs.write_file("/etc/a", "one\n", &WriteOptions::new()).unwrap();
    life.end_at_change(3);
    assert!(fs.write_file("/etc/a", "two\n", &WriteOptions::new()).is_err());
    assert!(life.is_over());
    assert_eq!(host.read("/etc/a").as_deref(), Some("one\n"));
    assert_eq!(host.temporary_files().len(), 1, "what was begun stays");
    assert!(fs.read_file("/etc/a", 10).is_err() && !host.read("/etc/a").unwrap().is_empty());
    // The next process removes what is left, and the door of the former one stays shut.
    host.new_life();
    door(&host).write_file("/etc/a", "three\n", &WriteOptions::new()).unwrap();
    assert_eq!((host.read("/etc/a").as_deref(), host.temporary_files().len()), (Some("three\n"), 0));
    assert!(fs.remove_file("/etc/a").is_err());
}

#[test]
fn watches_notice_what_they_should_and_nothing_else() {
    let host = Host::new();
    let seat = host.seat();
    let watch = |key, path: &str, watched| seat.subscribe(key, Path::new(path), watched);
    watch(1, "/etc/app/conf", Watched::Path);
    watch(2, "/srv", Watched::Tree);
    watch(3, "/etc/link", Watched::Path);
    watch(4, "/etc", Watched::Itself);
    let keys = || seat.take().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    host.write("/etc/app/conf", "x");
    assert_eq!(keys(), [1], "with its directory, which was missing");
    host.write("/etc/app/other", "x");
    assert_eq!(keys(), [0; 0]);
    host.chmod("/etc/app/conf", 0o600);
    assert_eq!(keys(), [1]);
    host.write("/srv/a/b/c", "x");
    assert_eq!(keys(), [2]);
    host.write("/srv/a/b/c", "y");
    let [(2, Extent::Entries(entries))] = &seat.take()[..] else { panic!("the file has changed") };
    assert!(entries.iter().eq([Path::new("/srv/a/b/c")]));
    host.symlink("/etc/link", "/opt/target");
    assert_eq!(keys(), [3]);
    host.write("/opt/target", "x");
    assert_eq!(keys(), [3], "where the link leads");
    host.remove("/etc/app");
    assert_eq!(keys(), [1]);
    host.chmod("/etc", 0o700);
    assert_eq!(keys(), [4]);
    let quiet = seat.quiet();
    assert!(quiet() && seat.poll_next(Waker::noop()).is_pending());
    host.write("/srv/new", "x");
    assert!(!quiet());
    seat.unsubscribe(2);
    assert!(matches!(seat.poll_next(Waker::noop()), Poll::Pending));
    assert!(
        seat.has_just(1, &[(Path::new("/etc/app/conf"), Watched::Path)])
            && !seat.has_just(2, &[(Path::new("/srv"), Watched::Tree)])
    );
}

#[test]
fn a_fork_is_as_the_host_and_apart_from_it() {
    let host = Host::new();
    host.write("/etc/a", "one");
    host.service("app", ["/etc/a"]);
    let other = host.fork();
    assert_eq!(host.state(&[]), other.state(&[]));
    other.write("/etc/a", "two");
    assert_eq!(host.read("/etc/a").as_deref(), Some("one"));
    assert_ne!(host.state(&[]), other.state(&[]));
}

#[test]
fn accounts_names_and_random_numbers_are_those_of_the_host() {
    let host = Host::seeded(7);
    host.add_user("ann", 4711);
    host.set_hostname("web1");
    let numbers = host.on(|| {
        assert_eq!((users::uid_of("ann"), users::gid_of("ann"), users::us()), (Ok(4711), Ok(4711), 0));
        assert!(users::uid_of("nobody-at-all").is_err());
        assert_eq!((users::user_name(4711), facts::hostname()), ("ann".to_owned(), "web1".to_owned()));
        (rng::number().unwrap(), rng::number().unwrap())
    });
    let again = Host::seeded(7).on(|| (rng::number().unwrap(), rng::number().unwrap()));
    assert_eq!(numbers, again);
    assert_ne!(numbers.0, numbers.1);
    assert!(users::uid_of("ann").is_err(), "this thread is back on its own host");
}

/// An access list: tag, permissions and number of each entry.
fn access_list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let entries = entries.iter().flat_map(|(tag, rights, id)| {
        [tag.to_le_bytes().as_slice(), &rights.to_le_bytes(), &id.to_le_bytes()].concat()
    });
    2_u32.to_le_bytes().into_iter().chain(entries).collect()
}

#[test]
fn access_lists_and_modes_follow_from_each_other_as_in_the_kernel() {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
    const ACCESS: &str = "system.posix_acl_access";
    const DEFAULT: &str = "system.posix_acl_default";
    const NO_ID: u32 = u32::MAX;
    let default = access_list(&[(1, 7, NO_ID), (2, 7, 33), (4, 5, NO_ID), (0x10, 7, NO_ID), (0x20, 0, NO_ID)]);

    let host = Host::new();
    host.make_dir("/d");
    host.set_xattr("/d", DEFAULT, &default);
    let mut found = Vec::new();
    let mut note = |path: &str| found.push((host.mode(path), host.xattr(path, ACCESS), host.xattr(path, DEFAULT)));
    host.write("/d/file", "x");
    host.make_dir("/d/dir");
    note("/d/file");
    note("/d/dir");
    host.chmod("/d/file", 0o660);
    note("/d/file");
    host.set_xattr("/d/file", ACCESS, access_list(&[(1, 6, NO_ID), (4, 4, NO_ID), (0x20, 4, NO_ID)]));
    note("/d/file");
    let masked = |mask, owner, others| {
        Some(access_list(&[(1, owner, NO_ID), (2, 7, 33), (4, 5, NO_ID), (0x10, mask, NO_ID), (0x20, others, NO_ID)]))
    };
    assert_eq!(
        found,
        [
            (Some(0o640), masked(4, 6, 0), None),
            (Some(0o750), masked(5, 7, 0), Some(default.clone())),
            (Some(0o660), masked(6, 6, 0), None),
            (Some(0o644), None, None),
        ]
    );
    for wrong in [vec![], vec![2, 0, 0], access_list(&[(1, 7, NO_ID)]), access_list(&[(3, 7, NO_ID)])] {
        let set = || host.set_xattr("/d/file", ACCESS, &wrong);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(set)).is_err(), "{wrong:?}");
    }

    // The same with the kernel, where the file system has access lists.
    let real = crate::testing::TempDir::new().unwrap();
    let real = real.path();
    let set =
        |path: &Path, name: &str, list: &[u8]| rustix::fs::setxattr(path, name, list, rustix::fs::XattrFlags::empty());
    if set(real, DEFAULT, &default) == Err(rustix::io::Errno::OPNOTSUPP) {
        return;
    }
    let mut kernel = Vec::new();
    let mut note = |path: &Path| {
        let read = |name: &str| {
            let mut value = vec![0; 1000];
            let bytes = rustix::fs::getxattr(path, name, value.as_mut_slice()).ok()?;
            value.truncate(bytes);
            Some(value)
        };
        let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        kernel.push((Some(mode), read(ACCESS), read(DEFAULT)));
    };
    let (file, dir) = (real.join("file"), real.join("dir"));
    std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(&file).unwrap();
    std::fs::DirBuilder::new().mode(0o755).create(&dir).unwrap();
    note(&file);
    note(&dir);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o660)).unwrap();
    note(&file);
    set(&file, ACCESS, &access_list(&[(1, 6, NO_ID), (4, 4, NO_ID), (0x20, 4, NO_ID)])).unwrap();
    note(&file);
    assert_eq!(kernel, found);
}

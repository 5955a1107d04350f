//! The links that are followed on the way, and the identity of one place.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::support::*;

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// `private/link → elsewhere` and `public/link → elsewhere`, with a file in it.
fn with_links() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = temp_dir();
    let public = public_dir(dir.path());
    let private = dir.path().join("private");
    std::fs::create_dir(&private).unwrap();
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(dir.path().join("elsewhere")).unwrap();
    std::fs::write(dir.path().join("elsewhere/f"), "x").unwrap();
    for at in [&public, &private] {
        symlink("../elsewhere", at.join("link")).unwrap();
    }
    (dir, public, private)
}

#[test]
fn root_does_not_follow_a_link_that_others_may_have_planted_and_names_it() {
    let (dir, public, _) = with_links();
    let fs = WriteFs::as_if_euid(0);
    let path = public.join("link/f");
    let link = public.join("link");
    let reason =
        if is_root() { "in a directory that others can write".to_owned() } else { format!("owned by uid {}", me()) };
    let told = format!("symlink at {}, {reason}", link.display());
    assert_eq!(fs.stat(&path).unwrap_err().to_string(), told);
    assert_eq!(fs.read_file(&path, 9).unwrap_err().to_string(), told);
    assert_eq!(fs.write_file(&path, "y", &WriteOptions::new()).unwrap_err().to_string(), told);
    assert_eq!(fs.make_dir(link.join("d"), &Attributes::new()).unwrap_err().to_string(), told);
    assert_eq!(fs.remove_tree(&path, 9).unwrap_err().to_string(), told);
    assert_eq!(fs.set_attributes(&path, &Attributes::new().mode(0o777)).unwrap_err().to_string(), told);
    assert_eq!(fs.read_dir(link.join("sub")).unwrap_err().to_string(), told);
    assert_eq!(names(dir.path().join("elsewhere")), ["f"]);
    // A caller that chooses to follow all links gets the file.
    let fs = fs.links(Links::Follow);
    fs.write_file(&path, "y", &WriteOptions::new()).unwrap();
    assert_eq!(text(dir.path().join("elsewhere/f")), "y");
}

#[test]
#[ignore = "needs root: only root's links in root's directories are followed"]
fn root_follows_its_own_links_in_its_own_directories_but_nobody_elses() {
    assert!(is_root(), "run it as root");
    let (_dir, _, private) = with_links();
    let fs = WriteFs::new();
    let path = private.join("link/f");
    assert_eq!(fs.read_file(&path, 9).unwrap(), b"x");
    fs.write_file(&path, "y", &WriteOptions::new()).unwrap();
    let refused = |why: &str| {
        let told = fs.read_file(&path, 9).unwrap_err().to_string();
        assert_eq!(told, format!("symlink at {}, {why}", private.join("link").display()));
    };
    for mode in [0o775, 0o757] {
        std::fs::set_permissions(&private, std::fs::Permissions::from_mode(mode)).unwrap();
        refused("in a directory that others can write");
    }
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::lchown(private.join("link"), Some(12), None).unwrap();
    refused("owned by uid 12");
    std::os::unix::fs::lchown(private.join("link"), Some(0), None).unwrap();
    std::os::unix::fs::chown(&private, Some(12), None).unwrap();
    refused("in a directory that others can write");
    // The links that every system has are followed.
    assert!(fs.stat("/proc/self/status").unwrap().is_some());
    // A user's door follows links of root and of that user, but not those of others.
    assert!(WriteFs::as_if_euid(12).read_file(&path, 9).is_ok());
    std::os::unix::fs::lchown(private.join("link"), Some(12), None).unwrap();
    assert!(WriteFs::as_if_euid(12).read_file(&path, 9).is_ok());
    let told = WriteFs::as_if_euid(13).read_file(&path, 9).unwrap_err().to_string();
    assert!(told.ends_with("owned by uid 12"), "{told}");
}

#[test]
#[ignore = "needs root: a hard link to a file of root's"]
fn root_does_not_change_the_attributes_of_a_file_that_others_may_have_linked_there() {
    assert!(is_root(), "run it as root");
    let dir = temp_dir();
    let public = public_dir(dir.path());
    let shadow = dir.path().join("shadow");
    std::fs::write(&shadow, "x").unwrap();
    std::fs::hard_link(&shadow, public.join("mine")).unwrap();
    let fs = WriteFs::new();
    let error = fs.set_attributes(public.join("mine"), &Attributes::new().mode(0o666).uid(12)).unwrap_err();
    assert!(error.to_string().contains("has 2 names (hard links), in a directory that others can write"), "{error}");
    assert_eq!(mode_of(&shadow), 0o644);
    fs.set_attributes(&shadow, &Attributes::new().mode(0o600)).unwrap();
    fs.links(Links::Follow).set_attributes(public.join("mine"), &Attributes::new().mode(0o640)).unwrap();
    assert_eq!(mode_of(&shadow), 0o640);
}

#[test]
fn loops_and_endless_chains_of_links_end_in_an_error() {
    let dir = temp_dir();
    symlink("b", dir.path().join("a")).unwrap();
    symlink("a", dir.path().join("b")).unwrap();
    let fs = ReadFs::new().links(Links::Follow);
    for path in ["a/x", "b/x/y"] {
        let error = fs.stat(dir.path().join(path)).unwrap_err();
        assert!(matches!(error, FsError::Symlink { reason: LinkReason::Loop(41), .. }), "{error}");
    }
    for i in 0..41 {
        symlink(format!("c{}", i + 1), dir.path().join(format!("c{i}"))).unwrap();
    }
    std::fs::create_dir(dir.path().join("c41")).unwrap();
    assert!(fs.stat(dir.path().join("c0/x")).is_err(), "41 links");
    assert_eq!(fs.stat(dir.path().join("c1/x")).unwrap(), None, "40 links");
}

#[test]
fn a_tree_used_as_the_root_is_not_left_by_links() {
    let dir = temp_dir();
    let root = dir.path().join("root");
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::create_dir_all(dir.path().join("etc")).unwrap();
    symlink("/etc", root.join("absolute")).unwrap();
    symlink("../../../../../etc", root.join("climbing")).unwrap();
    let fs = WriteFs::below(&root).unwrap();
    for (i, path) in ["/etc", "/absolute", "/climbing"].iter().enumerate() {
        let path = format!("{path}/f{i}");
        fs.write_file(&path, "x", &WriteOptions::new()).unwrap();
        assert!(fs.stat(&path).unwrap().is_some());
    }
    assert_eq!(names(root.join("etc")), ["f0", "f1", "f2"]);
    assert_eq!(names(dir.path().join("etc")), [""; 0]);
    assert_eq!(fs.real_path("/climbing/f0").unwrap(), Path::new("/etc/f0"));
    assert_eq!(fs.read_dir("/").unwrap().len(), 3);
}

#[test]
fn the_longest_paths_are_walked_and_longer_ones_refused() {
    let fs = ReadFs::new();
    let longest = "/x".repeat(2048);
    assert_eq!(fs.stat(&longest).unwrap(), None);
    assert!(matches!(fs.stat(longest + "x"), Err(FsError::BadPath { reason: PathError::TooLong(4097), .. })));
}

#[test]
fn spellings_of_one_place_have_one_key_and_so_have_hard_links() {
    let dir = temp_dir();
    let at = |name: &str| dir.path().join(name);
    let fs = ReadFs::new();
    let key = |path: PathBuf| fs.same_file_key(path).unwrap();
    std::fs::create_dir_all(at("real/sub")).unwrap();
    std::fs::write(at("real/f"), "").unwrap();
    symlink("real", at("link")).unwrap();
    symlink("real/f", at("g")).unwrap();
    let f = key(at("real/f"));
    for spelling in ["real//f", "real/./f", "link/f", "./link/f/"] {
        assert!(f.is_same(&key(at(spelling))), "{spelling}");
        assert_eq!(f, key(at(spelling)), "{spelling}");
    }
    assert!(!f.is_same(&key(at("real/g"))));
    assert!(!f.is_same(&key(at("g"))), "a symlink is another thing than what it leads to");
    assert_eq!(key(at("link/new/file")), key(at("real/new/file")), "also what does not exist yet");
    assert_ne!(key(at("real/new")), key(at("real/new2")));
    std::fs::hard_link(at("real/f"), at("hard")).unwrap();
    assert!(key(at("hard")).is_same(&key(at("link/f"))));
    assert!(!key(at("hard")).is_same(&key(at("real"))));
    assert_eq!(key(PathBuf::from("//")).path, Path::new("/"));
    assert!(fs.same_file_key("relative").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn walking_by_hand_ends_where_the_kernel_ends(
        dirs in prop::collection::vec("[ab](/[ab]){0,2}", 1..4),
        links in prop::collection::vec(("[abc](/[abc]){0,1}", "(/)?((\\.\\.|[abc])/){0,3}[abc]"), 1..6),
        paths in prop::collection::vec("/[abc](/[abc]){0,4}", 1..8),
    ) {
        let dir = temp_dir();
        let root = dir.path().canonicalize().unwrap();
        for path in dirs {
            let _ = std::fs::create_dir_all(root.join(path));
        }
        for (at, to) in links {
            let to = to.strip_prefix('/').map_or_else(|| PathBuf::from(&to), |below| root.join(below));
            let _ = symlink(to, root.join(at));
        }
        let fs = ReadFs::new().links(Links::Follow);
        for path in paths {
            let path = root.join(&path[1..]);
            match (fs.real_path(&path), path.canonicalize()) {
                (Ok(ours), Ok(theirs)) => {
                    prop_assert_eq!(&ours, &theirs);
                    // The directory that is opened is the one with that name.
                    if theirs.is_dir() {
                        let ours = fs.read_dir(&ours).unwrap().len();
                        prop_assert_eq!(ours, std::fs::read_dir(&theirs).unwrap().count());
                        prop_assert_eq!(fs.stat(path.join("x/..x")).unwrap(), None);
                    }
                }
                (Err(ours), Err(theirs)) => match ours.errno() {
                    Some(errno) => prop_assert_eq!(Some(errno), theirs.raw_os_error(), "{}", path.display()),
                    None => {
                        let known = matches!(ours, FsError::Symlink { .. } | FsError::WrongType { .. });
                        prop_assert!(known, "{}", ours);
                    }
                },
                (ours, theirs) => prop_assert!(false, "{}: {ours:?}, {theirs:?}", path.display()),
            }
        }
    }
}

#[test]
fn looks_near_a_path_see_one_directory_also_if_another_takes_its_place() {
    let dir = temp_dir();
    let (place, path) = (dir.path().join("place"), dir.path().join("place/file"));
    std::fs::create_dir(&place).unwrap();
    std::fs::write(&path, "old").unwrap();
    let fs = ReadFs::new();
    let near = fs.near(&path);
    let size = |fs: &ReadFs| fs.stat(&path).unwrap().map(|stat| stat.size);
    assert_eq!(size(&near), Some(3));
    std::fs::rename(&place, dir.path().join("elsewhere")).unwrap();
    assert_eq!((size(&near), size(&fs)), (Some(3), None));
    std::fs::create_dir(&place).unwrap();
    std::fs::write(&path, "newer").unwrap();
    assert_eq!((size(&near), size(&fs), size(&fs.near(&path))), (Some(3), Some(5), Some(5)));
    assert_eq!(near.read_file(&path, 9).unwrap(), b"old");
    let seen = near.stat(&path).unwrap().unwrap();
    assert_eq!(near.open_seen(&path, &seen).unwrap().stat().size, 3);
    // With another rule the directory is opened again.
    assert_eq!(size(&near.clone().links(Links::Follow)), Some(5));
    // A path elsewhere is not near.
    assert_eq!(near.stat(dir.path().join("elsewhere/file")).unwrap().unwrap().size, 3);
}

#[test]
fn looks_near_a_path_through_a_link_know_that_it_is_one() {
    let dir = temp_dir();
    std::fs::create_dir(dir.path().join("real")).unwrap();
    std::fs::write(dir.path().join("real/file"), "x").unwrap();
    symlink("real", dir.path().join("link")).unwrap();
    let path = dir.path().join("link/file");
    let near = ReadFs::new().links(Links::Follow).near(&path);
    for _ in 0..2 {
        assert_eq!(near.stat(&path).unwrap().unwrap().size, 1);
        assert_eq!(near.behind_links(&path).unwrap(), Some(dir.path().join("real/file")));
    }
    let real = near.near(dir.path().join("real/file"));
    assert_eq!(real.behind_links(dir.path().join("real/file")).unwrap(), None);
    // The object was a file, but is something else when it is opened.
    let seen = near.stat(&path).unwrap().unwrap();
    std::fs::remove_file(dir.path().join("real/file")).unwrap();
    assert!(matches!(near.open_seen(&path, &seen).unwrap_err(), FsError::Missing { .. }));
    symlink("/etc/passwd", dir.path().join("real/file")).unwrap();
    let error = near.open_seen(&path, &seen).unwrap_err();
    assert!(matches!(error, FsError::Symlink { .. }) && error.is_race(), "{error}");
}

#[test]
fn a_copy_of_a_link_of_another_user_is_remembered_where_it_can_not_be_given_to_that_user() {
    let dir = temp_dir();
    let target = dir.path().join("d");
    std::fs::create_dir(&target).unwrap();
    let (copied, own) = (dir.path().join("copied"), dir.path().join("own"));
    // As a user who is not root; if root runs the test, that user also follows root's links.
    let fs = WriteFs::as_if_euid(if is_root() { 4321 } else { rustix::process::geteuid().as_raw() });
    fs.make_symlink_of(&copied, &target, 12345, Replace::SameKind).unwrap();
    fs.make_symlink(&own, &target, Replace::SameKind).unwrap();
    assert!(fs.stat(own.join("f")).unwrap().is_none());
    let error = fs.stat(copied.join("f")).unwrap_err().to_string();
    assert!(error.ends_with("copied, copied from a link of uid 12345"), "{error}");
    assert!(fs.clone().reader().links(Links::Follow).stat(copied.join("f")).unwrap().is_none());
    // A new link with that name is not the copied one.
    std::fs::remove_file(&copied).unwrap();
    fs.make_symlink(&copied, dir.path(), Replace::SameKind).unwrap();
    assert!(fs.stat(copied.join("f")).unwrap().is_none());
}

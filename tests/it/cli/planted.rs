//! What another user has planted where root works and writes.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};
use std::path::Path;

use crate::kit::program::act;

const STRANGER: u32 = 54321;

/// A directory as the one for temporary files, and a file of root's outside of it.
fn open_to_all(dir: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (all, victim) = (dir.join("all"), dir.join("victim"));
    fs::create_dir(&all).unwrap();
    fs::set_permissions(&all, fs::Permissions::from_mode(0o1777)).unwrap();
    fs::write(&victim, "root's\n").unwrap();
    (all, victim)
}

#[test]
#[ignore = "needs root"]
fn a_prefix_that_another_user_made_is_refused_by_all_commands_that_use_it() {
    let dir = tempfile::tempdir().unwrap();
    let (all, _) = open_to_all(dir.path());
    let planted = all.join("planted");
    fs::create_dir(&planted).unwrap();
    chown(&planted, Some(STRANGER), Some(STRANGER)).unwrap();
    for command in ["-t 0", "plan"] {
        let ended = act("site", dir.path()).args("--prefix").arg(&planted).args(command).run().code(1);
        ended.said("belongs to 54321, not to root").said("--prefix DIR");
    }
    let ended = act("site", dir.path()).args("--allow-tmp-prefix --prefix").arg(&planted).args("-t 0").run().code(0);
    ended.said("working in a temporary directory");
    assert_eq!(fs::read_dir(&planted).unwrap().count(), 0);
}

#[test]
#[ignore = "needs root"]
fn files_for_people_do_not_follow_a_planted_symlink() {
    let dir = tempfile::tempdir().unwrap();
    let (all, victim) = open_to_all(dir.path());
    let link = all.join("link");
    symlink(&victim, &link).unwrap();
    lchown(&link, Some(STRANGER), Some(STRANGER)).unwrap();
    let run = |args: &str| act("site", dir.path()).args(args).arg(&link).run();
    run("graph --svg").code(1).said("symlink");
    run("-t 0 --converged-status-file").code(1).said("can't be written");
    run("-t 0 --graphviz").code(0).said("can't be written");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "root's\n");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn files_for_people_may_be_pipes_and_what_is_appended_to_may_be_a_link_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let ended = act("site", dir.path()).args("graph --svg /dev/stdout").run().code(0);
    assert!(ended.out.starts_with("<svg"), "{ended:?}");
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    symlink(&file, &link).unwrap();
    act("site", dir.path()).args("-t 0 --converged-status-file").arg(&link).run().code(0);
    assert!(fs::read_to_string(&file).unwrap().contains("converged"));
    act("site", dir.path()).args("graph --svg").arg(&link).run().code(1).said("symlink");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

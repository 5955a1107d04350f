//! The doors for a user without root's rights. Root runs these tests as the user `nobody`.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use super::support::*;

const NOBODY: u32 = 65534;

/// Whether the test was run as the user `nobody`, because we are root. If not, the caller must run it itself.
fn ran_as_nobody(test: &str) -> bool {
    if is_root() {
        must_pass(again(&format!("unprivileged::{test}")).uid(NOBODY).gid(NOBODY).env_remove("TMPDIR"));
    }
    is_root()
}

#[test]
fn without_rights_the_error_names_path_and_call_and_nothing_changes() {
    if ran_as_nobody("without_rights_the_error_names_path_and_call_and_nothing_changes") {
        return;
    }
    let fs = WriteFs::new();
    let error = fs.write_file("/etc/passwd", "gone", &WriteOptions::new()).unwrap_err();
    assert_eq!(error.to_string(), "create /etc/passwd: Permission denied (os error 13)");
    let error = fs.set_attributes("/etc/passwd", &Attributes::new().mode(0o666)).unwrap_err();
    assert_eq!(error.to_string(), "chmod /etc/passwd: Operation not permitted (os error 1)");
    let error = fs.remove_file("/etc/passwd").unwrap_err();
    assert_eq!(error.to_string(), "unlink /etc/passwd: Permission denied (os error 13)");
    let error = fs.make_dir("/etc/mgmt-test", &Attributes::new()).unwrap_err();
    assert_eq!(error.to_string(), "mkdir /etc/mgmt-test: Permission denied (os error 13)");
    assert!(fs.stat("/etc/passwd").unwrap().is_some());
}

#[test]
fn an_owner_that_can_not_be_given_is_an_error_and_the_old_file_stays() {
    if ran_as_nobody("an_owner_that_can_not_be_given_is_an_error_and_the_old_file_stays") {
        return;
    }
    let dir = temp_dir();
    let path = dir.path().join("f");
    std::fs::write(&path, "old").unwrap();
    let fs = WriteFs::new();
    let error = fs.write_file(&path, "new", &WriteOptions::new().uid(0)).unwrap_err();
    assert_eq!((error.call(), error.errno()), (Some(Call::Chown), Some(1)), "{error}");
    assert_eq!((text(&path).as_str(), names(dir.path())), ("old", vec!["f".to_owned()]));
}

#[test]
fn files_and_directories_that_even_we_can_not_read_can_be_written_and_changed() {
    if ran_as_nobody("files_and_directories_that_even_we_can_not_read_can_be_written_and_changed") {
        return;
    }
    let dir = temp_dir();
    let path = dir.path().join("f");
    let fs = WriteFs::new();
    for mode in [0o000, 0o200, 0o400] {
        fs.write_file(&path, "x", &WriteOptions::new().mode(mode)).unwrap();
        assert_eq!(mode_of(&path), mode);
        fs.write_file(&path, "y", &WriteOptions::new()).unwrap();
        assert_eq!(mode_of(&path), mode, "kept");
    }
    assert_eq!(fs.read_file(&path, 9).unwrap(), b"y");
    fs.set_attributes(&path, &Attributes::new().mode(0)).unwrap();
    assert_eq!(fs.read_file(&path, 9).unwrap_err().errno(), Some(13));
    fs.set_attributes(&path, &Attributes::new().mode(0o600)).unwrap();
    assert_eq!(fs.read_file(&path, 9).unwrap(), b"y");
    // A directory that can be changed but not listed: there is no search for left-overs and no fsync of it, but the
    // file is written.
    let blind = dir.path().join("blind");
    fs.make_dir(&blind, &Attributes::new().mode(0o300)).unwrap();
    fs.write_file(blind.join("f"), "x", &WriteOptions::new()).unwrap();
    std::fs::set_permissions(&blind, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(names(&blind), ["f"]);
}

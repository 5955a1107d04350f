//! What a program with secrets keeps from other programs.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;

use crate::kit::program::act;

/// The system gives the files of a process that can't be dumped to root.
#[test]
#[ignore = "needs root"]
fn the_memory_of_a_program_with_secrets_is_not_dumped() {
    for (scene, owner) in [("wide", 65534), ("rotate", 0)] {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let mut program = act(scene, dir.path());
        program.command.uid(65534).gid(65534);
        let mut running = program.start();
        running.says("converged in");
        let memory = fs::metadata(format!("/proc/{}/mem", running.pid())).unwrap();
        assert_eq!(memory.uid(), owner, "{scene}");
    }
}

//! The program of the tests. Several test programs include this file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::SystemTime;

/// The program `mgmt` without what is there for debuggers, two thirds of it: programs that are sent to hosts are read
/// whole for each run, here and there.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| stripped(Path::new(env!("CARGO_BIN_EXE_mgmt"))));
    &PROGRAM
}

fn stripped(built: &Path) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let kept = dir.join("mgmt");
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    if changed(&kept).unwrap_or(SystemTime::UNIX_EPOCH) < changed(built).expect("cargo has built it") {
        // Other tests may do the same at this moment, in namespaces where they have the same number.
        let own = tempfile::tempdir_in(dir).expect("a directory of cargo");
        let new = own.path().join("mgmt");
        let status = Command::new("strip").arg("-o").arg(&new).arg(built).status();
        assert!(status.expect("strip, which comes with the linker").success());
        fs::rename(new, &kept).expect("a directory of cargo");
    }
    kept
}

//! Tests in namespaces of their own: each runs itself once more there.

use std::env;
use std::process::Command;

/// Set inside of the namespaces.
const INSIDE: &str = "MGMT_TEST_INSIDE";

/// Runs the test of this name, which is in the module (`module_path!()`), in a user namespace, in which it is root, and
/// in these namespaces (`--mount`, `--net`). Returns `true` inside.
pub(crate) fn inside(module: &str, name: &str, spaces: &[&str]) -> bool {
    inside_as_root(module, name, &[&["--user", "--map-root-user"], spaces].concat())
}

/// Like [`inside`], without a user namespace: for what only the machine's root may do.
pub(crate) fn inside_as_root(module: &str, name: &str, spaces: &[&str]) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let name = format!("{}::{name}", module.split_once("::").expect("a module").1);
    let output = Command::new("unshare")
        .args(spaces)
        .arg(env::current_exe().expect("the path of the tests"))
        .args(["--exact", &name, "--include-ignored", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("the program unshare");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{name} in namespaces:\n{out}\n{err}");
    print!("{out}");
    false
}

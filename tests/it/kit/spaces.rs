//! Tests in namespaces of their own: each runs itself once more there.

use std::env;
use std::process::Command;

/// Set inside of the namespaces.
const INSIDE: &str = "MGMT_TEST_INSIDE";

/// Runs the test with this name, such as `sysctl::is_heard`, in a user namespace, in which it is root, and in these
/// namespaces (`--mount`, `--net`). Returns `true` inside.
pub fn inside(name: &str, spaces: &[&str]) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .args(spaces)
        .arg(env::current_exe().expect("the path of the tests"))
        .args(["--exact", name, "--include-ignored", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("the program unshare");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{name} in namespaces:\n{out}\n{err}");
    false
}

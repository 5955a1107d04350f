//! A test in namespaces of its own: it runs itself once more there. The other test programs include this file.

use std::env;
use std::process::{Command, Stdio};

/// Set inside of the namespaces.
const INSIDE: &str = "MGMT_TEST_INSIDE";

/// Runs the test with this name, such as `sysctl::is_heard`, by `unshare`, to which `spaces` adds the words that name
/// the namespaces. Returns `true` inside.
pub(crate) fn again(name: &str, spaces: impl FnOnce(&mut Command)) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut command = Command::new("unshare");
    spaces(&mut command);
    let output = command
        .arg(env::current_exe().expect("the path of the tests"))
        .args(["--exact", name, "--include-ignored", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("the program unshare");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{name} in namespaces:\n{out}\n{err}");
    print!("{out}");
    false
}

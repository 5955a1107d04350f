//! Tests in namespaces of their own: each runs itself once more there.

#[path = "../../../mgmt/src/sys/spaces/again.rs"]
mod again;

use again::again;

/// Runs the test with this name, such as `sysctl::is_heard`, in a user namespace, in which it is root, and in these
/// namespaces (`--mount`, `--net`). Returns `true` inside.
pub fn inside(name: &str, spaces: &[&str]) -> bool {
    again(name, |unshare| {
        unshare.args(["--user", "--map-root-user"]).args(spaces);
    })
}

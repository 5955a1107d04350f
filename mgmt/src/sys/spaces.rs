//! Tests of this crate in namespaces of their own.

mod again;

use again::again;

/// Runs the test of this name, which is in the module (`module_path!()`), in a user namespace, in which it is root, and
/// in these namespaces (`--mount`, `--net`). Returns `true` inside.
pub(crate) fn inside(module: &str, name: &str, spaces: &[&str]) -> bool {
    inside_as_root(module, name, &[&["--user", "--map-root-user"], spaces].concat())
}

/// Like [`inside`], without a user namespace: for what only the machine's root may do.
pub(crate) fn inside_as_root(module: &str, name: &str, spaces: &[&str]) -> bool {
    let name = format!("{}::{name}", module.split_once("::").expect("a module").1);
    again(&name, |unshare| {
        unshare.args(spaces);
    })
}

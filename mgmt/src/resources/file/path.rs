//! The path that a file resource manages: composed from its fields, in normal form.

use std::path::{Path, PathBuf};

use crate::resources::paths::shown;
use crate::sys::fs::normal_form;

/// A path, and whether its spelling makes it a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spelled {
    /// In normal form.
    pub(super) path: PathBuf,
    /// The spelling ends in `/`.
    pub(super) dir: bool,
}

/// The last part of a path, with its slash if it ends in one, and what comes before it.
fn split(path: &str) -> (&str, &str) {
    let trimmed = path.trim_end_matches('/');
    let start = trimmed.rfind('/').map_or(0, |slash| slash + 1);
    path.split_at(start)
}

/// `path`, with its directory part, its last part, or both replaced.
pub(super) fn compose(path: &str, dirname: Option<&str>, basename: Option<&str>) -> String {
    let (dir, base) = split(path);
    match (dirname, basename) {
        (None, None) => path.to_owned(),
        (None, Some(basename)) => format!("{dir}{basename}"),
        (Some(dirname), None) => format!("{dirname}{base}"),
        (Some(dirname), Some(basename)) => format!("{dirname}{basename}"),
    }
}

/// The path in normal form. The error does not name the field.
pub(super) fn spelled(text: &str) -> Result<Spelled, String> {
    match normal_form(Path::new(text)) {
        Ok(path) => Ok(Spelled { path, dir: text.ends_with('/') }),
        Err(error) => Err(format!("{}: {error}", shown(Path::new(text)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_composed_by_the_four_rules() {
        assert_eq!(compose("/a/b", None, None), "/a/b");
        assert_eq!(compose("/a/b", None, Some("c")), "/a/c");
        assert_eq!(compose("/a/b", Some("/x/"), None), "/x/b");
        assert_eq!(compose("/a/b", Some("/x/"), Some("c/d")), "/x/c/d");
    }

    #[test]
    fn the_last_part_keeps_its_slash() {
        assert_eq!(compose("/a/b/", Some("/x/"), None), "/x/b/");
        assert_eq!(compose("/a/b/", None, Some("c")), "/a/c");
        assert_eq!(compose("b/", Some("/x/"), None), "/x/b/");
        assert_eq!(compose("b", Some("/x/"), None), "/x/b");
        assert_eq!(compose("b", None, Some("c")), "c");
    }

    #[test]
    fn a_path_is_a_directory_if_it_is_spelled_with_a_slash() {
        assert_eq!(spelled("/a//./b/"), Ok(Spelled { path: "/a/b".into(), dir: true }));
        assert_eq!(spelled("/a/b"), Ok(Spelled { path: "/a/b".into(), dir: false }));
        assert!(spelled("/a/../b").unwrap_err().contains("`..`"));
        assert_eq!(shown(Path::new("/a\nb")), "/a\\nb");
    }
}

//! The normal form of a path, and the paths that are refused before any system call.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// The longest path, in bytes.
pub const PATH_BYTES_MAX: usize = 4096;
/// The longest component of a path, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// Why a path is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The path has no bytes.
    #[error("the path is empty")]
    Empty,
    /// The path does not begin with `/`.
    #[error("the path is not absolute: it must begin with `/`")]
    Relative,
    /// The path contains a NUL byte, which no name of a file can contain.
    #[error("the path holds a NUL byte")]
    Nul,
    /// The path contains `..`, which leads elsewhere if a directory before it is a symlink.
    #[error("the path holds `..`: write the path that is meant")]
    DotDot,
    /// The path is longer than [`PATH_BYTES_MAX`].
    #[error("the path has {0} bytes, and {PATH_BYTES_MAX} is the limit")]
    TooLong(usize),
    /// A component is longer than [`NAME_BYTES_MAX`].
    #[error("a component of the path has {0} bytes, and {NAME_BYTES_MAX} is the limit")]
    NameTooLong(usize),
}

/// `/a//b/./c/` → `/a/b/c`: absolute, one slash between components, no `.`, no slash at the end (except in `/` itself).
///
/// Only the text matters; nothing is resolved. `..`, NUL bytes, relative, empty and overlong paths are refused.
pub fn normal_form(path: &Path) -> Result<PathBuf, PathError> {
    let bytes = path.as_os_str().as_bytes();
    match bytes.first() {
        None => return Err(PathError::Empty),
        Some(b'/') => {}
        Some(_) => return Err(PathError::Relative),
    }
    if bytes.contains(&0) {
        return Err(PathError::Nul);
    }
    if bytes.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong(bytes.len()));
    }
    let mut normal = Vec::with_capacity(bytes.len());
    for name in bytes.split(|b| *b == b'/') {
        match name {
            b"" | b"." => continue,
            b".." => return Err(PathError::DotDot),
            name if name.len() > NAME_BYTES_MAX => return Err(PathError::NameTooLong(name.len())),
            name => {
                normal.push(b'/');
                normal.extend_from_slice(name);
            }
        }
    }
    if normal.is_empty() {
        normal.push(b'/');
    }
    Ok(PathBuf::from(OsString::from_vec(normal)))
}

/// An absolute path in normal form, where each `..` has removed the name before it, as if no symlink were in the path;
/// `None` if it is not absolute or too long.
pub fn without_dots(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::from("/");
    for component in path.has_root().then(|| path.components())? {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::Normal(name) => plain.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    normal_form(&plain).ok()
}

/// The directory part and the last component of a path in normal form; `None` for `/`.
pub(super) fn split_last(normal: &Path) -> Option<(&Path, &OsStr)> {
    Some((normal.parent()?, normal.file_name()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(text: &str) -> Result<PathBuf, PathError> {
        normal_form(Path::new(text))
    }

    #[test]
    fn spellings_of_one_path_have_one_normal_form() {
        for spelling in ["/a/b/c", "//a/b/c", "/a//b///c", "/a/./b/c/.", "/./a/b/c/", "/a/b/c//"] {
            assert_eq!(normal(spelling), Ok(PathBuf::from("/a/b/c")), "{spelling}");
        }
        for spelling in ["/", "//", "/.", "/./", "/.//."] {
            assert_eq!(normal(spelling), Ok(PathBuf::from("/")), "{spelling}");
        }
    }

    #[test]
    fn hostile_paths_are_refused_with_their_reason() {
        assert_eq!(normal(""), Err(PathError::Empty));
        assert_eq!(normal("a"), Err(PathError::Relative));
        assert_eq!(normal("./a"), Err(PathError::Relative));
        assert_eq!(normal("-rf"), Err(PathError::Relative));
        assert_eq!(normal("/a/../b"), Err(PathError::DotDot));
        assert_eq!(normal("/.."), Err(PathError::DotDot));
        assert_eq!(normal("/a\0b"), Err(PathError::Nul));
        assert_eq!(normal(&format!("/{}", "x".repeat(255))).map(|_| ()), Ok(()));
        assert_eq!(normal(&format!("/{}", "x".repeat(256))), Err(PathError::NameTooLong(256)));
        assert_eq!(normal(&"/x".repeat(2048)).map(|p| p.as_os_str().len()), Ok(4096));
        assert_eq!(normal(&format!("{}/", "/x".repeat(2048))), Err(PathError::TooLong(4097)));
    }

    #[test]
    fn names_that_are_only_odd_are_kept_byte_for_byte() {
        for odd in ["/a/...", "/a/..b", "/a/-rf", "/a/b;c$(d)", "/a/new\nline", "/a/.b"] {
            assert_eq!(normal(odd), Ok(PathBuf::from(odd)));
        }
        let not_utf8 = Path::new(OsStr::from_bytes(b"/a/\xff\xfe"));
        assert_eq!(normal_form(not_utf8), Ok(not_utf8.to_path_buf()));
    }

    proptest! {
        #[test]
        fn the_normal_form_is_a_fixed_point_that_names_the_same_components(
            parts in prop::collection::vec(prop_oneof![Just(String::new()), Just(".".to_owned()), "[a-z .-]{1,8}"], 0..12),
        ) {
            let text = format!("/{}", parts.join("/"));
            let path = Path::new(&text);
            match normal_form(path) {
                Ok(normal) => {
                    prop_assert_eq!(normal_form(&normal), Ok(normal.clone()));
                    // std agrees about which components there are.
                    prop_assert_eq!(path.components().collect::<Vec<_>>(), normal.components().collect::<Vec<_>>());
                    let text = normal.to_str().unwrap();
                    prop_assert!(!text.contains("//") && (text == "/" || !text.ends_with('/')));
                }
                Err(error) => prop_assert!(error == PathError::DotDot && parts.iter().any(|p| p == "..")),
            }
        }

        #[test]
        fn any_bytes_give_an_answer_and_never_a_path_that_climbs(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(normal) = normal_form(Path::new(OsStr::from_bytes(&bytes))) {
                prop_assert!(normal.is_absolute());
                prop_assert!(normal.components().all(|c| c != std::path::Component::ParentDir));
            }
        }
    }
}

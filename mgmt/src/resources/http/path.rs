//! The path of a URL in normal form. Protection, routing and reading all use the same text.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadPath {
    #[error("it does not begin with `/`")]
    Relative,
    #[error("it holds `..`")]
    DotDot,
    #[error("it holds a NUL byte")]
    Nul,
    #[error("it holds a `%` without two hexadecimal digits")]
    Percent,
}

/// The path of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestPath {
    /// One slash before each part, `.` and empty parts left out.
    pub(super) path: PathBuf,
    /// The path ends in a slash: a directory is requested.
    pub(super) slash: bool,
}

/// The path of a request, percent-encoded.
pub(super) fn requested(path: &str) -> Result<RequestPath, BadPath> {
    normal(&decode(path)?)
}

/// The path of a field: plain text.
pub(super) fn plain(path: &str) -> Result<PathBuf, BadPath> {
    normal(path.as_bytes()).map(|url| url.path)
}

fn normal(path: &[u8]) -> Result<RequestPath, BadPath> {
    if path.first() != Some(&b'/') {
        return Err(BadPath::Relative);
    }
    if path.contains(&0) {
        return Err(BadPath::Nul);
    }
    let mut normal = Vec::with_capacity(path.len());
    let mut slash = true;
    for part in path.split(|b| *b == b'/') {
        slash = matches!(part, b"" | b".");
        match part {
            b"" | b"." => {}
            b".." => return Err(BadPath::DotDot),
            part => {
                normal.push(b'/');
                normal.extend_from_slice(part);
            }
        }
    }
    if normal.is_empty() {
        normal.push(b'/');
    }
    Ok(RequestPath { path: OsString::from_vec(normal).into(), slash })
}

fn decode(path: &str) -> Result<Vec<u8>, BadPath> {
    let mut bytes = path.bytes();
    let mut decoded = Vec::with_capacity(path.len());
    let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16)).ok_or(BadPath::Percent);
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
            decoded.extend(u8::try_from(high * 16 + low));
        } else {
            decoded.push(byte);
        }
    }
    Ok(decoded)
}

/// The path percent-encoded, for a `Location`.
pub(super) fn encode(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => text.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => text.push(char::from(*byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_spellings_of_a_path_are_one() {
        for spelling in ["/admin/x", "//admin//x", "/./admin/./x", "/%61dmin/%78", "/admin%2Fx", "/%2e/admin/x"] {
            assert_eq!(
                requested(spelling).unwrap(),
                RequestPath { path: "/admin/x".into(), slash: false },
                "{spelling}"
            );
        }
        assert_eq!(requested("/").unwrap(), RequestPath { path: "/".into(), slash: true });
        assert!(requested("/a/").unwrap().slash);
        assert_eq!(plain("/a b%20").unwrap(), Path::new("/a b%20"));
    }

    #[test]
    fn nothing_leads_up_or_is_guessed_at() {
        for (path, why) in [
            ("/../etc", BadPath::DotDot),
            ("/a/..", BadPath::DotDot),
            ("/a/%2e%2e/b", BadPath::DotDot),
            ("/a/.%2E%2fb", BadPath::DotDot),
            ("/a%00b", BadPath::Nul),
            ("/a%", BadPath::Percent),
            ("/a%4", BadPath::Percent),
            ("/a%zz", BadPath::Percent),
            ("a", BadPath::Relative),
            ("", BadPath::Relative),
            ("*", BadPath::Relative),
        ] {
            assert_eq!(requested(path), Err(why), "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_to_the_same(parts in proptest::collection::vec("[^/\0]{1,8}", 1..4)) {
            let text = format!("/{}", parts.join("/"));
            if let Ok(path) = plain(&text) {
                prop_assert_eq!(requested(&encode(&path)).unwrap().path, path);
            }
        }

        #[test]
        fn a_normal_path_has_no_part_that_leads_elsewhere(text in "/[./%2eEfFab]{0,20}") {
            if let Ok(url) = requested(&text) {
                let bytes = url.path.as_os_str().as_bytes();
                let parts: Vec<_> = bytes.split(|b| *b == b'/').skip(1).collect();
                prop_assert!(bytes == b"/" || parts.iter().all(|p| !matches!(*p, b"" | b"." | b"..")), "{:?}", url);
            }
        }
    }
}

//! The names of parameters, with the dots and slashes of sysctl(8) and sysctl.d(5).

use std::fmt;
use std::path::{Path, PathBuf};

use crate::resource::UidKey;

/// Where the kernel shows its parameters.
pub(super) const ROOT: &str = "/proc/sys";

/// A parameter: the path of its file below `/proc/sys`. Two names of one parameter give equal keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(String);

impl Key {
    /// The parameter with this name. If the first separator is a slash, the name is a path; if it is a dot, all dots
    /// separate, and a slash stands for a dot: `net.ipv4.conf.eth0/1.forwarding` belongs to the interface `eth0.1`.
    pub(super) fn of(name: &str) -> Key {
        match name.find(['.', '/']).map(|at| &name[at..=at]) {
            Some(".") => Key(name.chars().map(swapped).collect()),
            _ => Key(name.to_owned()),
        }
    }

    /// The file of the parameter.
    pub(super) fn path(&self) -> PathBuf {
        Path::new(ROOT).join(&self.0)
    }

    /// The components of the name.
    pub(super) fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.chars().map(swapped).collect::<String>())
    }
}

impl UidKey for Key {
    const WORD: &'static str = "kernel parameter";
}

fn swapped(c: char) -> char {
    match c {
        '.' => '/',
        '/' => '.',
        other => other,
    }
}

/// What is wrong with a name, and the remedy.
pub(super) fn problem(name: &str) -> Option<(&'static str, &'static str)> {
    let has = |what: &[char]| name.contains(what);
    if name.is_empty() {
        Some(("is empty", "give the name of a parameter, such as `vm.swappiness`"))
    } else if name.starts_with('/') {
        Some(("is a path", "leave out `/proc/sys/`"))
    } else if has(&['*', '?', '[']) {
        Some(("names several parameters", "declare a `sysctl` for each"))
    } else if name.chars().any(|c| c.is_whitespace() || c.is_control())
        || has(&['=', '#', ';'])
        || name.starts_with('-')
    {
        Some(("is no name of a parameter", "give one such as `vm.swappiness`"))
    } else if Key::of(name).parts().any(|part| ["", ".", ".."].contains(&part)) {
        Some(("has an empty part", "give a name such as `vm.swappiness`"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_separator_decides_what_dots_and_slashes_mean() {
        for (name, path, shown) in [
            ("vm.swappiness", "vm/swappiness", "vm.swappiness"),
            ("vm/swappiness", "vm/swappiness", "vm.swappiness"),
            ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding", "net.ipv4.conf.eth0/1.forwarding"),
            ("net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding", "net.ipv4.conf.eth0/1.forwarding"),
            ("alone", "alone", "alone"),
        ] {
            let key = Key::of(name);
            assert_eq!(key.path(), Path::new(ROOT).join(path), "{name}");
            assert_eq!(key.to_string(), shown, "{name}");
            assert_eq!(Key::of(shown), key, "what is shown is a name too");
            assert!(problem(name).is_none(), "{name}");
        }
    }

    #[test]
    fn what_names_no_single_parameter_below_the_directory_is_refused() {
        let wrong =
            ["", "/proc/sys/vm", "net.*.x", "net.?", "a b", "a=b", "-vm.x", "a..b", "a/../b", "../x", "a.", ".a"];
        for name in wrong.into_iter().chain(["a\nb", "#a", "vm/./x", "a\u{b}"]) {
            assert!(problem(name).is_some(), "{name:?}");
        }
    }
}

//! Facts about this host, from the kernel, `/proc` and `/etc`. A fact that can't be read is an error, never an empty
//! text or a zero that looks like a fact.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::if_simulated;

/// Why a fact is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fact} of this host can't be known: {why}")]
#[non_exhaustive]
pub struct FactError {
    fact: &'static str,
    why: String,
}

/// The directory that is there where systemd is PID 1.
///
/// Source: sd_booted(3).
pub const SYSTEMD: &str = "/run/systemd/system";

/// The name of this host.
pub fn hostname() -> String {
    if_simulated!(host => host.hostname());
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Checks a host name that other hosts will use for this one. The rule is that of RFC 1123, section 2.1; `_` and
/// capital letters are allowed too, because host names in use contain them.
///
/// # Errors
/// What is wrong with the name.
pub fn check_hostname(name: &str) -> Result<(), String> {
    const NAME_BYTES_MAX: usize = 253;
    const LABEL_BYTES_MAX: usize = 63;
    let problem = if name.is_empty() {
        "is empty".to_owned()
    } else if name.len() > NAME_BYTES_MAX {
        format!("is {} bytes long: at most {NAME_BYTES_MAX} are allowed", name.len())
    } else if let Some(wrong) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.".contains(*c))) {
        format!("holds `{}`: letters, digits, `-`, `_` and `.` are allowed", wrong.escape_debug())
    } else if let Some(label) = name.split('.').find(|label| label.len() > LABEL_BYTES_MAX || label.is_empty()) {
        match label.is_empty() {
            true => "has a dot at an end or beside another".to_owned(),
            false => format!("has a part of {} bytes: at most {LABEL_BYTES_MAX} are allowed", label.len()),
        }
    } else if name.split('.').any(|label| label.starts_with('-') || label.ends_with('-')) {
        "has a part that begins or ends with `-`".to_owned()
    } else {
        return Ok(());
    };
    Err(format!("the host name `{}` {problem}", name.escape_debug()))
}

/// A text that only this host has, as long as it runs: not its name, which others may have too, and not its
/// `machine-id`, which copies of a machine share. Containers with a network of their own are hosts of their own.
/// `None`: the kernel does not show it.
pub fn identity() -> Option<String> {
    if_simulated!(_host => None);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).ok();
    let (net, pid) = (space("net")?, space("pid")?);
    Some(format!("{} {} {}", boot.trim(), net.display(), pid.display()))
}

/// The release of the kernel.
pub fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The first two numbers of a version: those of `2.36`, or of `6.12.0-rc1`.
pub(super) fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The number of processors that this process may use, at least 1.
pub fn cpus() -> usize {
    // The order of events must not depend on this machine.
    if_simulated!(_host => 4);
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The name of the operating system for display: `PRETTY_NAME` of `os-release`, `Linux` if the file lacks it. Without
/// such a file, the name of the kernel.
///
/// # Errors
/// The file exists and can't be read.
pub fn os(root: &Path) -> Result<String, FactError> {
    for place in ["etc/os-release", "usr/lib/os-release"] {
        match fs::read_to_string(root.join(place)) {
            Ok(text) => {
                let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
                let name = name.map(|name| name.trim_matches(['"', '\'']).to_owned());
                // os-release(5): `PRETTY_NAME` is optional, and this is its default.
                return Ok(name.filter(|name| !name.is_empty()).unwrap_or_else(|| "Linux".to_owned()));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(FactError { fact: "the operating system", why: format!("/{place}: {error}") }),
        }
    }
    Ok(rustix::system::uname().sysname().to_string_lossy().into_owned())
}

/// The value of a line of `/proc/meminfo`, in bytes. `line` is its beginning, with the colon: `MemTotal:`.
///
/// # Errors
/// The file can't be read, or lacks a line with such a beginning and a number.
pub fn memory(root: &Path, line: &str) -> Result<u64, FactError> {
    let (fact, text) = read(root, "the memory", "proc/meminfo")?;
    let value = text
        .lines()
        .find_map(|l| l.strip_prefix(line))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    let kilobytes =
        value.ok_or_else(|| FactError { fact, why: format!("/proc/meminfo has no number after `{line}`") })?;
    Ok(kilobytes * 1024)
}

/// The load average of the last minute.
///
/// # Errors
/// `/proc/loadavg` can't be read.
pub fn load(root: &Path) -> Result<f64, FactError> {
    first_number(root, "the load", "proc/loadavg")
}

/// The time since this host started, in seconds.
///
/// # Errors
/// `/proc/uptime` can't be read.
pub fn uptime(root: &Path) -> Result<u64, FactError> {
    // Whole seconds: the fraction is noise.
    first_number(root, "the uptime", "proc/uptime").map(|seconds| seconds as u64)
}

fn read(root: &Path, fact: &'static str, place: &str) -> Result<(&'static str, String), FactError> {
    match fs::read_to_string(root.join(place)) {
        Ok(text) => Ok((fact, text)),
        Err(error) => Err(FactError { fact, why: format!("/{place}: {error}") }),
    }
}

fn first_number(root: &Path, fact: &'static str, place: &str) -> Result<f64, FactError> {
    let (fact, text) = read(root, fact, place)?;
    let number = text.split_whitespace().next().and_then(|number| number.parse().ok());
    number.ok_or_else(|| FactError { fact, why: format!("/{place} does not begin with a number") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (place, text) in files {
            let path = dir.path().join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn what_is_there_is_read() {
        let dir = root(&[
            ("etc/os-release", "NAME=x\nPRETTY_NAME=\"Some System 1\"\n"),
            ("proc/meminfo", "MemTotal:  2048 kB\nMemAvailable: 1 kB\n"),
            ("proc/loadavg", "0.25 1 2 3/4 5\n"),
            ("proc/uptime", "61.75 3.2\n"),
        ]);
        let root = dir.path();
        assert_eq!(os(root), Ok("Some System 1".to_owned()));
        assert_eq!((memory(root, "MemTotal:"), memory(root, "MemAvailable:")), (Ok(2 << 20), Ok(1024)));
        assert_eq!((load(root), uptime(root)), (Ok(0.25), Ok(61)));
    }

    #[test]
    fn a_version_is_known_by_its_first_two_numbers() {
        for (text, is) in [("6.12.0-rc1+debian", (6, 12)), ("5.17-generic", (5, 17)), ("2.36\n", (2, 36))] {
            assert_eq!(version(text), Some(is));
        }
        for none in ["5", "unknown", "PRIVATE", ""] {
            assert_eq!(version(none), None);
        }
    }

    #[test]
    fn a_system_without_a_name_has_that_of_its_kernel() {
        assert_eq!(os(root(&[]).path()), Ok("Linux".to_owned()));
        assert_eq!(os(root(&[("etc/os-release", "NAME=x\n")]).path()), Ok("Linux".to_owned()));
        let other = root(&[("usr/lib/os-release", "PRETTY_NAME='Other'\n")]);
        assert_eq!(os(other.path()), Ok("Other".to_owned()));
    }

    #[test]
    fn what_can_not_be_read_is_an_error_and_no_empty_text_or_zero() {
        let dir =
            root(&[("etc/os-release/is", "a directory"), ("proc/meminfo", "MemTotal: many\n"), ("proc/uptime", "\n")]);
        let root = dir.path();
        let why = |result: Result<String, FactError>| result.unwrap_err().to_string();
        assert!(why(os(root)).starts_with("the operating system of this host can't be known: /etc/os-release: "));
        let text = |result: Result<u64, FactError>| why(result.map(|n| n.to_string()));
        let memory_error = "the memory of this host can't be known: /proc/meminfo has no number after `MemTotal:`";
        assert_eq!(text(memory(root, "MemTotal:")), memory_error);
        assert_eq!(
            text(uptime(root)),
            "the uptime of this host can't be known: /proc/uptime does not begin with a number"
        );
        assert!(why(load(root).map(|n| n.to_string())).contains("/proc/loadavg: No such file"));
    }

    #[test]
    fn names_of_hosts_are_those_that_other_hosts_can_know_them_by() {
        let long = "a".repeat(63);
        for name in
            ["a", "web1", "Web-1.example.org", "under_score", &long, &format!("{long}.{long}.{long}.{}", &long[2..])]
        {
            assert_eq!(check_hostname(name), Ok(()), "{name}");
        }
        let why = |name: &str| check_hostname(name).unwrap_err();
        assert_eq!(why(""), "the host name `` is empty");
        assert_eq!(why("a b"), "the host name `a b` holds ` `: letters, digits, `-`, `_` and `.` are allowed");
        assert!(why("a/b").contains('/') && why("\u{fc}").contains("holds") && why("a\nb").contains("\\n"));
        assert!(why(".a").contains("dot") && why("a.").contains("dot") && why("a..b").contains("dot"));
        assert!(why("-a").contains("begins or ends with `-`") && why("b.a-").contains("begins or ends"));
        assert!(why(&"a".repeat(64)).contains("a part of 64 bytes"));
        assert!(why(&"a.".repeat(127)).contains("254 bytes long"));
    }
}

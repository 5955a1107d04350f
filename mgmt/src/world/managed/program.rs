//! The program `etcd`: where it is, and whether it is new enough.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::sys::process::{Command, Env, ProcessError, run};
use crate::world::managed::error::ManagedError;

/// How long it may take to print its version.
const VERSION_MAX: Duration = Duration::from_secs(10);
/// The first version that has members without a vote.
const OLDEST: [u64; 2] = [3, 4];

/// The program, in an environment of its own: variables with the names of its options would change what it does.
pub(super) fn command(program: &Path) -> Command {
    let inherited = ["PATH", "ETCD_UNSUPPORTED_ARCH"];
    let vars = inherited.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
    Command::new(program).env(Env::Explicit(vars.collect()))
}

/// Refuses a program that is missing or too old. Returns its version.
pub(super) async fn examine(program: &Path) -> Result<String, ManagedError> {
    let shown = || program.display().to_string();
    let command = command(program).arg("--version").timeout(VERSION_MAX);
    let output = match run(&command).await {
        Err(ProcessError::NotFound { .. } | ProcessError::NoFile { .. }) => {
            return Err(ManagedError::Absent { program: shown() });
        }
        output => output?.require_success(&command)?,
    };
    let text = output.stdout.text();
    let version = version(&text).unwrap_or_else(|| "of an unknown version".to_owned());
    match is_new(&version) {
        true => Ok(version),
        false => Err(ManagedError::Old { program: shown(), version }),
    }
}

fn version(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("etcd Version:"))?;
    Some(line.trim().to_owned())
}

fn is_new(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u64>().unwrap_or_default());
    [numbers.next(), numbers.next()].map(Option::unwrap_or_default) >= OLDEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_and_compared_as_numbers() {
        assert_eq!(version("etcd Version: 3.4.23\nGit SHA: x\n").as_deref(), Some("3.4.23"));
        assert_eq!(version("usage: …"), None);
        for (version, is) in [("3.4.23", true), ("3.10.0", true), ("4.0", true), ("3.3.99", false), ("2.9", false)] {
            assert_eq!(is_new(version), is, "{version}");
        }
        assert!(!is_new("of an unknown version"));
    }

    #[tokio::test]
    async fn a_missing_program_is_named_with_its_package() {
        let error = examine(Path::new("/nonexistent/etcd")).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "the program `/nonexistent/etcd` is missing: install the package `etcd-server`, or name the program with \
             `--etcd PATH`"
        );
        let error = examine(Path::new("/bin/echo")).await.unwrap_err().to_string();
        assert!(error.contains("of an unknown version: 3.4 or later is needed"), "{error}");
    }
}

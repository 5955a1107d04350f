//! Chooses the working directory of a program.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::cli::options::RunOptions;
use crate::journal::Journal;
use crate::runtime::Prefix;
use crate::sys::ours::{NotOurs, make_dir};

/// The default working directory of a program: the environment variable `STATE_DIRECTORY`, which systemd sets. Without
/// it, as root `/var/lib/mgmt`, and as another user `mgmt` in the XDG state directory (`~/.local/state/mgmt`); a
/// program other than `mgmt` has a subdirectory with its name there.
///
/// # Errors
/// The user is not root, and neither `XDG_STATE_HOME` (as an absolute path) nor `HOME` is set.
pub fn default_prefix(program: &str) -> io::Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(state) = set("STATE_DIRECTORY") {
        // The unit can name several directories, separated by colons: use the first.
        let first = state.to_string_lossy().split(':').next().map(PathBuf::from);
        return Ok(first.unwrap_or(state));
    }
    let base = if crate::sys::users::is_root() {
        PathBuf::from("/var/lib/mgmt")
    } else {
        let state = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let home = || set("HOME").map(|home| home.join(".local/state"));
        let Some(state) = state.or_else(home) else {
            return Err(io::Error::other("no working directory: set HOME, or give --prefix DIR"));
        };
        state.join("mgmt")
    };
    Ok(if program == "mgmt" { base } else { base.join(program) })
}

/// The working directory that the environment variable `MGMT_PREFIX` selects. It is read here and not by clap, for
/// which the variable would conflict with `--tmp-prefix`.
pub(crate) fn variable() -> Option<PathBuf> {
    std::env::var_os("MGMT_PREFIX").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The working directory that the options select. With `looking`, no directory is made.
pub(crate) fn choose(options: &RunOptions, program: &str, looking: bool) -> io::Result<Prefix> {
    let temporary = || temporary(program, options.hostname.as_deref(), looking);
    if options.tmp_prefix {
        return temporary();
    }
    let path = match options.prefix.clone().or_else(variable) {
        Some(prefix) => std::path::absolute(prefix)?,
        None => default_prefix(program)?,
    };
    if looking {
        return Prefix::at(&path);
    }
    let usable = make(&path).and_then(|()| if options.allow_tmp_prefix { probe(&path) } else { Ok(()) });
    match usable {
        Ok(()) => Prefix::at(&path),
        Err(error) if options.allow_tmp_prefix => {
            tracing::warn!(target: "mgmt", "{} can't be used ({error}): working in a temporary directory", path.display());
            temporary()
        }
        Err(error) => Err(io::Error::other(format!(
            "the working directory {} can't be used: {error}; give --prefix DIR or --tmp-prefix",
            path.display()
        ))),
    }
}

fn make(path: &Path) -> io::Result<()> {
    make_dir(path).map(drop).map_err(|error| match error {
        NotOurs::Io { source, .. } => source,
        error => io::Error::other(error),
    })
}

/// Fails if an engine could not use the directory now, for example because another engine does.
fn probe(path: &Path) -> io::Result<()> {
    Journal::open(path).map(drop).map_err(io::Error::other)
}

fn temporary(program: &str, hostname: Option<&str>, looking: bool) -> io::Result<Prefix> {
    let host = hostname.map_or_else(crate::sys::facts::hostname, str::to_owned);
    let prefix = Prefix::temporary(&format!("{program}-{host}"))?;
    if !looking {
        std::fs::DirBuilder::new().mode(0o700).create(prefix.path())?;
    }
    Ok(prefix)
}

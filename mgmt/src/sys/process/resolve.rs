//! Finds the file of a command's program, and the reason why it could not be started.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::account::Identity;
use super::command::{Command, Env};
use super::error::ProcessError;
use super::escape::escape_lossless;
use crate::id::shortened;

/// The most characters of a program's name in a message.
const SHOWN_CHARS_MAX: usize = 300;
/// The directories to search if the command has no `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Command {
    /// The name of the program for messages.
    pub(super) fn shown(&self) -> String {
        shortened(&escape_lossless(self.program.as_bytes()), SHOWN_CHARS_MAX)
    }

    /// Refuses values that can't be passed to the kernel, or would change their meaning on the way.
    pub(super) fn validate(&self) -> Result<(), ProcessError> {
        let fail = |why: &str| Err(ProcessError::Invalid { program: self.shown(), why: why.to_owned() });
        let nul = |text: &OsString| text.as_bytes().contains(&0);
        if self.program.is_empty() {
            return fail("the command is empty");
        }
        if nul(&self.program) || self.args.iter().any(nul) {
            return fail("an argument contains a NUL byte");
        }
        if self.cwd.as_ref().is_some_and(|dir| dir.as_os_str().as_bytes().contains(&0)) {
            return fail("the working directory contains a NUL byte");
        }
        let explicit = match &self.env {
            Env::Inherit => &[][..],
            Env::Explicit(vars) => vars,
        };
        let vars = explicit.iter().map(|(n, v)| (n, Some(v))).chain(self.vars.iter().map(|(n, v)| (n, v.as_ref())));
        for (name, value) in vars {
            if name.is_empty() || name.as_bytes().contains(&b'=') || nul(name) {
                return fail(&format!("`{}` cannot be the name of a variable", escape_lossless(name.as_bytes())));
            }
            if value.is_some_and(nul) {
                return fail(&format!("variable `{}` contains a NUL byte", escape_lossless(name.as_bytes())));
            }
        }
        Ok(())
    }

    /// The file of the program: the one that `execvp` would find with the command's own `PATH` and working directory.
    pub(super) fn resolve(&self) -> Result<PathBuf, ProcessError> {
        let base = self.cwd.as_deref().unwrap_or(Path::new(""));
        if self.program.as_bytes().contains(&b'/') {
            // Absolute also if `cwd` is relative: the child changes to `cwd` before it starts the program.
            let path = base.join(&self.program);
            return std::path::absolute(&path).map_err(|source| self.spawn_error(source));
        }
        let dirs = self.lookup("PATH").unwrap_or_else(|| PATH.into());
        let mut refused = None;
        for dir in std::env::split_paths(&dirs) {
            let path = base.join(dir).join(&self.program);
            match fs::metadata(&path) {
                Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => {
                    return std::path::absolute(&path).map_err(|source| self.spawn_error(source));
                }
                Ok(meta) if meta.is_file() => refused = refused.or(Some(path)),
                _ => {}
            }
        }
        match refused {
            Some(path) => Err(self.not_executable(path, "it has no execute permission")),
            None => Err(ProcessError::NotFound { program: self.shown(), path: escape_lossless(dirs.as_bytes()) }),
        }
    }

    fn spawn_error(&self, source: io::Error) -> ProcessError {
        ProcessError::Spawn { program: self.shown(), source }
    }

    fn not_executable(&self, path: PathBuf, why: &str) -> ProcessError {
        ProcessError::NotExecutable { program: self.shown(), path, why: why.to_owned() }
    }

    /// Fails as a start would if the program's file or the working directory is missing or of the wrong sort.
    pub(super) fn look(&self, path: &Path) -> io::Result<()> {
        if let Some(cwd) = &self.cwd
            && !fs::metadata(cwd)?.is_dir()
        {
            return Err(Errno::NOTDIR.into());
        }
        let found = fs::metadata(path)?;
        let is_program = found.is_file() && found.permissions().mode() & 0o111 != 0;
        if is_program { Ok(()) } else { Err(Errno::ACCESS.into()) }
    }

    /// The error that describes why the start failed.
    pub(super) fn explain(&self, path: PathBuf, who: Option<&Identity>, source: io::Error) -> ProcessError {
        let program = self.shown();
        let bad_cwd = |cwd: &Path, why: &str| ProcessError::Cwd {
            program: self.shown(),
            cwd: cwd.to_owned(),
            why: why.to_owned(),
        };
        if let Some(cwd) = &self.cwd {
            match fs::metadata(cwd) {
                Err(error) => return bad_cwd(cwd, &error.to_string()),
                Ok(meta) if !meta.is_dir() => return bad_cwd(cwd, "it is not a directory"),
                Ok(_) => {}
            }
        }
        match Errno::from_io_error(&source) {
            Some(Errno::AGAIN) => ProcessError::NoProcess { program, source },
            Some(Errno::NOENT) if !path.exists() => ProcessError::NoFile { program, path },
            Some(Errno::NOENT) => ProcessError::NoInterpreter { program, interpreter: interpreter(&path) },
            Some(Errno::NOEXEC) => {
                self.not_executable(path, "it is neither a binary for this machine nor a script with a `#!` line")
            }
            Some(Errno::ACCESS) => {
                let absolute = self.cwd.as_ref().map(|cwd| std::path::absolute(cwd).unwrap_or_else(|_| cwd.clone()));
                if let Some(cwd) = absolute.filter(|cwd| !passable(cwd, who)) {
                    return bad_cwd(&cwd, "permission denied");
                }
                let why = match fs::metadata(&path) {
                    Ok(meta) if meta.is_dir() => "it is a directory",
                    Ok(meta) if meta.permissions().mode() & 0o111 == 0 => "it has no execute permission",
                    _ => "permission denied",
                };
                self.not_executable(path, why)
            }
            Some(Errno::PERM) if who.is_some() => {
                let who = self.user.as_ref().map(|user| format!("user {user}"));
                let who = who.or_else(|| self.group.as_ref().map(|group| format!("group {group}"))).unwrap_or_default();
                ProcessError::Account { program, who, why: "only root can run commands as another user".to_owned() }
            }
            _ => self.spawn_error(source),
        }
    }
}

/// Whether this user may enter the directory, by the permissions of all directories on the way.
fn passable(dir: &Path, who: Option<&Identity>) -> bool {
    let Some(who) = who.filter(|who| who.uid != 0) else { return true };
    dir.ancestors().all(|dir| {
        let Ok(meta) = fs::metadata(dir) else { return true };
        let shift = match () {
            () if meta.uid() == who.uid => 6,
            () if meta.gid() == who.gid || who.groups.contains(&meta.gid()) => 3,
            () => 0,
        };
        meta.mode() >> shift & 1 != 0
    })
}

/// The interpreter that the file needs to start, for messages.
fn interpreter(path: &Path) -> String {
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(256).read_to_end(&mut start));
    let line = start.split(|b| *b == b'\n').next().unwrap_or_default();
    match (read, line.strip_prefix(b"#!")) {
        (Ok(_), Some(rest)) => {
            let rest = rest.trim_ascii();
            let word = rest.split(u8::is_ascii_whitespace).next().unwrap_or_default();
            format!("`{}`", OsString::from_vec(word.to_vec()).to_string_lossy().escape_debug())
        }
        _ => "(the dynamic loader)".to_owned(),
    }
}

//! Writes the text of a systemd unit that runs a graph.

use std::fmt::Write as _;
use std::path::Path;

use crate::sys::unit_text::assignment;

/// The parts of a unit that differ between services.
#[derive(Debug)]
pub(crate) struct Unit<'a> {
    /// The description, one line, see [`described`].
    pub(crate) about: String,
    /// The first line, as a comment.
    pub(crate) origin: String,
    /// The program and its arguments, each as a word of `ExecStart`, see `sys::unit_text`.
    pub(crate) exec: &'a [String],
    /// The directory in which the program runs, as `WorkingDirectory=` reads it, see [`directory`]. `None`: the default
    /// of systemd.
    pub(crate) directory: Option<String>,
    /// Variables of the environment, `NAME=VALUE`.
    pub(crate) environment: &'a [String],
    /// The working directory of the engine, relative to `/var/lib`. `None`: an option selects it, or it is the user's
    /// default.
    pub(crate) state_directory: Option<&'a str>,
    /// Whether the unit is for the service manager of one user.
    pub(crate) user: bool,
}

/// The first line of each unit that `setup svc` writes, before and after the program's name.
const WRITTEN: (&str, &str) = ("# Written by `", " setup svc`");

/// The first line of a unit that `setup svc` of this program writes.
pub(crate) fn written_by(program: &str) -> String {
    format!("{}{program}{}, which replaces this file: make changes with `systemctl edit`.", WRITTEN.0, WRITTEN.1)
}

/// Whether `setup svc` has written the unit with this text.
pub(crate) fn is_ours(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix(WRITTEN.0).is_some_and(|rest| rest.contains(WRITTEN.1))
}

impl Unit<'_> {
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n[Unit]\nDescription={}\n", self.origin, self.about);
        let _ = write!(text, "\n[Service]\nType=notify\nExecStart={}\n", self.exec.join(" "));
        if let Some(directory) = &self.directory {
            let _ = writeln!(text, "WorkingDirectory={directory}");
        }
        for variable in self.environment {
            let _ = writeln!(text, "Environment={}", assignment(variable));
        }
        text.push_str("ExecReload=/bin/kill -HUP $MAINPID\n");
        if let Some(directory) = self.state_directory {
            let _ = write!(text, "StateDirectory={directory}\nStateDirectoryMode=0700\n");
        }
        text.push_str(
            "# Ready is when everything has converged for the first time, however long that takes.\n\
             TimeoutStartSec=infinity\n\
             # Repairs under way may end.\n\
             TimeoutStopSec=5min\n\
             # What commands of the graph have started in the background is not part of this service.\n\
             KillMode=process\n\
             OOMPolicy=continue\n\
             Restart=on-failure\n\
             RestartSec=5s\n\
             WatchdogSec=2min\n\
             # Options that give the service a view of its own of the file system are not set: what it mounts and\n\
             # writes must be seen by all.\n\
             LockPersonality=yes\n\
             RestrictRealtime=yes\n",
        );
        if !self.user {
            text.push_str("KeyringMode=private\n");
        }
        let target = if self.user { "default.target" } else { "multi-user.target" };
        let _ = write!(text, "\n[Install]\nWantedBy={target}\n");
        text
    }
}

/// The first line of a text, escaped for `Description=`.
pub(crate) fn described(text: &str) -> String {
    text.lines().next().unwrap_or_default().replace('%', "%%")
}

/// A directory as the value of `WorkingDirectory=`. With `optional`, the unit also starts if there is no such
/// directory, and then runs in `/`. `None`: no unit can name it.
///
/// Source: systemd.exec(5), "WorkingDirectory="; systemd.syntax(7).
pub(crate) fn directory(path: &Path, optional: bool) -> Option<String> {
    let text = path.to_str().filter(|text| !text.contains(char::is_control))?;
    // The value is not quoted: a space at its end would be lost, and a backslash there continues the line.
    let is_whole = text == text.trim() && !text.ends_with('\\');
    is_whole.then(|| format!("{}{}", if optional { "-" } else { "" }, text.replace('%', "%%")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_no_unit_can_name_has_no_value() {
        let value = |path: &str| directory(Path::new(path), false);
        assert_eq!(value("/srv/a b").as_deref(), Some("/srv/a b"));
        for path in ["/srv/a ", "/srv/a\\", "/srv/a\nb"] {
            assert_eq!(value(path), None, "{path:?}");
        }
    }

    #[test]
    fn a_unit_is_known_by_its_first_line() {
        let (origin, about) = (written_by("site"), described("100% of it\nand more"));
        let environment = ["A=b $c %d".to_owned()];
        let directory = directory(Path::new("/srv/my 100% site"), true);
        let unit =
            Unit { origin, about, exec: &[], directory, environment: &environment, state_directory: None, user: true };
        assert!(is_ours(&unit.text()), "{}", unit.text());
        assert!(unit.text().contains("Description=100%% of it\n"), "{}", unit.text());
        assert!(unit.text().contains("\nWorkingDirectory=-/srv/my 100%% site\n"), "{}", unit.text());
        assert!(unit.text().contains("\nEnvironment=\"A=b $c %%d\"\n"), "{}", unit.text());
        assert!(!is_ours("[Unit]\nDescription=site\n# Written by `site setup svc`\n"));
        assert!(!is_ours(""));
    }
}

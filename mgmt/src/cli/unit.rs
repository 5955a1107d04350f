//! Writes the text of a systemd unit that runs a graph.

use std::fmt::Write as _;

/// The parts of a unit that differ between services.
#[derive(Debug)]
pub(crate) struct Unit<'a> {
    /// The description, one line, see [`described`].
    pub(crate) about: String,
    /// The first line, as a comment.
    pub(crate) origin: String,
    /// The program and its arguments, each as a word of `ExecStart`, see [`quoted`].
    pub(crate) exec: &'a [String],
    /// The working directory, relative to `/var/lib`. `None`: an option selects it, or it is the user's default.
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

/// The word of `ExecStart=` that systemd reads as exactly this text.
///
/// Source: systemd.service(5), "Command lines".
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@^~".contains(c);
    let mut text = String::new();
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '%' | '$' => text.extend([c, c]),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(text, "\\x{byte:02x}");
                }
            }
            c => text.push(c),
        }
    }
    if !word.is_empty() && word.chars().all(is_plain) { text } else { format!("\"{text}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_word_stays_and_all_else_is_quoted() {
        for plain in ["run", "--yaml=/etc/mgmt/site.yaml", "-t", "5"] {
            assert_eq!(quoted(plain), plain);
        }
        for (word, text) in [
            ("", r#""""#),
            ("two words", r#""two words""#),
            ("100%", r#""100%%""#),
            ("$HOME", r#""$$HOME""#),
            (r#"a"b\c"#, r#""a\"b\\c""#),
            ("';", r#""';""#),
            ("a\nb", r#""a\x0ab""#),
            ("ü", "\"ü\""),
        ] {
            assert_eq!(quoted(word), text, "{word:?}");
        }
    }

    #[test]
    fn a_unit_is_known_by_its_first_line() {
        let (origin, about) = (written_by("site"), described("100% of it\nand more"));
        let unit = Unit { origin, about, exec: &[], state_directory: None, user: true };
        assert!(is_ours(&unit.text()), "{}", unit.text());
        assert!(unit.text().contains("Description=100%% of it\n"), "{}", unit.text());
        assert!(!is_ours("[Unit]\nDescription=site\n# Written by `site setup svc`\n"));
        assert!(!is_ours(""));
    }
}

//! Scripts that survive any login shell. The command is always the same, and has nothing in it that a shell reads in
//! its own way: it starts `/bin/sh`, which reads one line, the script, from its standard input. What follows that line
//! is the input of the script.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// The command: no backslash (fish), no `!` (csh), no newline (csh), one pair of single quotes.
pub(super) const COMMAND: &str = "exec /bin/sh -c 'IFS= read -r s && eval \"$(printf %b \"$s\")\"'";

/// The same for a shell that is started by a program that takes words, such as sudo.
pub(super) const LOADER: &str = "IFS= read -r s && eval \"$(printf %b \"$s\")\"";

/// A script in the making: variables, and a text that uses them.
#[derive(Default)]
pub(super) struct Script(Vec<u8>);

impl Script {
    /// Sets a variable of the shell.
    #[must_use]
    pub(super) fn set(mut self, name: &str, value: impl AsRef<OsStr>) -> Script {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'=');
        quote(&mut self.0, value.as_ref());
        self.0.push(b'\n');
        self
    }

    /// Sets the positional parameters.
    #[must_use]
    pub(super) fn words<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, words: I) -> Script {
        self.0.extend_from_slice(b"set --");
        for word in words {
            self.0.push(b' ');
            quote(&mut self.0, word.as_ref());
        }
        self.0.push(b'\n');
        self
    }

    /// Adds lines of the shell.
    #[must_use]
    pub(super) fn text(mut self, text: &str) -> Script {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'\n');
        self
    }

    /// The one line that the command reads.
    pub(super) fn line(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(self.0.len() + 64);
        for byte in &self.0 {
            match byte {
                b'\n' => line.extend_from_slice(b"\\n"),
                b'\\' => line.extend_from_slice(b"\\\\"),
                byte => line.push(*byte),
            }
        }
        line.push(b'\n');
        line
    }
}

/// Appends a word that the shell reads as exactly these bytes.
fn quote(out: &mut Vec<u8>, word: &OsStr) {
    out.push(b'\'');
    for byte in word.as_bytes() {
        match byte {
            b'\'' => out.extend_from_slice(b"'\\''"),
            byte => out.push(*byte),
        }
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io::Write as _;
    use std::os::unix::ffi::OsStringExt as _;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;

    /// What the script prints, and the rest of its input, when this shell gets the command.
    fn run(shell: &str, script: &Script, input: &[u8]) -> Vec<u8> {
        let mut command = Command::new(shell);
        command.args(["-c", COMMAND]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&[&script.line(), input].concat()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{shell}");
        output.stdout
    }

    /// Those of the shells that are installed.
    fn shells() -> Vec<&'static str> {
        let all = ["/bin/sh", "/bin/bash", "/bin/dash", "/usr/bin/zsh", "/usr/bin/fish", "/bin/csh", "/bin/tcsh"];
        all.into_iter().filter(|path| std::path::Path::new(path).exists()).collect()
    }

    #[test]
    fn words_arrive_as_they_are_through_every_shell_with_the_input_behind_them() {
        let words =
            ["", "a b", "$HOME `id` $(id)", "it's", "\\n \\\\ %s", "!x !!", "*", "a\nb\n", "ä", "-n", "\t\r\x1b"];
        let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
        words.push(OsString::from_vec(vec![0xff, 0xfe, b'\'']));
        let script = Script::default().set("N", "n").words(&words).text("printf '%s\\0' \"$N\" \"$@\"; cat");
        let mut expected: Vec<u8> = b"n\0".to_vec();
        words.iter().for_each(|word| expected.extend([word.as_bytes(), b"\0"].concat()));
        expected.extend_from_slice(b"rest\n\\n\0'end");
        for shell in shells() {
            assert_eq!(run(shell, &script, b"rest\n\\n\0'end"), expected, "{shell}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_word_arrives_as_it_is(words in proptest::collection::vec(proptest::collection::vec(1u8.., 0..40), 0..4)) {
            let words: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
            let script = Script::default().words(&words).text("printf '%s\\0' x \"$@\"");
            let mut expected: Vec<u8> = b"x\0".to_vec();
            words.iter().for_each(|word| expected.extend([word.as_bytes(), b"\0"].concat()));
            prop_assert_eq!(run("/bin/sh", &script, b""), expected);
        }
    }
}

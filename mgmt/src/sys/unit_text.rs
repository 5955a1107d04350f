//! Words of unit files, written so that systemd reads them as they are meant.

use std::fmt::Write as _;

/// The word of `ExecStart=` that systemd reads as exactly this text.
///
/// Source: systemd.service(5), "Command lines".
pub fn command_word(text: &str) -> String {
    word(text, "%$")
}

/// The value of `Environment=` that systemd reads as exactly this assignment, `NAME=VALUE`.
///
/// Source: systemd.exec(5), "Environment=".
#[cfg(any(feature = "cli", feature = "ssh"))]
pub fn assignment(text: &str) -> String {
    word(text, "%")
}

/// A word as systemd splits them. `doubled`: the characters that begin a substitution there.
fn word(given: &str, doubled: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@^~".contains(c);
    let mut text = String::new();
    for c in given.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if doubled.contains(c) => text.extend([c, c]),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(text, "\\x{byte:02x}");
                }
            }
            c => text.push(c),
        }
    }
    if !given.is_empty() && given.chars().all(is_plain) { text } else { format!("\"{text}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_word_stays_and_all_else_is_quoted() {
        for plain in ["run", "--yaml=/etc/mgmt/site.yaml", "-t", "5"] {
            assert_eq!(command_word(plain), plain);
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
            assert_eq!(command_word(word), text, "{word:?}");
        }
    }
}

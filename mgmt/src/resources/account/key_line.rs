//! A public key as a line of `authorized_keys(5)` has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The beginnings of the types of keys. No option begins like one of these.
const TYPES: [&str; 4] = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-sha2-"];

/// A key, with what is around it in its line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyLine {
    /// As in the line: separated by commas; empty if there are none.
    pub(super) options: String,
    /// Such as `ssh-ed25519`.
    pub(super) algorithm: String,
    /// The key itself, in base64.
    pub(super) body: String,
    pub(super) comment: String,
}

impl KeyLine {
    /// Reads a line without its end; `None`: it holds no key, such as a comment.
    pub(super) fn parse(line: &str) -> Option<KeyLine> {
        let line = line.trim_matches([' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (options, rest) = if is_type(word(line).0) { ("", line) } else { word(line) };
        let (algorithm, rest) = word(rest);
        let (body, comment) = word(rest);
        (is_type(algorithm) && !body.is_empty()).then(|| KeyLine {
            options: options.to_owned(),
            algorithm: algorithm.to_owned(),
            body: body.to_owned(),
            comment: comment.to_owned(),
        })
    }

    /// The line, without its end.
    pub(super) fn line(&self) -> String {
        let words = [&self.options, &self.algorithm, &self.body, &self.comment];
        let words: Vec<&str> = words.into_iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
        words.join(" ")
    }

    /// What is wrong with the key itself.
    pub(super) fn problem(algorithm: &str, body: &str) -> Option<String> {
        if !is_type(algorithm) || algorithm.contains(|c: char| !c.is_ascii_alphanumeric() && !"-@.".contains(c)) {
            return Some(format!("`{}` is not the type of a key", algorithm.escape_debug()));
        }
        let Ok(bytes) = STANDARD.decode(body) else {
            let is_private = body.contains("PRIVATE KEY");
            let what = if is_private { "is a private key: give the public one" } else { "is not a key in base64" };
            return Some(what.to_owned());
        };
        let named = bytes.split_first_chunk().and_then(|(length, rest)| {
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            rest.get(..length)
        });
        match named {
            Some(named) if named == algorithm.as_bytes() => None,
            Some(named) if is_type(&String::from_utf8_lossy(named)) => {
                Some(format!("is a key of the type `{}`, not `{algorithm}`", String::from_utf8_lossy(named)))
            }
            _ => Some("is not a whole key".to_owned()),
        }
    }
}

fn is_type(word: &str) -> bool {
    TYPES.iter().any(|start| word.starts_with(start))
}

/// The first word of a text, and what follows it. A blank between quotation marks ends no word.
fn word(text: &str) -> (&str, &str) {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b' ' | b'\t' if !is_quoted => return (&text[..at], text[at..].trim_start_matches([' ', '\t'])),
            b'"' if !is_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        is_escaped = byte == b'\\' && !is_escaped;
    }
    (text, "")
}

/// What is wrong with an option: it would not stay one option.
pub(super) fn wrong_option(option: &str) -> Option<&'static str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for c in option.chars() {
        match c {
            c if c.is_control() => return Some("holds a control character"),
            ' ' if !is_quoted => return Some("holds a blank outside of quotation marks"),
            ',' if !is_quoted => return Some("holds a comma outside of quotation marks: give each option by itself"),
            '"' if !is_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    match option {
        "" => Some("is empty"),
        _ if is_quoted => Some("has an open quotation mark"),
        _ if option.starts_with('#') || is_type(option) => Some("is not an option"),
        _ => None,
    }
}

//! Arbitrary bytes as text that can be shown, without loss.

use std::fmt::Write as _;

use crate::id::is_hidden;

/// The bytes as one line of text from which they can be restored. Printable UTF-8 stays, a backslash becomes `\\`, and
/// everything else (newlines, control and direction-changing characters, bytes that are not UTF-8) becomes an escape:
/// `\n`, `\t`, `\r`, `\x1b`, `\u{202e}`.
pub fn escape_lossless(bytes: &[u8]) -> String {
    escape(bytes, false)
}

/// Like [`escape_lossless`], but newlines and tabs stay: for text of several lines.
pub fn escape_text(bytes: &[u8]) -> String {
    escape(bytes, true)
}

fn escape(bytes: &[u8], lines: bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' | '\t' if lines => out.push(c),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                // One byte of UTF-8, so `\xNN` is that byte.
                c if c.is_ascii_control() => push(&mut out, format_args!("\\x{:02x}", c as u32)),
                c if is_hidden(c) => push(&mut out, format_args!("\\u{{{:x}}}", c as u32)),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            push(&mut out, format_args!("\\x{byte:02x}"));
        }
    }
    out
}

fn push(out: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unescape(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '\\' {
                out.extend(c.encode_utf8(&mut [0; 4]).bytes());
                continue;
            }
            match chars.next().unwrap() {
                '\\' => out.push(b'\\'),
                'n' => out.push(b'\n'),
                't' => out.push(b'\t'),
                'r' => out.push(b'\r'),
                'x' => {
                    let hex: String = chars.by_ref().take(2).collect();
                    out.push(u8::from_str_radix(&hex, 16).unwrap());
                }
                'u' => {
                    let hex: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                    let c = char::from_u32(u32::from_str_radix(&hex, 16).unwrap()).unwrap();
                    out.extend(c.encode_utf8(&mut [0; 4]).bytes());
                }
                other => panic!("unknown escape {other}"),
            }
        }
        out
    }

    #[test]
    fn readable_text_stays_and_everything_else_is_escaped() {
        assert_eq!(escape_lossless("grüße".as_bytes()), "grüße");
        assert_eq!(escape_lossless(b"a\nb\tc\r\\"), "a\\nb\\tc\\r\\\\");
        assert_eq!(escape_text(b"a\nb\tc\r"), "a\nb\tc\\r");
        assert_eq!(escape_lossless(b"\x1b[31mred\x00\x7f"), "\\x1b[31mred\\x00\\x7f");
        assert_eq!(escape_lossless(b"\xff\xfe\xc3"), "\\xff\\xfe\\xc3");
        assert_eq!(escape_lossless("\u{85}\u{202e}\u{feff}".as_bytes()), "\\u{85}\\u{202e}\\u{feff}");
    }

    proptest! {
        #[test]
        fn escaping_loses_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(unescape(&escape_lossless(&bytes)), bytes.clone());
            prop_assert_eq!(unescape(&escape_text(&bytes)), bytes);
        }

        #[test]
        fn a_line_is_one_line_and_has_no_control_character(text in any::<String>()) {
            let line = escape_lossless(text.as_bytes());
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert_eq!(unescape(&line), text.into_bytes());
        }
    }
}

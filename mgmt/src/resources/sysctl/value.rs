//! When two values are the same for the kernel.

/// Whether two values are the same: the words are compared, whatever the blanks or tabs between them; a number may be
/// in another base (`0x10`, `020`), as the kernel reads it.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split_whitespace(), other.split_whitespace());
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || number(a).is_some_and(|a| number(b) == Some(a)) => {}
            _ => return false,
        }
    }
}

fn number(word: &str) -> Option<i128> {
    let (sign, digits) = word.strip_prefix('-').map_or((1, word), |digits| (-1, digits));
    let (digits, base) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    // The parser of the standard library would accept another sign.
    let is_number = digits.bytes().next().is_some_and(|first| first.is_ascii_hexdigit());
    is_number.then(|| i128::from_str_radix(digits, base).ok()).flatten().map(|number| sign * number)
}

/// A value in one line: the words with single blanks between them.
pub(super) fn shown(value: &str) -> String {
    let words = value.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() { "empty".to_owned() } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_bases_make_no_difference_and_all_else_does() {
        for (one, other) in [
            ("4096 131072 6291456", "4096\t131072\t6291456\n"),
            (" 1 ", "1"),
            ("", "\n"),
            ("0x10", "16"),
            ("020", "16"),
            ("-1", "-01"),
            ("0", "00"),
            ("|/usr/lib/core %P %u", "|/usr/lib/core  %P %u"),
        ] {
            assert!(is_same(one, other) && is_same(other, one), "{one:?} {other:?}");
        }
        for (one, other) in
            [("1", "10"), ("1 2", "1"), ("", "0"), ("08", "8"), ("a", "A"), ("+1", "1"), ("0x", "0"), ("--1", "1")]
        {
            assert!(!is_same(one, other) && !is_same(other, one), "{one:?} {other:?}");
        }
    }
}

//! Versions of Debian packages: their order, as section 5.6.12 of the Debian policy defines it.

use std::cmp::Ordering;

/// Compares two versions, such as `1:2.3~rc1-4`.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    let (one, other) = (Parts::of(one), Parts::of(other));
    let of_epochs = one.epoch.cmp(&other.epoch);
    of_epochs.then_with(|| by_runs(one.upstream, other.upstream)).then_with(|| by_runs(one.revision, other.revision))
}

struct Parts<'a> {
    epoch: u64,
    upstream: &'a str,
    revision: &'a str,
}

impl Parts<'_> {
    fn of(version: &str) -> Parts<'_> {
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        Parts { epoch: epoch.parse().unwrap_or(0), upstream, revision }
    }
}

/// Compares a run of other characters and a run of digits in turn.
fn by_runs<'a>(mut one: &'a str, mut other: &'a str) -> Ordering {
    while !one.is_empty() || !other.is_empty() {
        let (words, rests) = split(one, other, |c| !c.is_ascii_digit());
        (one, other) = rests;
        let of_words = by_characters(words.0, words.1);
        let (digits, rests) = split(one, other, |c| c.is_ascii_digit());
        (one, other) = rests;
        let of_digits = || {
            let (one, other) = (digits.0.trim_start_matches('0'), digits.1.trim_start_matches('0'));
            one.len().cmp(&other.len()).then_with(|| one.cmp(other))
        };
        let order = of_words.then_with(of_digits);
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

type Both<'a> = (&'a str, &'a str);

/// The beginnings of both that consist of such characters, and the rests.
fn split<'a>(one: &'a str, other: &'a str, is: fn(char) -> bool) -> (Both<'a>, Both<'a>) {
    let cut = |text: &'a str| text.split_at(text.find(|c| !is(c)).unwrap_or(text.len()));
    let ((a, one), (b, other)) = (cut(one), cut(other));
    ((a, b), (one, other))
}

/// `~` sorts before the end, the end before letters, and letters before all else.
fn by_characters(one: &str, other: &str) -> Ordering {
    let rank = |c: Option<char>| match c {
        Some('~') => (0, '~'),
        None => (1, ' '),
        Some(c) if c.is_ascii_alphabetic() => (2, c),
        Some(c) => (3, c),
    };
    let (mut one, mut other) = (one.chars(), other.chars());
    loop {
        let (a, b) = (one.next(), other.next());
        let order = rank(a).cmp(&rank(b));
        if order.is_ne() || a.is_none() {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_the_policy_says() {
        let ascending = [
            "0~~",
            "0~~a",
            "0~",
            "0",
            "0a",
            "0b",
            "0+",
            "1.0~rc1-1",
            "1.0-0.1",
            "1.0-1~deb12u1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-2",
            "1.0.1-1",
            "1.2",
            "1.10",
            "2",
            "1:0.1",
            "10:0",
        ];
        for (at, one) in ascending.iter().enumerate() {
            for (other_at, other) in ascending.iter().enumerate() {
                assert_eq!(compare(one, other), at.cmp(&other_at), "{one} and {other}");
            }
        }
        for (one, other) in [("1.0", "1.0-0"), ("0:1", "1"), ("1.00", "1.0"), ("1.a", "1.a0")] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} and {other}");
        }
    }
}

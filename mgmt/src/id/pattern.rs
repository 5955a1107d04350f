//! Patterns of names.

/// Whether a text fits a pattern, in which `*` stands for any text and `?` for one character. Takes time in proportion
/// to the product of both lengths at most.
pub(crate) fn is_like(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Where to continue if the text after a star does not fit: the pattern after it, and the text that the star has not
    // taken.
    let mut star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let rest = text.clone();
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                star = Some((pattern.clone(), rest.clone()));
                text = rest;
                if pattern.as_str().is_empty() {
                    return true;
                }
                continue;
            }
            (Some('?'), Some(_)) => continue,
            (Some(a), Some(b)) if a == b => continue,
            _ => {}
        }
        let Some((after, taken)) = &mut star else { return false };
        if taken.next().is_none() {
            return false;
        }
        (pattern, text) = (after.clone(), taken.clone());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_a_question_mark_for_one_character() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("*", "", true),
            ("*", "/etc/motd", true),
            ("/etc/*", "/etc/ssh/sshd_config", true),
            ("/etc/*", "/var/etc/", false),
            ("*.conf", "/etc/a.conf.d/b.conf", true),
            ("*.conf", "/etc/a.confx", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("??", "größe", false),
            ("gr??e", "größe", true),
            ("**?", "", false),
            ("a", "A", false),
            ("web?", "webä", true),
            ("web?", "web", false),
            ("[ab]", "a", false),
        ] {
            assert_eq!(is_like(pattern, text), fits, "{pattern} {text}");
        }
        // No pattern takes exponential time.
        assert!(!is_like(&"*a".repeat(200), &format!("{}b", "a".repeat(2000))));
    }

    proptest! {
        #[test]
        fn a_text_matches_itself_and_itself_with_any_part_replaced(text in "[a-c/]{0,12}", from in 0usize..13, to in 0usize..13) {
            prop_assert!(is_like(&text, &text));
            let (from, to) = (from.min(text.len()), to.min(text.len()));
            let (from, to) = (from.min(to), from.max(to));
            let pattern = format!("{}*{}", &text[..from], &text[to..]);
            prop_assert!(is_like(&pattern, &text), "{}", pattern);
            prop_assert!(is_like(&"?".repeat(text.len()), &text));
            let longer = format!("{text}x");
            prop_assert!(!is_like(&text, &longer));
        }
    }
}

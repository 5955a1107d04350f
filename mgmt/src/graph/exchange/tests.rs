//! The keys of exports, and the patterns of rules.

use proptest::prelude::*;

use crate::graph::exchange::keys::{export_key, offer_of};
use crate::graph::exchange::offers::OfferKey;
use crate::graph::exchange::pattern::matches;

#[test]
fn patterns_match_whole_names() {
    for (pattern, text, is_match) in [
        ("*", "", true),
        ("*", "/a/b", true),
        ("", "", true),
        ("", "a", false),
        ("/etc/*.conf", "/etc/a.b.conf", true),
        ("/etc/*.conf", "/etc/a.conf.d", false),
        ("web?", "web1", true),
        ("web?", "web", false),
        ("web?", "webä", true),
        ("*a*b*", "xaxbx", true),
        ("*a*b*", "xbxax", false),
        ("a", "ab", false),
        ("[ab]", "a", false),
    ] {
        assert_eq!(matches(pattern, text), is_match, "{pattern} {text}");
    }
    // Not one that takes for ever.
    assert!(!matches(&"*a".repeat(50), &"a".repeat(49).repeat(40).replace("aa", "ab")));
}

#[test]
fn keys_are_in_the_documented_places() {
    assert_eq!(export_key(None, "file", "web1", "/etc/motd"), "/mgmt/exports/*/file/web1/%2Fetc%2Fmotd");
    assert_eq!(export_key(Some("db"), "http:file", "web1", "a b"), "/mgmt/exports/db/http:file/web1/a%20b");
    // No host is all hosts by its name.
    assert_eq!(export_key(Some("*"), "noop", "*", "*"), "/mgmt/exports/%2A/noop/%2A/%2A");
    for senseless in ["", "/mgmt/exports/*/file/web1", "/mgmt/exports/*/file/web1/a/b", "/mgmt/exports/*/file/web1/%2f"]
    {
        assert_eq!(offer_of(senseless), None, "{senseless}");
    }
}

proptest! {
    #[test]
    fn a_key_gives_back_what_it_was_made_of(to in any::<Option<String>>(), kind: String, host: String, name: String) {
        let key = export_key(to.as_deref(), &kind, &host, &name);
        prop_assert_eq!(offer_of(&key), Some((OfferKey { kind, host, name }, to.is_some())));
        prop_assert!(key.is_ascii() && !key.chars().any(char::is_control));
    }

    #[test]
    fn a_text_matches_itself_and_itself_with_any_part_replaced(text in "[a-c/]{0,12}", from in 0usize..13, to in 0usize..13) {
        prop_assert!(matches(&text, &text));
        let (from, to) = (from.min(text.len()), to.min(text.len()));
        let (from, to) = (from.min(to), from.max(to));
        let pattern = format!("{}*{}", &text[..from], &text[to..]);
        prop_assert!(matches(&pattern, &text), "{}", pattern);
        prop_assert!(matches(&"?".repeat(text.len()), &text));
        let longer = format!("{text}x");
        prop_assert!(!matches(&text, &longer));
    }
}

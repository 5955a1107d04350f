//! Lines of files of keys.

use proptest::prelude::*;

use crate::resources::account::key_line::{KeyLine, wrong_option};
use crate::resources::account::key_lines::{KeyWanted, restored};

const BODY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
const TYPE: &str = "ssh-ed25519";

fn wanted(options: Option<&str>, comment: Option<&str>, is_absent: bool) -> KeyWanted {
    KeyWanted {
        algorithm: TYPE.to_owned(),
        body: BODY.to_owned(),
        options: options.map(str::to_owned),
        comment: comment.map(str::to_owned),
        is_absent,
    }
}

fn edited(wanted: &KeyWanted, text: &str) -> Option<String> {
    wanted.edited(text.as_bytes()).map(|text| String::from_utf8(text).unwrap())
}

#[test]
fn a_line_has_options_a_type_a_key_and_a_comment() {
    for (line, options, comment) in [
        (format!("{TYPE} {BODY}"), "", ""),
        (format!("{TYPE} {BODY} ann@laptop of hers"), "", "ann@laptop of hers"),
        (format!("  {TYPE}\t{BODY}  a "), "", "a"),
        (format!("no-pty,from=\"a, b\" {TYPE} {BODY} a"), "no-pty,from=\"a, b\"", "a"),
        (format!("command=\"say \\\"a b\\\" ssh-rsa\" {TYPE} {BODY}"), "command=\"say \\\"a b\\\" ssh-rsa\"", ""),
    ] {
        let found = KeyLine::parse(&line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!((found.options.as_str(), found.comment.as_str()), (options, comment), "{line}");
        assert_eq!((found.algorithm.as_str(), found.body.as_str()), (TYPE, BODY));
        assert_eq!(KeyLine::parse(&found.line()), Some(found));
    }
    for line in ["", "  ", "# ssh-ed25519 AAAA", "ssh-ed25519", "no-pty", "no-pty ssh-ed25519", "a b c"] {
        assert_eq!(KeyLine::parse(line), None, "{line}");
    }
}

#[test]
fn a_wrong_key_is_named() {
    assert_eq!(KeyLine::problem(TYPE, BODY), None);
    for (algorithm, body, why) in [
        ("ssh-rsa", BODY, "is a key of the type `ssh-ed25519`, not `ssh-rsa`"),
        ("ed25519", BODY, "is not the type of a key"),
        (TYPE, "AAAA", "is not a whole key"),
        (TYPE, "not base64!", "is not a key in base64"),
        (TYPE, "-----BEGIN OPENSSH PRIVATE KEY-----", "is a private key"),
    ] {
        let problem = KeyLine::problem(algorithm, body).unwrap();
        assert!(problem.contains(why), "{problem}");
    }
    for option in ["no-pty", "from=\"10.0.0.0/8,*.example.test\"", "command=\"a \\\"b\\\" c\""] {
        assert_eq!(wrong_option(option), None, "{option}");
    }
    for option in ["", "a b", "a,b", "command=\"a", "a\nb", "ssh-rsa", "#a"] {
        assert!(wrong_option(option).is_some(), "{option}");
    }
}

#[test]
fn a_key_is_added_changed_and_removed_and_other_lines_stay() {
    let line = format!("{TYPE} {BODY}");
    let other = "# mine\n\nno-pty ssh-rsa AAAAB3 b\nnot a key\r\n";
    let any = wanted(None, None, false);
    assert_eq!(edited(&any, ""), Some(format!("{line}\n")));
    assert_eq!(edited(&any, other), Some(format!("{other}{line}\n")));
    assert_eq!(edited(&any, "# open"), Some(format!("# open\n{line}\n")));
    assert_eq!(edited(&any, &format!("{other}no-pty {line} a")), None, "options and comment are free");
    let exact = wanted(Some("restrict"), Some("ann"), false);
    let right = format!("{other}restrict {line} ann\r\n# end");
    assert_eq!(edited(&exact, &right), None);
    assert_eq!(edited(&exact, &format!("{other}no-pty {line} x\r\n# end")), Some(right.clone()));
    assert_eq!(edited(&exact, &format!("{other}no-pty {line} x\r\n# end\n{line}\n")), Some(format!("{right}\n")));
    let gone = wanted(None, None, true);
    assert_eq!(edited(&gone, &format!("{line}\n{other}no-pty {line} x\n")), Some(other.to_owned()));
    assert_eq!(edited(&gone, other), None);
    let other_type = format!("ssh-rsa {BODY}\n");
    assert_eq!(edited(&gone, &other_type), None, "another type is another key");
}

proptest! {
    #[test]
    fn whatever_the_text_is_the_key_is_set_once_and_the_rest_stays(
        pieces in proptest::collection::vec(prop_oneof![
            Just(format!("{TYPE} {BODY} a\n")),
            Just(format!("no-pty {TYPE} {BODY}\r\n")),
            Just("ssh-rsa AAAAB3 b\n".to_owned()),
            Just("# c\n".to_owned()),
            Just("\n".to_owned()),
            "[ -~]{0,20}\n",
        ], 0..8),
        options in proptest::option::of("[a-z-]{1,8}"),
        is_absent in any::<bool>(),
    ) {
        let text = pieces.concat();
        let wanted = wanted(options.as_deref(), None, is_absent);
        let was = wanted.found(text.as_bytes());
        let others = |text: &str| -> Vec<String> {
            text.lines().filter(|line| wanted.found(line.as_bytes()).is_empty()).map(str::to_owned).collect()
        };
        let now = edited(&wanted, &text).unwrap_or_else(|| text.clone());
        prop_assert_eq!(wanted.found(now.as_bytes()).len(), usize::from(!is_absent));
        prop_assert_eq!(others(&now), others(&text));
        prop_assert_eq!(edited(&wanted, &now), None);
        let back = restored(now.as_bytes(), &wanted, &was).unwrap_or_else(|| now.clone().into_bytes());
        prop_assert_eq!(wanted.found(&back), was);
        prop_assert_eq!(others(std::str::from_utf8(&back).unwrap()), others(&text));
    }
}

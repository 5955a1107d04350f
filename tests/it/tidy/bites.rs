//! Each rule, fed with something that breaks it and with something that does not.

use super::facts::Facts;
use super::rules::{self, Place, Problem};
use super::words;

const TABLE: &[(&str, u8, &[&str])] = &[("low", 0, &[]), ("high", 1, &["low"]), ("testing", 2, &["low", "high"])];

fn facts(text: &str) -> Facts {
    Facts::read(text, false).unwrap()
}

/// The lines on which something is wrong.
fn lines(problems: Vec<Problem>) -> Vec<usize> {
    problems.into_iter().map(|p| p.line).collect()
}

fn layers(path: &str, text: &str) -> Vec<usize> {
    let place = Place::of(path);
    lines(rules::layers(&place, &Facts::read(text, place.test).unwrap(), TABLE))
}

fn pure(module: &str, text: &str) -> Vec<usize> {
    lines(rules::pure(&Place::of(&format!("mgmt/src/{module}/x.rs")), &facts(text), &["low"], &["high"]))
}

fn system(path: &str, text: &str) -> Vec<usize> {
    lines(rules::system(&Place::of(path), &facts(text), "sys"))
}

#[test]
fn a_file_that_stands_anywhere_is_caught() {
    let house = &["examples/", "mgmt/src/"];
    assert_eq!(rules::room("mgmt/src/low/x.rs", house), None);
    let said = "mgmt/examples/x.rs: a Rust file stands below one of examples/, mgmt/src/";
    assert_eq!(rules::room("mgmt/examples/x.rs", house).as_deref(), Some(said));
    assert!(rules::room("x.rs", house).is_some());
}

#[test]
fn a_table_that_goes_up_or_sideways_or_nowhere_is_caught() {
    assert_eq!(rules::table(TABLE), [""; 0]);
    assert_eq!(rules::table(&[("a", 0, &["b"]), ("b", 1, &["a"])]), ["`a` may use `b`, which is not below it"]);
    assert_eq!(rules::table(&[("a", 1, &["b"]), ("b", 1, &[])]), ["`a` may use `b`, which is not below it"]);
    assert_eq!(rules::table(&[("a", 1, &["a"])]), ["`a` may use `a`, which is not below it"]);
    assert_eq!(rules::table(&[("a", 1, &["c"])]), ["`a` may use `c`, which is not in the table"]);
    assert_eq!(rules::table(&[("a", 1, &[]), ("a", 2, &[])]), ["a module is named twice"]);
}

#[test]
fn a_use_of_a_higher_module_is_caught_however_it_is_spelled() {
    let low = "mgmt/src/low/x.rs";
    assert_eq!(layers(low, "use crate::high::X;"), [1]);
    assert_eq!(layers(low, "use crate::{\n    high,\n    low,\n};"), [2]);
    assert_eq!(layers(low, "use crate::{low::{a, b}, high as h};"), [1]);
    assert_eq!(layers(low, "fn f() {\n    let _ = crate::high::X;\n}"), [2]);
    assert_eq!(layers(low, "fn f() {\n    println!(\"{}\", mgmt::high::X);\n}"), [2]);
    assert_eq!(layers(low, "pub use mgmt::{high::X};"), [1]);
    assert_eq!(layers(low, "use crate::*;"), [1]);
    assert_eq!(layers(low, "use crate::{low, *};"), [1]);
    assert_eq!(layers(low, "use crate::{self as root};"), [1]);
    assert_eq!(layers("mgmt/src/low/mod.rs", "use super::high;"), [1]);
    assert_eq!(layers("mgmt/src/low.rs", "use super::high;"), [1]);
}

#[test]
fn one_file_may_name_a_higher_module_if_it_does_and_the_reason_is_there() {
    let problems = |path: &str| {
        let text = "use crate::high::X;";
        rules::layers(&Place::of(path), &Facts::read(text, false).unwrap(), TABLE)
    };
    let (one, other) = ("mgmt/src/low/one.rs", "mgmt/src/low/other.rs");
    let judged = |waivers: &[(&str, &str, &str)]| {
        rules::but_upwards([one, other].into_iter().map(|path| (path, problems(path))), waivers)
    };
    assert_eq!(judged(&[(one, "high", "why")]), [format!("{other}:1: `low` may not use `high`")]);
    assert_eq!(judged(&[(one, "high", " ")]).len(), 3);
    assert_eq!(judged(&[(one, "high", "why"), (other, "high", "why")]), [""; 0]);
    let unused = judged(&[(one, "high", "why"), (other, "high", "why"), (one, "higher", "why")]);
    assert_eq!(unused, [format!("{one}: may use `higher`, and does not")]);
}

#[test]
fn a_use_of_a_lower_module_and_of_ones_own_is_fine() {
    assert_eq!(
        layers(
            "mgmt/src/high/x.rs",
            "use crate::{low::{self, A as B}, high};\npub(crate) fn f() {}\nuse super::other;"
        ),
        [0; 0]
    );
    assert_eq!(
        layers(
            "mgmt/src/low/x.rs",
            "//! Of crate::high.\n/// See [`crate::high`].\nconst A: &str = \"crate::high\"; // crate::high"
        ),
        [0; 0]
    );
    assert_eq!(layers("mgmt/src/lib.rs", "use crate::high::X;"), [0; 0]);
    assert_eq!(layers("mgmt-macros/src/x.rs", "use crate::high::X;"), [0; 0]);
}

#[test]
fn tests_may_use_the_testing_module_but_no_other_above() {
    let text = "#[cfg(test)]\nmod tests {\n    use crate::testing;\n    use crate::high;\n}\nuse crate::testing;";
    assert_eq!(layers("mgmt/src/low/x.rs", text), [4, 6]);
    assert_eq!(layers("mgmt/src/low/tests.rs", "use crate::testing;"), [0; 0]);
}

#[test]
fn a_module_that_is_not_in_the_table_is_caught() {
    assert_eq!(layers("mgmt/src/new/mod.rs", "//! x"), [1]);
    assert_eq!(layers("mgmt/src/new.rs", "//! x"), [1]);
}

#[test]
fn reaching_over_two_parents_is_caught() {
    assert_eq!(
        lines(rules::no_super_super(&facts("use super::x;\nuse super::super::x;\npub(in super::super) fn f() {}"))),
        [2, 3]
    );
    assert_eq!(lines(rules::no_super_super(&facts("use super::{super::x, y};"))), [1]);
    assert_eq!(lines(rules::no_super_super(&facts("// super::super\nuse super::x;"))), [0; 0]);
}

#[test]
fn a_pure_module_that_reaches_outside_is_caught() {
    for bad in [
        "async fn f() {}",
        "fn f() { g.await }",
        "use tokio::sync;",
        "use std::fs;",
        "use std::{io, fs::File};",
        "use std::time::Instant;",
        "use std::time::{Duration, SystemTime};",
        "fn f() { std::thread::yield_now() }",
        "fn f() { std::env::var(\"X\") }",
        "fn f() { getrandom::fill(x) }",
        "use std::hash::RandomState;",
    ] {
        assert_eq!(pure("low", bad), [1], "{bad}");
        let in_test = format!("#[cfg(test)]\nmod tests {{\n    {bad}\n}}");
        assert_eq!(pure("low", &in_test), [0; 0], "{in_test}");
    }
    assert_eq!(pure("low", "use std::time::Duration;\n// tokio, async\nconst A: &str = \"std::fs\";"), [0; 0]);
}

#[test]
fn a_module_without_tokio_may_be_async_but_not_name_it() {
    assert_eq!(pure("high", "async fn f() {}\nuse std::time::Instant;"), [0; 0]);
    assert_eq!(pure("high", "async fn f() {}\nuse tokio::sync::mpsc;"), [2]);
    assert_eq!(pure("testing", "use tokio::sync::mpsc;"), [0; 0]);
}

#[test]
fn a_system_call_out_of_place_is_caught() {
    for bad in [
        "use rustix::fs;",
        "fn f() { libc::getpid() }",
        "use std::process::{Command, Stdio};",
        "fn f() { tokio::process::Command::new(x) }",
    ] {
        assert_eq!(system("mgmt/src/low/x.rs", bad), [1], "{bad}");
        assert_eq!(system("mgmt-macros/src/x.rs", bad), [1], "{bad}");
        assert_eq!(system("mgmt/src/sys/x.rs", bad), [0; 0], "{bad}");
        assert_eq!(system("mgmt/src/low/tests.rs", bad), [0; 0], "{bad}");
        assert_eq!(system("tests/it/x.rs", bad), [0; 0], "{bad}");
    }
    assert_eq!(system("mgmt/src/low/x.rs", "use std::process::ExitCode;\nuse crate::scheduler::Command;"), [0; 0]);
}

#[test]
fn a_subscription_that_can_be_dropped_in_the_middle_is_caught() {
    let bad = facts("async fn f() {\n    MessageStream::for_match_rule(rule, &bus, None).await\n}");
    assert_eq!(lines(rules::subscriptions("mgmt/src/sys/x.rs", &bad)), [2]);
    assert_eq!(lines(rules::subscriptions("mgmt/src/sys/dbus/subscribe.rs", &bad)), [0; 0]);
}

#[test]
fn a_file_that_does_not_say_what_it_is_for_is_caught() {
    for bad in ["", "use x;", "\n//! x", "//!", "//! \nuse x;", "// x"] {
        assert!(rules::header(bad).is_some(), "{bad:?}");
    }
    assert!(rules::header("//! What it is for.\n").is_none());
}

#[test]
fn code_in_a_mod_rs_is_caught() {
    let mod_rs = |text: &str| lines(rules::mod_rs(&Place::of("mgmt/src/low/mod.rs"), &facts(text)));
    assert_eq!(
        mod_rs(
            "//! x\n\nmod a;\npub mod b;\n#[cfg(unix)]\nmod c;\npub use a::{A, B};\n#[cfg(test)]\nmod tests {\n    fn f() {}\n}"
        ),
        [0; 0]
    );
    for bad in [
        "fn f() {}",
        "struct S;",
        "impl S {}",
        "const C: u8 = 0;",
        "m!();",
        "mod m { pub use x; }",
        "trait T {}",
        "type A = u8;",
    ] {
        assert_eq!(mod_rs(&format!("mod a;\n{bad}")), [2], "{bad}");
    }
    assert_eq!(lines(rules::mod_rs(&Place::of("mgmt/src/low/x.rs"), &facts("fn f() {}"))), [0; 0]);
}

#[test]
fn an_allow_and_an_expect_without_a_reason_are_caught() {
    let attributes = |text: &str| lines(rules::attributes(&facts(text)));
    assert_eq!(attributes("#![allow(dead_code)]"), [1]);
    assert_eq!(attributes("fn f() {\n    #[allow(unused)]\n    let x = 1;\n}"), [2]);
    assert_eq!(attributes("#[cfg_attr(unix, allow(unused))]\nfn f() {}"), [1]);
    assert_eq!(attributes("#[expect(unused)]\nfn f() {}"), [1]);
    assert_eq!(attributes("#[expect(unused, reason = \"it is\")]\nfn f() {}\n// #[allow(unused)]"), [0; 0]);
    // What a macro writes into other people's code is theirs to lint.
    assert_eq!(attributes("fn f() { quote! { #[allow(unused)] } }"), [0; 0]);
}

#[test]
fn the_unsafe_keyword_is_caught() {
    assert_eq!(
        lines(rules::no_unsafe(&facts("fn f() {\n    unsafe { x() }\n}\n#[cfg(test)]\nunsafe fn g() {}"))),
        [2, 5]
    );
    assert_eq!(lines(rules::no_unsafe(&facts("#![forbid(unsafe_code)]\n// unsafe"))), [0; 0]);
}

#[test]
fn only_a_file_that_is_named_may_be_unsafe_and_only_as_long_as_it_is() {
    let found = || [("a.rs", rules::no_unsafe(&facts("unsafe fn f() {}"))), ("b.rs", vec![])].into_iter();
    assert_eq!(rules::waived(found(), &[]), ["a.rs:1: `unsafe`"]);
    assert_eq!(rules::waived(found(), &[("a.rs", "why")]), [""; 0]);
    assert_eq!(rules::waived(found(), &[("a.rs", "why"), ("b.rs", "why")]), ["b.rs: waived, but not needed"]);
}

#[test]
fn code_lines_are_counted_without_blanks_comments_and_tests() {
    let text = "//! x\n\n/// doc\nfn f() {\n    // why\n    g();\n    /* long\n    */\n}\n/** doc\n*/\nconst A: &str = \"a\n\nb\";\n\n#[cfg(test)]\nmod tests {\n    fn t() {}\n}\n";
    let facts = facts(text);
    assert_eq!(facts.lines, 3 + 3);
    assert_eq!(facts.functions, [("f".to_owned(), 3)]);
    assert_eq!(Facts::read(text, true).unwrap().lines, 0);
}

#[test]
fn functions_are_measured_wherever_they_stand() {
    let text = "impl<T> S<T> {\n    fn a(\n        x: u8,\n    ) {\n        // no\n        y();\n    }\n}\nimpl T for S {\n    fn b() {}\n}\ntrait T {\n    fn c() {\n        z();\n    }\n    fn d();\n}\n#[test]\nfn t() {\n    x();\n}";
    let expected = [("S::a", 5), ("S::b", 1), ("T::c", 3), ("T::d", 1)].map(|(name, n)| (name.to_owned(), n));
    assert_eq!(facts(text).functions, expected);
}

#[test]
fn something_too_long_is_caught_and_so_is_a_stale_or_bare_waiver() {
    let lines = || [("a", 3), ("b", 5), ("c", 9)].into_iter().map(|(name, n)| (name.to_owned(), n));
    assert_eq!(rules::limit(lines(), 4, &[]), ["b: 5 lines, over 4", "c: 9 lines, over 4"]);
    assert_eq!(rules::limit(lines(), 5, &[("c", "one table")]), [""; 0]);
    assert_eq!(
        rules::limit(lines(), 5, &[("c", "one table"), ("b", "was long")]),
        ["b: waived, but it is not over 5 lines"]
    );
    assert_eq!(rules::limit(lines(), 5, &[("c", " ")]), ["c: waived without a reason"]);
}

#[test]
fn a_place_is_known_by_its_path() {
    let place = |path| {
        let p = Place::of(path);
        (p.module, p.root, p.test, p.package.is_some())
    };
    assert_eq!(place("mgmt/src/dag/mod.rs"), (Some("dag".into()), true, false, true));
    assert_eq!(place("mgmt/src/dag/deep/mod.rs"), (Some("dag".into()), false, false, true));
    assert_eq!(place("mgmt/src/dag/tests.rs"), (Some("dag".into()), false, true, true));
    assert_eq!(place("mgmt/src/dag/tests/x.rs"), (Some("dag".into()), false, true, true));
    assert_eq!(place("mgmt/src/lib.rs"), (None, false, false, true));
    assert_eq!(place("mgmt/src/bin/mgmt.rs"), (None, false, false, true));
    assert_eq!(place("tests/it/main.rs"), (None, false, true, false));
    assert_eq!(place("examples/hello.rs"), (None, false, false, false));
}

#[test]
fn a_grant_that_no_file_uses_is_caught() {
    let table: &[(&str, u8, &[&str])] =
        &[("low", 0, &[]), ("mid", 1, &["low", "unwritten"]), ("unwritten", 1, &["low"])];
    let stale = |low: &str, mid: &str| {
        let files = [(Place::of("mgmt/src/low/x.rs"), facts(low)), (Place::of("mgmt/src/mid/x.rs"), facts(mid))];
        rules::stale_grants(files.iter().map(|(place, facts)| (place, facts)), table)
    };
    assert_eq!(stale("", "use crate::low::X;"), [""; 0]);
    assert_eq!(stale("", "use crate::mid::X;"), ["`mid` may use `low`, and no file of it does: take the grant back"]);
}

#[test]
fn a_vague_name_is_caught_as_a_whole_word() {
    let names = |text: &str| words::names(&facts(text).names).into_iter().map(|(_, p)| p.line).collect::<Vec<_>>();
    assert_eq!(names("struct FileManager;\nenum Core {}\ntrait JobHandler {}\nmod utils;"), [1, 2, 3, 4]);
    assert_eq!(names("struct Scored;\nenum Corel {}\nmod service_free {}\nfn manager() {}"), [3]);
    assert_eq!(
        names("#[cfg(test)]\nmod helper {\n    struct Core;\n}"),
        [0; 0],
        "what a test declares is its own matter"
    );
}

#[test]
fn prose_that_is_not_plain_is_caught_in_comments_only() {
    let rust = |text: &str| lines(words::prose(text, true));
    assert_eq!(rust("/// It says so.\nlet says = 1;\nlet x = 1; // Somebody else.\nlet y = \"nobody\";"), [1, 3]);
    assert_eq!(rust("/// A gainsaid word, an aside, `is_to_be`.\n/// Prints it."), [0; 0]);
    assert_eq!(rust("    /// Who.\n    /// Who it is about.\n    // It.\n    /// It"), [1, 3, 4]);
    assert_eq!(rust(&format!("// {}\n// {}", "x".repeat(117), "x".repeat(118))), [2]);
    let text = format!("A file is to be there.\nSo many files.\n{}", "x".repeat(200));
    assert_eq!(lines(words::prose(&text, false)), [1, 2]);
}

#[test]
fn messages_that_are_not_plain_are_caught_and_words_of_a_language_are_not() {
    let found = |text: &str| lines(words::messages(&facts(text).texts));
    assert_eq!(found("fn f() { say(\"nobody has it\"); }\nfn g() { say!(\"{x} is to be {y}\") }"), [1, 2]);
    assert_eq!(found("#[error(\"it says no\")]\nstruct E;"), [1]);
    assert_eq!(
        found("/// Nobody has it.\nconst A: &str = \"nobody\";\nconst B: &str = \"#!/bin/sh\\necho so many\";"),
        [0; 0]
    );
    assert_eq!(found("#[cfg(test)]\nmod tests {\n    const A: &str = \"nobody has it\";\n}"), [0; 0]);
}

#[test]
fn prose_over_its_waiver_is_caught_and_so_is_a_waiver_that_nothing_needs() {
    let found = |count: usize| {
        let problem = |line| Problem { line, what: "bad".into() };
        [("a.md".to_owned(), (1..=count).map(problem).collect::<Vec<_>>())].into()
    };
    let waived = words::waivers("# why\n\na.md 2\n");
    assert_eq!(words::over(&found(2), &waived), [""; 0]);
    assert_eq!(words::over(&found(1), &waived), [""; 0]);
    let over =
        ["a.md:1: bad", "a.md:2: bad", "a.md:3: bad", "a.md: 3 of these, 2 are waived: mend as many as you wrote"];
    assert_eq!(words::over(&found(3), &waived), over);
    let clean = ["a.md: waived, but its prose is plain: take it off the list"];
    assert_eq!(words::over(&found(0), &waived), clean);
    assert_eq!(words::over(&[].into(), &waived), clean);
    assert_eq!(words::over(&found(1), &words::waivers("")), ["a.md:1: bad"]);
}

#[test]
fn a_statement_without_how_it_is_kept_is_caught() {
    let text = "- Before.\n## The modules\n- One *(type)*\n- Two\n  lines *(sim: `x.rs`)*\n- Three\n  lines.\n\n### x\n\n- Four *(review)*.\n## After\n- Five";
    assert_eq!(lines(words::untagged(text)), [6]);
    assert_eq!(lines(words::untagged("## The modules\n- Last")), [2]);
}

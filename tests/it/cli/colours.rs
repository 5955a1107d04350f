//! Colours: where they are wanted, and nowhere else.

use crate::cli::terminal::in_terminal_with;
use crate::kit::program::{Program, act, example};

const ESCAPE: char = '\u{1b}';

/// Everything that is printed without a terminal: plans, checks, errors, wrong options, help, log lines.
fn printed(prepare: &dyn Fn(&mut Program)) -> Vec<(String, String)> {
    let commands = ["plan", "check", "run -t 0", "--nope", "--help"].map(|args| ("site", args));
    let all = commands.into_iter().chain([("cycle", "check"), ("cycle", "run"), ("fails", "-t 0"), ("panics", "plan")]);
    all.map(|(scene, args)| {
        let dir = tempfile::tempdir().unwrap();
        let mut program = act(scene, dir.path());
        program.env("TERM", "xterm-256color").args(args);
        prepare(&mut program);
        let ended = program.run();
        (format!("{scene} {args}"), ended.out + &ended.err)
    })
    .collect()
}

#[test]
fn nothing_is_coloured_without_a_terminal_unless_that_is_asked_for() {
    let plain: [&dyn Fn(&mut Program); 4] = [
        &|_| {},
        &|program| {
            program.env("CLICOLOR", "1");
        },
        &|program| {
            program.env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1");
        },
        &|program| {
            program.env("CLICOLOR_FORCE", "1").args("--color never");
        },
    ];
    for prepare in plain {
        for (what, text) in printed(prepare) {
            assert!(!text.is_empty() && !text.contains(ESCAPE), "{what}: {text:?}");
        }
    }
    let coloured: [&dyn Fn(&mut Program); 3] = [
        &|program| {
            program.env("CLICOLOR_FORCE", "1");
        },
        &|program| {
            program.args("--color always");
        },
        &|program| {
            program.env("NO_COLOR", "1").args("--color=always");
        },
    ];
    for prepare in coloured {
        for (what, text) in printed(prepare) {
            assert!(text.contains(ESCAPE), "{what}: {text:?}");
        }
    }
}

#[test]
fn lines_of_json_are_never_coloured() {
    let dir = tempfile::tempdir().unwrap();
    for args in ["-t 0 --log json --color always", "plan --json --color always", "check --json --color always"] {
        let ended = act("site", dir.path()).args(args).run();
        let text = ended.out + &ended.err;
        assert!(!text.is_empty() && !text.contains(ESCAPE), "{args}: {text:?}");
    }
}

#[test]
fn a_terminal_has_colours_unless_they_are_declined() {
    let colour = |args: &str, environment: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        let ended = in_terminal_with("site", dir.path(), args, environment).wait();
        // What begins with `ESC [` and ends with `m`; other sequences move the cursor.
        let parts = ended.out.split("\u{1b}[").skip(1);
        let colours =
            parts.filter(|part| part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'));
        (colours.count() > 0, ended.out)
    };
    for args in ["plan", "check", "-t 0"] {
        assert!(colour(args, &[]).0, "{args}");
        for declined in [("NO_COLOR", "1"), ("CLICOLOR", "0"), ("TERM", "dumb")] {
            let (is_coloured, text) = colour(args, &[declined]);
            assert!(!is_coloured, "{args} with {declined:?}: {text:?}");
        }
        let (is_coloured, text) = colour(&format!("{args} --color never"), &[]);
        assert!(!is_coloured, "{args}: {text:?}");
    }
    // On a terminal that can't move its cursor there is no bar.
    let (_, text) = colour("-t 0", &[("TERM", "dumb")]);
    assert!(!text.contains(ESCAPE) && text.contains("INFO"), "{text:?}");
}

#[test]
fn a_wrong_file_of_a_program_is_shown_as_clap_shows_errors() {
    let dir = tempfile::tempdir().unwrap();
    let ended = act("cycle", dir.path()).args("check --color always").run().code(1);
    let clap = Program::new(&example("act")).args("--nope --color always").run().code(1);
    let error = |text: &str| text[..text.find("error:").unwrap()].to_owned();
    assert!(!error(&ended.err).is_empty(), "{ended:?}");
    assert_eq!(error(&ended.err).replace("\u{1b}[31m\u{1b}[1m", "\u{1b}[1m\u{1b}[31m"), error(&clap.err));
}

//! Small kinds in YAML: the exit code of `exit`, the log of `print`, and the old spellings of `kv`.

use crate::kit::{Desk, text};

#[test]
fn the_code_of_an_exit_is_that_of_the_program_and_what_comes_before_it_is_done() {
    let desk = Desk::new();
    let graph = "graph: g\nresources:\n  file:\n  - {name: $DIR/before, content: done}\n  - {name: $DIR/after, content: never}\n  exit:\n  - {name: now, code: 7}\nedges:\n- {name: a, from: {kind: file, name: $DIR/before}, to: {kind: exit, name: now}}\n- {name: b, from: {kind: exit, name: now}, to: {kind: file, name: $DIR/after}}\n";
    for timeout in [&["-t", "0"][..], &[]] {
        let _ = std::fs::remove_file(desk.path("before"));
        let graph = desk.graph(graph);
        let output = desk.mgmt(&["run", "--yaml", graph.to_str().unwrap()]).args(timeout).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{said}");
        assert_eq!((desk.read("before").as_deref(), desk.read("after")), (Some("done"), None), "{said}");
        assert!(said.contains("exit[now]"), "{said}");
        let plan = desk.mgmt(&["plan", "--yaml", graph.to_str().unwrap()]).output().unwrap();
        assert!(text(&plan.stdout).contains("code: running → ends with code 7"), "{}", text(&plan.stdout));
    }
    let wrong = desk.graph("graph: g\nresources:\n  exit:\n  - {name: now, code: 256}\n");
    let output = desk.mgmt(&["check", "--yaml", wrong.to_str().unwrap()]).output().unwrap();
    assert!(text(&output.stderr).contains("`code`: takes a whole number from 0 to 255"), "{}", text(&output.stderr));
}

#[test]
fn a_print_is_in_the_log_on_its_line_and_one_for_refreshes_only_when_notified() {
    let desk = Desk::new();
    let graph = "graph: g\nresources:\n  print:\n  - {name: always, msg: \"one\\ntwo\"}\n  - {name: notified, refresh_only: true}\n  file:\n  - {name: $DIR/f, content: a}\nedges:\n- {name: e, from: {kind: file, name: $DIR/f}, to: {kind: print, name: notified}, notify: true}\n";
    for times in [1, 0] {
        let output = desk.converge(graph, "0");
        let said = text(&output.stderr);
        assert_eq!(said.matches("print[always]: one\\ntwo\n").count(), 1, "{said}");
        assert_eq!(said.matches("print[notified]: notified\n").count(), times, "{said}");
    }
}

#[test]
fn the_format_of_an_archive_is_a_word_or_an_old_number() {
    let desk = Desk::new();
    desk.write("f", "x");
    for (format, wanted) in [
        ("pax", "ustar\x0000"),
        ("0", "ustar\x0000"),
        ("4", "ustar\x0000"),
        ("8", "ustar  \0"),
        ("gnu", "ustar  \0"),
        ("2", "ustar\x0000"),
    ] {
        let tar =
            format!("graph: g\nresources:\n  tar:\n  - {{name: $DIR/a.tar, inputs: [$DIR/f], format: {format}}}\n");
        let output = desk.converge(&tar, "0");
        assert!(output.status.success(), "{format}: {}", text(&output.stderr));
        let bytes = std::fs::read(desk.path("a.tar")).unwrap();
        assert_eq!(&bytes[257..265], wanted.as_bytes(), "{format}");
    }
    let wrong = desk.graph("graph: g\nresources:\n  tar:\n  - {name: /a, inputs: [/b], format: 1}\n");
    let output = desk.mgmt(&["check", "--yaml", wrong.to_str().unwrap()]).output().unwrap();
    assert!(text(&output.stderr).contains("`format`: there is no `1`"), "{}", text(&output.stderr));
}

#[test]
fn the_style_of_a_kv_is_a_word_or_an_old_number_and_the_value_is_sent_by_its_old_name() {
    let desk = Desk::new();
    for (style, stored) in [("int", "10"), ("0", "10"), ("string", "9"), ("\"1\"", "9")] {
        let kv = |value: &str| {
            format!(
                "graph: g\nresources:\n  kv:\n  - {{name: k{}, value: \"{value}\", skiplessthan: true, skipcmpstyle: {style}}}\n  file:\n  - {{name: $DIR/f, recv: {{content: {{kind: kv, name: k{}, key: value}}}}}}\n",
                style.len(),
                style.len()
            )
        };
        for value in ["9", "10"] {
            let output = desk.converge(&kv(value), "0");
            assert!(output.status.success(), "{style}: {}", text(&output.stderr));
        }
        assert_eq!(desk.read("f").as_deref(), Some(stored), "{style}");
    }
    let wrong = desk.graph("graph: g\nresources:\n  kv:\n  - {name: k, skipcmpstyle: 2}\n");
    let output = desk.mgmt(&["check", "--yaml", wrong.to_str().unwrap()]).output().unwrap();
    assert!(text(&output.stderr).contains("`skipcmpstyle`: there is no `2`"), "{}", text(&output.stderr));
}

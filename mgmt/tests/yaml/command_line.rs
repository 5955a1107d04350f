//! The command line of `mgmt`.

use serde_json::Value as Json;

use crate::kit::{Desk, Running, text};

const GRAPH: &str = "graph: shown\nhostname: web1\nresources:\n  noop:\n  - name: a\n  file:\n  - {name: $DIR/made, content: x}\nedges:\n- {name: e, from: {kind: noop, name: a}, to: {kind: file, name: $DIR/made}}\n";

fn run(desk: &Desk, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = desk.mgmt(arguments).output().unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn without_arguments_there_is_help_that_fits_80_columns() {
    let desk = Desk::new();
    let (code, out, err) = run(&desk, &[]);
    assert_eq!(code, Some(0));
    assert!((out.clone() + &err).contains("Usage: mgmt"));
    for arguments in
        [&["--help"][..], &["run", "--help"], &["plan", "--help"], &["convert", "--help"], &["setup", "svc", "--help"]]
    {
        let (code, out, _) = run(&desk, arguments);
        assert_eq!(code, Some(0));
        assert!(out.contains("Exit codes:\n  0"), "{out}");
        // Only a run reads the file again.
        assert_eq!(out.contains("read again when it is saved"), out.contains("--no-watch"), "{out}");
        // Each shows what it uses, and that alone.
        let takes_yaml = !arguments.contains(&"convert");
        assert!(out.contains("Usage: mgmt") && out.contains("--yaml") == takes_yaml, "{out}");
        assert_eq!(out.contains("--converged-timeout"), takes_yaml && !arguments.contains(&"plan"), "{out}");
        assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    }
}

#[test]
fn a_check_names_the_kinds_that_are_not_here() {
    let desk = Desk::new();
    for (kinds, expected) in [
        ("", "x: 1 resource, 0 edges: no problems\n"),
        (
            "  esphome: [{name: a}, {name: b}]\n",
            "x: 3 resources, 0 edges: no problems, but this build has no kind `esphome`: its resources will fail\n",
        ),
        (
            "  gsettings: [{name: a}]\n  aws:ec2: [{name: b}]\n",
            "x: 3 resources, 0 edges: no problems, but this build has no kinds `aws:ec2`, `gsettings`: their resources will fail\n",
        ),
    ] {
        let graph = desk.graph(&format!("graph: x\nresources:\n  noop: [{{name: n}}]\n{kinds}"));
        let (code, out, err) = run(&desk, &["check", "--yaml", graph.to_str().unwrap()]);
        assert_eq!((code, out.as_str()), (Some(0), expected), "{err}");
    }
}

#[test]
fn combinations_without_a_meaning_are_refused() {
    let desk = Desk::new();
    let refused: [&[&str]; 13] = [
        &["run", "--yaml", "a", "--puppet", "agent"],
        &["run", "--yaml", "a", "--command", "b"],
        &["run", "--command", "a", "--puppet", "agent"],
        &["run", "--yaml", "a", "--every", "3"],
        &["run", "--yaml", "a", "--puppet-conf", "c"],
        &["run", "--prefix", "/x", "--tmp-prefix"],
        &["run", "--max-runtime", "-1"],
        &["run", "--sema", "0"],
        &["run", "--yaml", "a", "--watch-file", "b"],
        &["run", "--yaml", "a", "--yaml", "b"],
        &["run", "--command", ""],
        &["run", "--yaml", ""],
        &["run", "--graphviz-filter", "dot"],
    ];
    for arguments in refused {
        let (code, _, err) = run(&desk, arguments);
        assert!(code == Some(1) && err.starts_with("error: "), "{arguments:?}: {code:?} {err}");
    }
    let (_, _, err) = run(&desk, &["run", "--yaml", "a", "--every", "3"]);
    assert!(err.starts_with("error: --every and --watch-file need --command\n"), "{err}");
    let (_, _, err) = run(&desk, &["run", "--command", "a", "--every", "-3"]);
    assert!(err.contains("`-3` seconds is out of range"), "{err}");
}

#[test]
fn check_plan_and_graph_take_a_yaml_file() {
    let desk = Desk::new();
    let graph = desk.graph(GRAPH);
    let graph = graph.to_str().unwrap();
    let (code, out, err) = run(&desk, &["check", "--yaml", graph]);
    assert_eq!((code, out.as_str()), (Some(0), "shown: 2 resources, 1 edge: no problems\n"), "{err}");
    let (code, out, _) = run(&desk, &["plan", "--yaml", graph]);
    assert!(code == Some(2) && out.contains("made"), "{out}");
    let (code, out, _) = run(&desk, &["graph", "--yaml", graph]);
    assert!(code == Some(0) && out.starts_with("digraph") && out.contains("noop[a]"), "{out}");
    let (code, _, err) = run(&desk, &["check", "--yaml", "/nowhere/graph.yaml"]);
    assert!(code == Some(1) && err.contains("/nowhere/graph.yaml can't be read"), "{err}");
    assert!(!desk.path("made").exists());
}

const NESTED: &str = "graph: nested\nresources:\n  file:\n  - {name: $DIR/a/b/c, content: x}\n  - {name: $DIR/a/b/}\n  - {name: $DIR/a/}\n  - {name: $DIR/a/d, content: x, meta: {autoedge: false}}\n  noop:\n  - {name: last}\nedges:\n- {name: e7, from: {kind: file, name: $DIR/a/b/c}, to: {kind: noop, name: last}}\n";

#[test]
fn files_need_no_edge_to_their_directories() {
    let desk = Desk::new();
    let graph = desk.graph(&NESTED.replace("  - {name: $DIR/a/d, content: x, meta: {autoedge: false}}\n", ""));
    let graph = graph.to_str().unwrap();
    let (code, out, err) = run(&desk, &["-t", "0", "--yaml", graph]);
    assert_eq!(code, Some(0), "{err}");
    assert!(!out.contains("wait") && !err.contains("wait"), "{out}{err}");
    assert_eq!(desk.read("a/b/c").as_deref(), Some("x"));
}

#[test]
fn automatic_edges_are_drawn_and_counted_and_can_be_turned_off() {
    let desk = Desk::new();
    let graph = desk.graph(NESTED);
    let graph = graph.to_str().unwrap();
    let (_, out, err) = run(&desk, &["check", "--yaml", graph]);
    assert_eq!((out.as_str(), err.as_str()), ("nested: 5 resources, 3 edges (2 automatic): no problems\n", ""));
    let (_, out, _) = run(&desk, &["check", "--json", "--yaml", graph]);
    assert_eq!(serde_json::from_str::<Json>(&out).unwrap()["automatic_edges"], 2);
    let (_, out, _) = run(&desk, &["graph", "--format", "json", "--yaml", graph]);
    let data: Json = serde_json::from_str(&out).unwrap();
    let edges: Vec<_> = data["edges"].as_array().unwrap().iter().map(|edge| (&edge["name"], &edge["origin"])).collect();
    assert_eq!((edges.len(), edges[0].0), (3, &Json::from("e7")));
    assert!(edges[0].1.as_str().unwrap().ends_with(":11:3"), "{out}");
    assert!(edges[1..].iter().all(|edge| edge == &(&Json::Null, &Json::from("autoedge: its directory"))), "{out}");
    let (_, out, _) = run(&desk, &["graph", "--yaml", graph]);
    assert!(out.contains("[label=\"e7\"]") && out.contains("label=\"autoedge: its directory\", style=dashed"), "{out}");
    let (_, out, _) = run(&desk, &["check", "--no-autoedges", "--yaml", graph]);
    assert_eq!(out, "nested: 5 resources, 1 edge: no problems\n");
}

#[test]
fn check_and_plan_warn_of_an_edge_that_notifies_what_has_nothing_to_refresh() {
    let desk = Desk::new();
    let graph = desk.graph(&GRAPH.replace("made}}", "made}, notify: true}"));
    let graph = graph.to_str().unwrap();
    let warning = format!(
        "warning: noop[a] notifies file[{}], which has nothing to refresh: leave out `notify`\n  at {graph}:9:3\n",
        desk.path("made").display()
    );
    for command in ["check", "plan"] {
        let (_, _, err) = run(&desk, &[command, "--yaml", graph]);
        assert_eq!(err, warning, "{command}");
    }
    let (_, out, _) = run(&desk, &["check", "--yaml", graph]);
    assert_eq!(out, "shown: 2 resources, 1 edge: no errors, 1 warning\n");
    for command in ["check", "plan"] {
        let (_, out, err) = run(&desk, &[command, "--json", "--yaml", graph]);
        let data: Json = serde_json::from_str(&out).unwrap();
        let warnings = data["warnings"].as_array().unwrap();
        assert!(warnings.len() == 1 && warnings[0]["line"] == 9 && err == warning, "{out}{err}");
    }
    // Also where the graph has errors, and where another command looks at it.
    let wrong = desk.write("wrong.yaml", "graph: g\nresources:\n  file:\n  - {name: a, path: b, content: x}\n");
    let wrong = wrong.to_str().unwrap();
    let (code, out, _) = run(&desk, &["check", "--json", "--yaml", wrong]);
    assert!(code == Some(1) && out.contains("\"warnings\": []"), "{out}");
    let (_, _, err) = run(&desk, &["graph", "--yaml", graph]);
    assert_eq!(err, warning);
}

#[test]
fn words_for_a_shell_without_one_are_a_warning_in_a_file_and_run_as_they_are() {
    let desk = Desk::new();
    let text = "graph: words\nresources:\n  exec:\n  - name: a\n    cmd: touch a > b\n    cwd: $DIR\n";
    let graph = desk.graph(text);
    let graph = graph.to_str().unwrap();
    for command in [&["check"][..], &["plan"], &["run", "-t", "0"]] {
        let (code, _, err) = run(&desk, &[command, &["--yaml", graph]].concat());
        assert_eq!(code, if command[0] == "plan" { Some(2) } else { Some(0) }, "{command:?}: {err}");
        assert!(err.contains("exec[a]: `cmd` holds `>`, which only a shell understands"), "{command:?}: {err}");
    }
    assert!(["a", ">", "b"].iter().all(|name| desk.path(name).exists()), "each word is an argument");
}

#[test]
fn a_host_has_a_name_that_others_can_know_it_by() {
    let desk = Desk::new();
    let graph = desk.graph(GRAPH);
    for name in ["a b", "a/b", ""] {
        let (code, _, err) = run(&desk, &["check", "--yaml", graph.to_str().unwrap(), "--hostname", name]);
        assert!(code == Some(1) && err.contains(&format!("the host name `{name}`")), "{err}");
    }
    let graph = desk.graph("graph: named\nhostname: web 1\n");
    let (code, _, err) = run(&desk, &["check", "--yaml", graph.to_str().unwrap()]);
    assert!(code == Some(1) && err.contains("the host name `web 1` holds ` `") && err.contains(":2:11"), "{err}");
}

#[test]
fn without_a_graph_there_is_an_error_that_names_the_options() {
    let desk = Desk::new();
    for arguments in [&["check"][..], &["plan"], &["run"], &["graph"], &["-t", "1"]] {
        let (code, out, err) = run(&desk, arguments);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}: {err}");
        assert!(err.contains("no graph: give one with --yaml FILE"), "{arguments:?}: {err}");
        assert!(err.contains("--command LINE") && err.contains("--puppet"), "{arguments:?}: {err}");
    }
}

#[test]
fn a_graph_is_run_without_a_command_too_and_drawn_and_told_in_the_status_file() {
    let desk = Desk::new();
    let graph = desk.graph(GRAPH);
    let (picture, status) = (desk.path("picture.dot"), desk.path("status"));
    let (code, _, err) = run(
        &desk,
        &[
            "--yaml",
            graph.to_str().unwrap(),
            "-t",
            "0",
            "--graphviz",
            picture.to_str().unwrap(),
            "--no-autoedges",
            "--no-autogroup",
            "--sema",
            "2",
            "--hostname",
            "other",
            "--converged-status-file",
            status.to_str().unwrap(),
        ],
    );
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(desk.read("made").as_deref(), Some("x"));
    assert!(desk.read("picture.dot").unwrap().contains("noop[a]"));
    assert!(desk.read("status").unwrap().contains("converged"));
}

#[test]
fn the_environment_stands_in_for_options() {
    let desk = Desk::new();
    let graph = desk.graph(GRAPH);
    let mut command = desk.mgmt(&["run", "--yaml", graph.to_str().unwrap()]);
    let output = command.env("MGMT_CONVERGED_TIMEOUT", "0").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut command = desk.mgmt(&["run", "--yaml", graph.to_str().unwrap()]);
    // What is set to nothing is not set.
    let output = command.env("MGMT_CONVERGED_TIMEOUT", "").env("MGMT_MAX_RUNTIME", "0.5").output().unwrap();
    assert!(output.status.success(), "it runs on until its time is over: {}", text(&output.stderr));
}

#[test]
fn log_lines_are_json_where_that_is_asked_for() {
    let desk = Desk::new();
    let graph = desk.graph(GRAPH);
    let (_, _, err) = run(&desk, &["run", "--yaml", graph.to_str().unwrap(), "-t", "0", "--log", "json"]);
    let lines: Vec<Json> =
        err.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    assert!(
        lines.iter().any(|line| line["fields"]["message"].as_str().is_some_and(|text| text.contains("made"))),
        "{err}"
    );
}

#[test]
fn completions_and_the_manual_page_know_the_options() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(&desk, &["completion", shell]);
        assert!(code == Some(0) && out.contains("converged-timeout") && out.contains("convert"), "{shell}");
    }
    let (code, out, _) = run(&desk, &["man"]);
    assert!(code == Some(0) && out.contains(".TH mgmt") && out.contains("yaml"), "{out}");
    for command in ["run", "plan", "check", "graph", "schema", "completion", "man", "convert"] {
        assert!(out.contains(&format!(".SS \"mgmt {command}\"")), "{command}: {out}");
    }
    let graph = out.split(".SS \"mgmt graph\"").nth(1).unwrap().split(".SS").next().unwrap();
    assert!(graph.contains("format") && graph.contains("svg") && !graph.contains("yaml"), "{graph}");
    assert!(out.contains(".SH \"EXIT STATUS\""), "{out}");
}

#[test]
fn help_tells_the_source_of_the_graph_from_how_it_runs() {
    let (_, out, _) = run(&Desk::new(), &["run", "--help"]);
    let source = out.find("Where the graph comes from:").unwrap();
    let how = out.find("How it runs:").unwrap();
    assert!(source < out.find("--puppet-conf").unwrap() && out.find("--allow-unknown").unwrap() < how, "{out}");
    assert!(how < out.find("--tmp-prefix").unwrap(), "{out}");
}

#[test]
fn the_file_names_the_host_unless_the_command_line_does() {
    for (more, host) in [(&[][..], "web1"), (&["--hostname", "web2"], "web2")] {
        let desk = Desk::new();
        let graph = desk.graph("graph: g\nhostname: web1\n");
        let mut command = desk.mgmt(&["run", "--tmp-prefix", "--yaml", graph.to_str().unwrap()]);
        let running = Running::start({
            command.args(more).env("TMPDIR", desk.dir.path());
            command
        });
        // A temporary prefix has the host in its name.
        let names =
            || std::fs::read_dir(desk.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        running.wait("the prefix", || {
            names().iter().any(|name| name.to_string_lossy().starts_with(&format!("mgmt-{host}-")))
        });
    }
}

#[test]
fn a_graph_is_read_from_a_pipe_once() {
    let desk = Desk::new();
    let line =
        format!("printf 'graph: piped\\nhostname: h\\n' | {} check --yaml /dev/stdin", env!("CARGO_BIN_EXE_mgmt"));
    let output = std::process::Command::new("/bin/sh").args(["-c", &line]).output().unwrap();
    assert_eq!(text(&output.stdout), "piped: 0 resources, 0 edges: no problems\n", "{}", text(&output.stderr));
    let (code, _, err) = run(&desk, &["check", "--yaml", "/dev/zero"]);
    assert!(code == Some(1) && err.contains("too much for one graph"), "{err}");
    let (code, _, err) = run(&desk, &["convert", "/dev/zero"]);
    assert!(code == Some(1) && err.contains("too much for one graph"), "{err}");
}

/// A line of a shell, in which `mgmt` is the program.
fn shell(desk: &Desk, line: &str) -> (Option<i32>, String, String) {
    let line = line.replace("mgmt", env!("CARGO_BIN_EXE_mgmt"));
    let output = std::process::Command::new("/bin/sh").args(["-c", &line]).current_dir(desk.dir.path()).output();
    let output = output.unwrap();
    (output.status.code(), text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
}

#[test]
fn a_graph_is_read_from_standard_input() {
    let desk = Desk::new();
    let long = format!("graph: long\n# {}\n", "x".repeat(300_000));
    desk.write("long.yaml", &long);
    for (line, name) in [
        ("printf 'graph: piped\n' | mgmt check --yaml -", "piped"),
        ("(printf 'graph: in'; sleep 0.2; printf 'parts\n') | mgmt check --yaml -", "inparts"),
        ("mgmt check --yaml - < long.yaml", "long"),
        ("cat long.yaml | mgmt check --yaml -", "long"),
    ] {
        let (code, out, err) = shell(&desk, line);
        assert_eq!((code, out), (Some(0), format!("{name}: 0 resources, 0 edges: no problems\n")), "{line}: {err}");
    }
    let (code, out, err) = shell(&desk, "printf 'graph: g\n' | mgmt convert -");
    assert!(code == Some(0) && out.contains("fn main()"), "{out}{err}");
    let (code, _, err) = shell(&desk, "printf 'graph: g\nresources: 7\n' | mgmt check --yaml -");
    assert!(code == Some(1) && err.contains("standard input:2"), "{err}");
    let (code, _, err) = shell(&desk, "mgmt check --yaml - <&-");
    assert!(code == Some(1) && err.contains("graph"), "{err}");
    let (code, _, err) = shell(&desk, "mgmt check --yaml - < /dev/zero");
    assert!(code == Some(1) && err.contains("too much for one graph"), "{err}");
    let (code, _, err) = shell(&desk, "echo 'graph: once' | mgmt run --tmp-prefix --yaml - -t 1");
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn waiting_for_standard_input_can_be_interrupted() {
    let desk = Desk::new();
    let mut command = desk.mgmt(&["check", "--yaml", "-"]);
    let mut running = Running::start({
        command.stdin(std::process::Stdio::piped());
        command
    });
    // It has its handlers before it reads; without them the signal would end it without a code.
    std::thread::sleep(std::time::Duration::from_millis(500));
    running.signal(rustix::process::Signal::INT);
    assert_eq!(running.ended(), Some(130));
}

#[test]
fn a_picture_is_printed_where_it_is_asked_for() {
    let desk = Desk::new();
    let graph = desk.graph(GRAPH);
    let (code, out, err) = run(&desk, &["graph", "--yaml", graph.to_str().unwrap(), "--svg", "-"]);
    assert!(code == Some(0) && out.starts_with("<svg ") && out.trim_end().ends_with("</svg>"), "{out}{err}");
    assert!(!desk.path("-").exists() && !std::path::Path::new("-").exists());
}

#[test]
fn quiet_commands_print_what_counts_and_nothing_else() {
    let desk = Desk::new();
    let graph = desk.graph("graph: g\nresources:\n  file:\n  - name: $DIR/a\n    content: x\n");
    let graph = graph.to_str().unwrap();
    assert_eq!(run(&desk, &["check", "-q", "--yaml", graph]), (Some(0), String::new(), String::new()));
    let (code, out, err) = run(&desk, &["plan", "-q", "--yaml", graph]);
    assert_eq!((code, &*out, &*err), (Some(2), "1 to repair\n", ""));
    let (code, out, err) = run(&desk, &["run", "-q", "-t", "0", "--yaml", graph]);
    assert_eq!((code, &*out, &*err), (Some(0), "", ""));
    assert_eq!(desk.read("a").as_deref(), Some("x"));
    let wrong = desk.write("wrong.yaml", "graph: g\nresources: 7\n");
    let (code, out, err) = run(&desk, &["check", "-q", "--yaml", wrong.to_str().unwrap()]);
    assert!(code == Some(1) && out.is_empty() && err.starts_with("error: "), "{out}{err}");
}

#[test]
fn a_check_is_data_if_asked_for() {
    let desk = Desk::new();
    let right = desk.graph("graph: g\nresources:\n  noop:\n  - name: a\n");
    let (code, out, err) = run(&desk, &["check", "--json", "--yaml", right.to_str().unwrap()]);
    let data: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &*err), (Some(0), ""));
    assert_eq!((&data["graph"], &data["resources"], &data["edges"]), (&"g".into(), &1.into(), &0.into()));
    assert_eq!((&data["errors"], &data["warnings"]), (&serde_json::json!([]), &serde_json::json!([])));
    let wrong = desk.write("wrong.yaml", "graph: g\nresources:\n  file:\n  - {name: /a, contnet: x, mode: 644}\n");
    let (code, out, err) = run(&desk, &["check", "--json", "--yaml", wrong.to_str().unwrap()]);
    let data: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(code == Some(1) && err.contains("did you mean `content`?"), "{err}");
    let errors = data["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{out}");
    assert!(errors[0]["message"].as_str().unwrap().contains("contnet"), "{out}");
    assert_eq!(errors[0]["line"], 4, "{out}");
}

#[test]
fn a_graph_where_a_command_should_be_is_named_with_its_option() {
    let desk = Desk::new();
    for (arguments, tip) in [
        (&["run", "foo.yaml"][..], "'--yaml foo.yaml'"),
        (&["foo.yml"], "'--yaml foo.yml'"),
        (&["plan", "site.pp"], "'--puppet site.pp'"),
    ] {
        let (code, out, err) = run(&desk, arguments);
        assert!(code == Some(1) && out.is_empty() && err.contains(tip), "{arguments:?}: {err}");
    }
}

#[test]
fn options_have_the_names_of_the_go_system_too() {
    let desk = Desk::new();
    let graph = desk.graph("graph: g\n");
    let status = desk.path("status");
    let with = |more: &[&str]| {
        let given = ["run", "--tmp-prefix", "--yaml", graph.to_str().unwrap()];
        run(&desk, &[&given[..], more].concat())
    };
    let file = status.to_str().unwrap();
    let (code, _, err) = with(&["--converger-timeout", "0", "--converged-exit", "--converger-status-file", file]);
    assert_eq!(code, Some(0), "{err}");
    assert!(!std::fs::read_to_string(&status).unwrap().is_empty());
    let (code, _, err) = with(&["--converged-exit"]);
    assert!(code == Some(1) && err.contains("--converged-timeout"), "{err}");
    let (code, _, err) = with(&["-t", "0", "--prometheus-listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(0), "{err}");
    let (code, _, err) = with(&["-t", "0", "--prometheus", "--prometheus-listen", ":9233"]);
    assert!(code == Some(1) && err.contains("127.0.0.1:9233, or 0.0.0.0:9233 for all of them"), "{err}");
    let (_, help, _) = run(&desk, &["run", "--help"]);
    for hidden in ["--converger", "--converged-exit", "--prometheus"] {
        assert!(!help.contains(hidden), "{help}");
    }
}

/// Names that a careless picture gets wrong, as in the corpus.
fn hostile() -> String {
    std::fs::read_to_string(crate::kit::folder("corpus/names.yaml")).unwrap()
}

/// Programs called like those of Graphviz, that say which one ran on what.
fn fake_graphviz(desk: &Desk) {
    for name in ["dot", "neato", "twopi", "circo", "fdp"] {
        let path = desk.write(name, &format!("#!/bin/sh\nprintf '{name} %s ' \"$1\"; head -c 7 \"$2\"\n"));
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
}

#[test]
fn the_picture_is_drawn_by_the_program_of_choice() {
    let desk = Desk::new();
    fake_graphviz(&desk);
    let graph = desk.graph(GRAPH);
    let picture = desk.path("picture");
    let draw = |more: &[&str], path: &std::path::Path| {
        let _ = std::fs::remove_file(desk.path("picture.png"));
        let mut command = desk.mgmt(&["check", "--yaml", graph.to_str().unwrap(), "-g", picture.to_str().unwrap()]);
        let output = command.args(more).env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        (desk.read("picture.png"), text(&output.stderr))
    };
    let path = format!("{}:{}", desk.dir.path().display(), std::env::var("PATH").unwrap());
    let path = std::path::Path::new(&path);
    assert_eq!(draw(&[], path), (Some("dot -Tpng digraph".to_owned()), String::new()));
    for filter in ["dot", "neato", "twopi", "circo", "fdp"] {
        let drawn = draw(&["--graphviz-filter", filter], path);
        assert_eq!(drawn, (Some(format!("{filter} -Tpng digraph")), String::new()));
    }
    // Without Graphviz only the text is written; a warning follows if a picture was asked for.
    let nowhere = std::path::Path::new("/nowhere");
    assert_eq!(draw(&[], nowhere), (None, String::new()));
    let (png, said) = draw(&["--graphviz-filter", "fdp"], nowhere);
    assert!(png.is_none() && said.contains("program `fdp` not found"), "{said}");
    // A symlink that another program has put in its place is not followed.
    std::fs::remove_file(&picture).unwrap();
    std::os::unix::fs::symlink(desk.path("elsewhere"), &picture).unwrap();
    assert!(draw(&[], nowhere).1.contains("can't be written: symlink"));
    assert!(!desk.path("elsewhere").exists());
}

#[test]
#[ignore = "needs graphviz (the command `dot`)"]
fn graphviz_draws_hostile_names_with_each_of_its_programs() {
    let desk = Desk::new();
    let graph = desk.graph(&hostile());
    for filter in ["dot", "neato", "twopi", "circo", "fdp"] {
        let picture = desk.path(filter);
        let arguments =
            ["check", "--yaml", graph.to_str().unwrap(), "-g", picture.to_str().unwrap(), "--graphviz-filter", filter];
        let (code, _, err) = run(&desk, &arguments);
        // The corpus has edges that notify kinds which can't be refreshed: that is a warning.
        assert!(code == Some(0) && !err.contains("ERROR") && !err.contains("can't"), "{filter}: {err}");
        assert!(std::fs::read(picture.with_extension("png")).unwrap().starts_with(b"\x89PNG"), "{filter}");
    }
}

#[test]
fn a_terminated_run_ends_with_143_and_an_interrupted_one_with_0() {
    use rustix::process::Signal;
    for (signal, code) in [(Signal::INT, 0), (Signal::TERM, 143)] {
        let desk = Desk::new();
        let mut running = desk.run(GRAPH, &[]);
        running.wait("the file", || desk.path("made").exists());
        running.signal(signal);
        assert_eq!(running.ended(), Some(code), "{}", running.said());
    }
}

#[test]
fn a_running_instance_is_asked_without_its_graph() {
    let desk = Desk::new();
    let absent = desk.mgmt(&["status"]).output().unwrap();
    assert_eq!(absent.status.code(), Some(3), "{absent:?}");
    let graph = "graph: g\nresources:\n  file:\n  - {name: f, path: $DIR/f, content: 'x'}\n";
    let running = desk.run(graph, &[]);
    running.wait("the file is there", || desk.read("f").is_some());
    let status = || text(&desk.mgmt(&["status", "--failed"]).output().unwrap().stdout);
    running.wait("it has converged", || status().starts_with("g: converged, 1 of 1 settled"));
    let why = desk.mgmt(&["why", "file[f]"]).output().unwrap();
    let graph = desk.graph(graph);
    let declared = format!("declared at {}:4", graph.display());
    assert!(text(&why.stdout).contains(&declared), "{}", text(&why.stdout));
}

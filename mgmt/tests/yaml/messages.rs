//! Every message about a wrong file, against the text that was agreed on. `MGMT_BLESS=1` writes the present messages.

use std::path::PathBuf;

use mgmt::gapi::{YamlOptions, read_yaml};

use crate::kit::files;

/// Compares with the file beside; all differences are reported at once.
fn compare(said: Vec<(PathBuf, String)>) {
    let bless = std::env::var_os("MGMT_BLESS").is_some();
    let mut differ = Vec::new();
    for (path, said) in said {
        let agreed = path.with_extension("txt");
        if bless {
            std::fs::write(&agreed, &said).unwrap();
        } else if std::fs::read_to_string(&agreed).unwrap_or_default() != said {
            differ.push(format!("{}:\n{said}", agreed.display()));
        }
    }
    assert!(differ.is_empty(), "other messages than agreed on:\n{}", differ.join("\n"));
}

#[test]
fn everything_wrong_with_a_file_is_said_at_once_with_its_line_underlined() {
    let said = files("wrong").into_iter().map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let read = read_yaml(&name, &std::fs::read(&path).unwrap(), &YamlOptions::default());
        let problems = read.err().unwrap_or_else(|| panic!("{name} is accepted"));
        (path, format!("{problems}\n"))
    });
    compare(said.collect());
}

#[test]
fn what_has_no_effect_is_accepted_with_a_warning() {
    let said = files("warned").into_iter().map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let read = read_yaml(&name, &std::fs::read(&path).unwrap(), &YamlOptions::default());
        let warnings = read.unwrap_or_else(|problems| panic!("{name}: {problems}")).warnings;
        (path, warnings.iter().map(|warning| format!("{warning}\n")).collect())
    });
    compare(said.collect());
}

#[test]
fn the_sample_of_the_documents_is_what_the_program_prints() {
    let chapter = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/yaml.md")).unwrap();
    let sample = chapter.split("All problems of a file").nth(1).unwrap().split("```text\n").nth(1).unwrap();
    let sample = sample.split("```").next().unwrap();
    let desk = crate::kit::Desk::new();
    desk.write("graph.yaml", "graph: g\nresources:\n  file:\n  - name: /tmp/a\n    contnet: hello\n    mode: 644\n");
    let output = desk.mgmt(&["check", "--yaml", "graph.yaml"]).current_dir(desk.dir.path()).output().unwrap();
    assert_eq!(crate::kit::text(&output.stderr), sample);
}

#[test]
fn unknown_keys_are_warnings_where_that_is_asked_for() {
    let text = b"graph: g\nnew: 1\nresources:\n  noop:\n  - name: a\n    colour: red\n    meta: {shown: true}\n";
    let options = YamlOptions { allow_unknown: true, ..YamlOptions::default() };
    let read = read_yaml("g.yaml", text, &options).unwrap();
    assert_eq!(read.config.vertices.len(), 1);
    assert_eq!(read.warnings.len(), 3);
    assert_eq!(read_yaml("g.yaml", text, &YamlOptions::default()).unwrap_err().0.len(), 3);
}

#[test]
fn a_file_that_is_too_long_is_refused_before_it_is_read() {
    let text = vec![b'#'; (64 << 20) + 1];
    let error = read_yaml("big.yaml", &text, &YamlOptions::default()).unwrap_err().to_string();
    assert!(error.contains("more than 64 MiB") && error.contains("`source`"), "{error}");
}

/// The message about this text, which takes this thread a few seconds at most, however busy the machine is with others.
fn refused_soon(text: &str) -> String {
    let used = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).tv_sec;
    let before = used();
    let error = read_yaml("large.yaml", text.as_bytes(), &YamlOptions::default()).unwrap_err().to_string();
    let seconds = used() - before;
    assert!(seconds < 20, "{seconds} s");
    error
}

#[test]
fn large_wrong_files_are_refused_soon_and_in_few_words() {
    let mut text = "graph: g\nresources:\n  noop:\n".to_owned();
    for n in 0..10_000 {
        text += &format!("  - name: n{n}\n    commnt: x\n");
    }
    text += "edges:\n";
    for n in 0..10_000 {
        text += &format!("- {{from: {{kind: noop, name: m{n}}}, to: {{kind: noop, name: n{n}}}}}\n");
    }
    let error = refused_soon(&text);
    assert!(error.lines().count() < 300 && error.ends_with("20000 errors, of which these are the first 50"), "{error}");

    let mut text = "graph: g\nresources:\n  exec:\n  - name: x\n    env:\n".to_owned();
    for n in 0..50_000 {
        text += &format!("      k{n}: v\n");
    }
    let error = refused_soon(&(text + "      k0: again\n"));
    assert!(error.contains("duplicate key `k0`"), "{error}");

    let anchors: String = (0..60).map(|n| format!("&a{n} [")).collect();
    let error = refused_soon(&format!("graph: g\nx: {anchors}{}{}\n", "1,".repeat(100_000), "]".repeat(60)));
    assert!(error.contains("anchors hold more than 1000000 values"), "{error}");

    let long = "x".repeat(1 << 20);
    let names = format!("graph: g\nresources: {{noop: [{{name: {long}y}}]}}\n");
    let error =
        refused_soon(&format!("{names}edges: [{{from: {{kind: noop, name: {long}}}, to: {{kind: noop, name: z}}}}]\n"));
    assert!(error.contains("which is not in the graph"));
    assert!(error.len() < 20 << 10, "{}", error.len());

    let fields = format!("{{name: /a, owner: {long}, mode: {long}}}");
    let error =
        refused_soon(&format!("graph: g\nresources: {{noop: [{{name: a, comment: [{long}]}}], file: [{fields}]}}\n"));
    assert!(error.contains("bytes left out") && error.len() < 40 << 10, "{}: {:.300}", error.len(), error);
}

#[test]
fn a_name_or_a_command_of_a_megabyte_makes_no_message_of_a_megabyte() {
    let desk = crate::kit::Desk::new();
    let long = "x".repeat(1_000_000);
    for (text, says) in [
        (format!("graph: {long}\nresources: {{}}\n"), "the graph's name is 1000000 bytes long"),
        (format!("graph: g\nresources: {{exec: [{{name: a, cmd: {long}}}]}}\n"), "xxx…` not found in PATH"),
        (format!("graph: g\nresources: {{exec: [{{name: a, cmd: /{long}}}]}}\n"), "xxx…"),
        (format!("graph: g\nresources: {{exec: [{{name: a, cmd: 'true', user: {long}}}]}}\n"), "of any account"),
        (format!("graph: g\nresources: {{file: [{{name: /tmp/x, owner: {long}}}]}}\n"), "of any account"),
    ] {
        let output = desk.converge(&text, "0");
        let (out, err) = (crate::kit::text(&output.stdout), crate::kit::text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{:.300}", err);
        assert!(err.contains(says) && out.len() + err.len() < 40_000, "{} {:.300}", err.len(), err);
    }
}

#[test]
fn a_large_file_of_empty_lines_takes_little_more_memory_than_its_size() {
    let desk = crate::kit::Desk::new();
    let lines = "\n".repeat(50_000_000);
    let file = "graph: g\nresources:\n  file:\n  - name: /nowhere/a\n    mode: 0600\n    content:";
    let content = "\n".repeat(10_000_000);
    let texts = [
        (format!("graph: g\nresources: {{}}\n{lines}"), 0, 200),
        // Some copies of the content, but nothing for each of its lines.
        (format!("{file} \"a{content}b\"\n"), 0, 160),
        (format!("{file} |\n     a{content}     b\n"), 0, 160),
        (lines, 1, 200),
    ];
    for (text, code, megabytes) in texts {
        let graph = desk.graph(&text);
        let limit = format!("--data={megabytes}000000");
        let mut command = desk.limited(&limit, &["check", "--yaml", graph.to_str().unwrap()]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", crate::kit::text(&output.stderr));
    }
}

#[test]
fn no_line_of_a_secret_is_quoted_however_its_text_is_folded() {
    let value = ["\"canary\n\n      canary\n      canary\"", "canary\n      canary\n      canary"];
    for value in value {
        let text = format!(
            "graph: g\nresources:\n  exec:\n  - name: a\n    cmd: x\n    env: {{KEY: {{secret: {value}, nonsense: 1}}}}\n"
        );
        let error = read_yaml("g.yaml", text.as_bytes(), &YamlOptions::default()).unwrap_err().to_string();
        assert!(error.contains("nonsense") && !error.contains("canary"), "{error}");
    }
}

#[test]
fn many_rules_that_collect_the_same_are_few_warnings() {
    let mut text = "graph: g\nresources:\n  noop:\n".to_owned();
    (0..1000).for_each(|n| text += &format!("  - name: '@@n{n}'\n"));
    text += "collect:\n";
    (0..1000).for_each(|_| text += "- kind: noop\n");
    let read = read_yaml("g.yaml", text.as_bytes(), &YamlOptions::default()).unwrap();
    let prepared = mgmt::graph::prepare(read.config, &mgmt::graph::Settings::default()).unwrap();
    assert_eq!((prepared.config().vertices.len(), prepared.warnings().len()), (1000, 999));
    assert!(prepared.warnings()[0].message.starts_with("noop[n0] and 999 more are collected twice"));
}

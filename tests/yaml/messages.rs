//! Every message about a wrong file, against the text that was agreed on. `MGMT_BLESS=1` writes what is said now.

use std::path::PathBuf;

use mgmt::gapi::{YamlOptions, read_yaml};

use crate::kit::files;

/// Compares with the file beside; all differences are told at once.
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
fn unknown_keys_are_warnings_where_that_is_asked_for() {
    let text = b"graph: g\nnew: 1\nresources:\n  noop:\n  - name: a\n    colour: red\n    meta: {hidden: true}\n";
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
    assert!(error.contains("more than 64 MiB"), "{error}");
}

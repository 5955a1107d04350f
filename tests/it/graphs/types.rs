//! Two types under one kind.

use mgmt::gapi::{YamlOptions, builtin_kinds, read_yaml};
use mgmt::resource::Resource as _;

use super::*;

/// A kind of the test's own that has the name of a built-in one.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "line", unwatched)]
struct Other {
    #[resource(name)]
    name: String,
}

impl Converge for Other {
    type Drift = Change;
    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }
    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

const BOTH: [&str; 3] = ["two types have the kind `line`, ", "mgmt::resources::line::kind::Line", "types::Other"];

#[track_caller]
fn names_both(said: &str) {
    assert!(BOTH.iter().all(|part| said.contains(part)), "{said}");
}

#[test]
fn in_one_graph_they_are_an_error_with_both_names_and_places() {
    let refused = graph(|g| {
        g.add(Line::new("a", "/f"));
        g.add(Noop::new("n"));
        g.add(Other::new("b"));
        g.add(Other::new("c"));
    });
    let problems = refused.unwrap_err();
    assert_eq!(problems.0.len(), 1, "once: {problems}");
    names_both(&problems.to_string());
    let alone = graph(|g| {
        g.add(Other::new("b"));
    });
    alone.unwrap();
}

#[test]
fn in_a_set_of_kinds_the_first_stays_and_what_uses_the_set_fails() {
    let kinds = builtin_kinds().with::<Other>();
    assert_eq!(kinds.get("line").unwrap().spec.fields.len(), Line::spec().fields.len());
    let data: GraphData = serde_json::from_value(json!({ "graph": "g", "resources": [] })).unwrap();
    names_both(&data.bind(&kinds).unwrap_err().to_string());
    let text = b"graph: g\nresources:\n  noop:\n  - name: n\n";
    let options = YamlOptions { kinds, ..YamlOptions::default() };
    names_both(&read_yaml("g.yaml", text, &options).unwrap_err().to_string());
    let twice = builtin_kinds().with::<Line>();
    assert!(twice.clashes().is_empty(), "the same type twice is one");
}

//! Pictures as text, with names that a careless one gets wrong.

use std::collections::BTreeSet;

use crate::dag::{Cluster, Dag, EdgeLook, NodeId, NodeLook};

fn nasty() -> Dag<&'static str, EdgeLook> {
    let mut dag = Dag::new();
    let plain = dag.add_node("file[/etc/motd]");
    let quoted = dag.add_node("exec[echo \"a\\n&\" \\]\n2");
    let bell = dag.add_node("\u{7}%%<b>`");
    let twin = dag.add_node("file[/etc/motd]");
    dag.add_edge(plain, quoted, EdgeLook::default());
    dag.add_edge(quoted, bell, EdgeLook { notify: true, ..EdgeLook::default() });
    dag.add_edge(twin, bell, EdgeLook { label: "a \"reason\"".into(), notify: true, automatic: true });
    dag
}

fn look(_: NodeId, name: &&str) -> NodeLook {
    NodeLook { identity: (*name).to_owned(), label: (*name).to_owned() }
}

#[test]
fn dot_quotes_everything_and_keeps_namesakes_apart() {
    let expected = r#"digraph "a \"title\"" {
  label="a \"title\"";
  node [shape=box];
  "file[/etc/motd]" [label="file[/etc/motd]"];
  "exec[echo \"a\\n&\" \\]\n2" [label="exec[echo \"a\\n&amp;\" \\]\n2"];
  "\\u{7}%%<b>`" [label="\\u{7}%%<b>`"];
  "file[/etc/motd] #2" [label="file[/etc/motd]"];
  "file[/etc/motd]" -> "exec[echo \"a\\n&\" \\]\n2";
  "exec[echo \"a\\n&\" \\]\n2" -> "\\u{7}%%<b>`" [style=bold];
  "file[/etc/motd] #2" -> "\\u{7}%%<b>`" [label="a \"reason\"", style="bold,dashed", color=gray, fontcolor=gray];
}
"#;
    assert_eq!(nasty().dot("a \"title\"", &[], look, Clone::clone), expected);
}

#[test]
fn clusters_are_boxes_around_their_nodes() {
    let cluster = [Cluster { label: "two \"nodes\"".to_owned(), nodes: vec![NodeId(0), NodeId(3)] }];
    let dot = nasty().dot("", &cluster, look, Clone::clone);
    let boxed = r#"
  subgraph cluster_0 { label="two \"nodes\""; style=dotted; "file[/etc/motd]"; "file[/etc/motd] #2"; }
"#;
    assert!(dot.contains(boxed), "{dot}");
    let mermaid = nasty().mermaid("", &cluster, look, Clone::clone);
    assert!(mermaid.contains("\n  subgraph g0[\"two #34;nodes#34;\"]\n    n0\n    n3\n  end\n"), "{mermaid}");
}

#[test]
fn names_that_look_alike_once_quoted_stay_apart() {
    let mut dag: Dag<&str, EdgeLook> = Dag::new();
    for name in ["\u{7}", "\\u{7}", "x", "x", "x #2", "x"] {
        dag.add_node(name);
    }
    let text = dag.dot("", &[], look, Clone::clone);
    let names: BTreeSet<_> =
        text.lines().filter_map(|line| line.split_once(" [label=")).map(|(name, _)| name).collect();
    assert_eq!(names.len(), 6, "{text}");
}

#[test]
fn mermaid_turns_every_special_sign_into_a_number() {
    let expected = r##"---
title: "a \"title\""
---
flowchart TD
  n0["file[/etc/motd]"]
  n1["exec[echo #34;a#92;n#38;#34; #92;]<br/>2"]
  n2["#92;u#123;7#125;#37;#37;#60;b#62;#96;"]
  n3["file[/etc/motd]"]
  n0 --> n1
  n1 ==> n2
  n3 ==>|"a #34;reason#34;"| n2
  linkStyle 2 stroke:gray,color:gray
"##;
    assert_eq!(nasty().mermaid("a \"title\"", &[], look, Clone::clone), expected);
    assert!(nasty().mermaid("", &[], look, Clone::clone).starts_with("flowchart TD\n"));
}

//! Pictures as text, read by the programs that they are for.

use std::io::Write;
use std::process::{Command, Stdio};

use mgmt::dag::{Dag, EdgeLook, NodeLook};

/// Names that a careless picture gets wrong.
const NAMES: &[&str] = &[
    "file[/etc/motd]",
    "file[a \"quoted\" one]",
    "exec[ends in a \\]",
    "exec[ends in a \\",
    "exec[\\N \\G \\l]",
    "exec[two\nlines]",
    "exec[a\\nb]",
    "msg[<b>&amp;</b>]",
    "<<i>not html</i>>",
    "svc[a:b]",
    "node",
    "größe[→ 日本]",
    "x -> y; } // /* #",
];

/// What Graphviz makes of it.
fn graphviz(text: &str) -> String {
    let mut dot = Command::new("dot").arg("-Tsvg").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    dot.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = dot.wait_with_output().unwrap();
    assert!(output.status.success(), "{text}");
    String::from_utf8(output.stdout).unwrap()
}

/// The lines written on each node.
fn labels(svg: &str) -> Vec<String> {
    let nodes = svg.split("<g id=\"").skip(1).filter(|group| group.starts_with("node"));
    let lines = |node: &str| {
        let texts = node
            .split("<text ")
            .skip(1)
            .filter_map(|text| Some(text.split_once('>')?.1.split_once("</text>")?.0.to_owned()));
        texts.collect::<Vec<_>>().join("\n")
    };
    let plain = [
        ("&#160;", " "),
        ("&#45;", "-"),
        ("&#39;", "'"),
        ("&quot;", "\""),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ];
    nodes.map(lines).map(|text| plain.iter().fold(text, |text, (from, to)| text.replace(from, to))).collect()
}

#[test]
#[ignore = "needs graphviz (the command `dot`)"]
fn graphviz_shows_every_name_as_it_is() {
    let mut dag = Dag::new();
    let ids: Vec<_> = NAMES.iter().chain(["node", "node"].iter()).map(|name| dag.add_node(*name)).collect();
    for pair in ids.windows(2) {
        dag.add_edge(pair[0], pair[1], EdgeLook { label: "says \"so\"".into(), notify: true, automatic: true });
    }
    let look = |_, name: &&str| NodeLook { identity: (*name).to_owned(), label: (*name).to_owned() };
    let svg = graphviz(&dag.dot("a \"title\" \\", &[], look, Clone::clone));
    let mut expected: Vec<_> = dag.nodes().map(|(_, name)| (*name).to_owned()).collect();
    let mut shown = labels(&svg);
    expected.sort();
    shown.sort();
    assert_eq!(shown, expected);
    assert_eq!(svg.matches("class=\"edge\"").count(), dag.edge_count());
    assert!(svg.contains("says &quot;so&quot;") && svg.contains("stroke-dasharray"));
}

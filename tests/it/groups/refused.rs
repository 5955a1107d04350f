//! Groupings of one's own that are wrong.

use mgmt::graph::{
    AutoGroups, GraphConfig, GroupGraph, Grouping, Pairs, Problems, Refusal, Settings, pairwise, prepare,
};
use mgmt::prelude::*;

use super::kinds::{Part, Pkg, names};

/// Makes these groups.
#[derive(Debug)]
struct Fixed(Vec<Vec<u32>>);

impl Grouping for Fixed {
    fn name(&self) -> &'static str {
        "fixed"
    }

    fn groups(&self, _: &GroupGraph<'_>) -> Vec<Vec<u32>> {
        self.0.clone()
    }
}

/// Six resources: two parts of one letter and one of another, two packages (the second after the first), a noop.
fn graph() -> GraphConfig {
    let mut g = Graph::new("g");
    let a = g.add(Part::new("a1"));
    g.add(Part::new("a2"));
    g.add(Part::new("b1"));
    let first = g.add(Pkg::new("one").state("newest"));
    g.add(Pkg::new("two").state("newest").after(&first).before(&a));
    g.add(Pkg::new("pinned").state("1.0"));
    g.finish().unwrap()
}

fn refusals(groups: &[&[u32]]) -> Vec<String> {
    let groups = groups.iter().map(|group| group.to_vec()).collect();
    let Err(Problems(problems)) = prepare(graph(), &Settings::default().grouping(Fixed(groups))) else {
        return Vec::new();
    };
    problems.into_iter().map(|problem| problem.message).collect()
}

#[test]
fn a_wrong_group_is_refused_and_both_resources_and_the_grouping_are_named() {
    let into = "into one group:";
    let cases: [(&[&[u32]], String); 7] = [
        (
            &[&[0, 1], &[1, 0]],
            format!("test:part[a1] and test:part[a2] {into} the second is in two groups, or twice in one"),
        ),
        (&[&[0, 3]], format!("test:part[a1] and test:pkg[one] {into} they are of different kinds")),
        (&[&[0, 2]], format!("test:part[a1] and test:part[b1] {into} the first is grouped as `a`, the second as `b`")),
        (&[&[3, 5]], format!("test:pkg[one] and test:pkg[pinned] {into} test:pkg[pinned] must stay alone")),
        (&[&[3, 4]], format!("test:pkg[one] and test:pkg[two] {into} the first must run before the second")),
        (&[&[0, 0]], format!("test:part[a1] and test:part[a1] {into} the second is in two groups, or twice in one")),
        (&[&[0, 9]], "names the resource 9: there are only 6".to_owned()),
    ];
    for (groups, expected) in cases {
        let found = refusals(groups);
        assert!(found[0].starts_with("the grouping fixed ") && found[0].contains(&expected), "{groups:?}: {found:?}");
    }
    assert!(refusals(&[&[0, 1], &[2], &[]]).is_empty());
}

#[test]
fn groups_that_would_wait_for_each_other_are_refused() {
    let mut g = Graph::new("g");
    let (a1, a2) = (g.add(Part::new("a1")), g.add(Part::new("a2")));
    g.add(Part::new("b1").after(&a1));
    g.add(Part::new("b2").before(&a2));
    let config = g.finish().unwrap();
    let fixed = Fixed(vec![vec![0, 1], vec![2, 3]]);
    let Err(Problems(problems)) = prepare(config.clone(), &Settings::default().grouping(fixed)) else {
        panic!("refused")
    };
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert!(problem.message.starts_with("the grouping fixed can't put test:part["), "{problem}");
    assert!(problem.message.contains("groups would wait for each other: test:part["), "{problem}");
    // The default leaves one of the two out.
    let prepared = prepare(config, &Settings::default().grouping(AutoGroups)).unwrap();
    assert_eq!(names(prepared.config(), prepared.groups()), [["b1", "b2"]]);
}

#[test]
fn a_member_that_its_kind_refuses_is_an_error_that_names_both() {
    let mut g = Graph::new("g");
    g.add(Part::new("a1"));
    g.add(Part::new("a2!"));
    let mut config = g.finish().unwrap();
    // No group of this graph is an operation: only a grouping of one's own is examined before it is looked at.
    let fixed = Settings::default().grouping(Fixed(vec![vec![0, 1]]));
    let Err(Problems(problems)) = prepare(config.clone(), &fixed) else { panic!("refused") };
    let message = "the grouping fixed can't put test:part[a1] and test:part[a2!] into one group: it can't be with `a1`; \
                   `autogroup: false` keeps one of the two alone";
    assert_eq!(problems[0].message, message);
    config.vertices.truncate(1);
    assert!(prepare(config, &Settings::default()).is_ok());
}

#[derive(Debug)]
struct Panics;

impl Grouping for Panics {
    fn name(&self) -> &'static str {
        "clumsy"
    }

    fn groups(&self, _: &GroupGraph<'_>) -> Vec<Vec<u32>> {
        panic!("stumbled")
    }
}

#[test]
fn a_grouping_that_panics_costs_a_warning_and_the_groups() {
    let prepared = prepare(graph(), &Settings::default().grouping(Panics)).unwrap();
    assert!(prepared.groups().is_empty());
    let warnings: Vec<_> = prepared.warnings().iter().map(|warning| &*warning.message).collect();
    assert_eq!(warnings, ["the grouping clumsy panicked: stumbled: no resource is grouped"]);
}

#[test]
fn who_wants_to_be_alone_is_alone() {
    let settings = Settings::default().grouping(AutoGroups);
    let graph = |alone: bool| {
        let mut g = Graph::new("g");
        g.add(Pkg::new("one").state("newest"));
        g.add(Pkg::new("two").state("newest").autogroup(!alone));
        g.add(Pkg::new("three").state("newest"));
        // Its state is not known before the graph runs.
        let sent = g.add(Exec::new("state").cmd("echo newest"));
        g.add(Pkg::new("four").state(sent.stdout()));
        g.finish().unwrap()
    };
    let groups = |alone, settings: &Settings| {
        let prepared = prepare(graph(alone), settings).unwrap();
        names(prepared.config(), prepared.groups())
    };
    assert_eq!(groups(false, &settings), [["one", "three", "two"]]);
    assert_eq!(groups(true, &settings), [["one", "three"]]);
    assert!(groups(false, &settings.clone().autogroup(false)).is_empty());
    assert!(groups(false, &Settings::default()).is_empty());
}

/// Merges pairs until one is refused for a reason, and keeps groups below a size.
struct Small {
    pairs: Vec<(u32, u32)>,
    at: usize,
    refusals: Vec<Refusal>,
}

impl Pairs for Small {
    fn next(&mut self, so_far: &mut mgmt::graph::Merging<'_>) -> Option<(u32, u32)> {
        while let Some((first, second)) = self.pairs.get(self.at).copied() {
            self.at += 1;
            if so_far.members(first).len() + so_far.members(second).len() <= 4 {
                return Some((first, second));
            }
        }
        None
    }

    fn merged(&mut self, _: u32, _: u32, merged: Result<(), Refusal>) -> bool {
        self.refusals.extend(merged.err());
        merged != Err(Refusal::Together)
    }
}

#[derive(Debug)]
struct SmallGroups;

impl Grouping for SmallGroups {
    fn name(&self) -> &'static str {
        "small"
    }

    fn groups(&self, graph: &GroupGraph<'_>) -> Vec<Vec<u32>> {
        let pairs = vec![(3, 4), (0, 1), (0, 2), (0, 3), (5, 6), (5, 7), (4, 0), (6, 5), (3, 4)];
        let mut pairs = Small { pairs, at: 0, refusals: Vec::new() };
        let groups = pairwise(graph, &mut pairs);
        assert_eq!(pairs.refusals, [Refusal::Ordered, Refusal::Unlike, Refusal::Together]);
        groups
    }
}

#[test]
fn pairs_are_asked_for_with_what_has_been_merged_so_far() {
    let mut g = Graph::new("g");
    let a: Vec<_> = (0..4).map(|n| g.add(Part::new(format!("a{n}")))).collect();
    g.add(Part::new("a4").after(&a[3]));
    g.add(Part::new("c5"));
    g.add(Part::new("c6"));
    g.add(Part::new("d7"));
    let prepared = prepare(g.finish().unwrap(), &Settings::default().grouping(SmallGroups)).unwrap();
    assert_eq!(names(prepared.config(), prepared.groups()), [vec!["a0", "a1", "a2", "a3"], vec!["c5", "c6"]]);
}

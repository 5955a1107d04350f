//! The fields of each resource whose values are not known before the graph runs.

use std::collections::HashMap;

use crate::graph::config::{GraphConfig, Vertex};
use crate::resource::{FieldProblem, Known};

/// The fields that will be received.
pub(super) fn coming(config: &GraphConfig) -> HashMap<u32, Vec<u8>> {
    let mut coming: HashMap<u32, Vec<u8>> = HashMap::new();
    for link in &config.links {
        coming.entry(link.to).or_default().push(link.field);
    }
    coming
}

/// The fields of a resource whose values are not known because the text that declares them has mistakes.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Doubt {
    /// The fields.
    pub(crate) fields: Vec<u8>,
    /// There is a key without a meaning: it can have been meant for any field that is not given. All of these are in
    /// `fields`.
    pub(crate) any: bool,
}

/// The doubtful fields of each resource that has some.
pub(crate) type Doubts = HashMap<u32, Doubt>;

/// What is not known about the fields of a graph.
#[derive(PartialEq)]
pub(super) struct Coming<'a> {
    /// The fields that are received or doubtful.
    fields: HashMap<u32, Vec<u8>>,
    /// The fields that receive a secret.
    secret: HashMap<u32, Vec<u8>>,
    doubts: Option<&'a Doubts>,
}

impl<'a> Coming<'a> {
    pub(super) fn of(config: &GraphConfig, doubts: Option<&'a Doubts>) -> Coming<'a> {
        let mut fields = coming(config);
        for (n, doubt) in doubts.into_iter().flatten() {
            fields.entry(*n).or_default().extend(&doubt.fields);
        }
        let mut secret: HashMap<u32, Vec<u8>> = HashMap::new();
        for link in &config.links {
            let sends_secret = |(from, port): &(u32, u8)| {
                let sender = config.vertices.get(*from as usize).map(|sender| sender.resource.spec());
                sender.and_then(|spec| spec.outputs.get(usize::from(*port))).is_some_and(|output| output.secret)
            };
            if link.wire.keeps_secrets() && link.sources.iter().any(sends_secret) {
                secret.entry(link.to).or_default().push(link.field);
            }
        }
        Coming { fields, secret, doubts }
    }

    /// What is known about the fields of a resource.
    pub(super) fn known(&self, n: u32, vertex: &Vertex) -> Known<'_> {
        let [fields, secret] = [&self.fields, &self.secret].map(|all| all.get(&n).map_or(&[][..], Vec::as_slice));
        Known::all_but_numbers(vertex.resource.spec(), fields).with_secrets(secret)
    }

    /// The problems of the fields of a resource that are problems whatever the doubtful fields are.
    pub(super) fn problems(&self, n: u32, vertex: &Vertex) -> Vec<FieldProblem> {
        let known = self.known(n, vertex);
        let doubt = self.doubts.and_then(|doubts| doubts.get(&n)).filter(|doubt| doubt.any);
        if doubt.is_none() {
            return vertex.resource.validate(&known);
        }
        // A field that is not given must not count as given, and a problem must lie in given fields alone.
        let mut problems = vertex.resource.validate(&Known::all(vertex.resource.spec()));
        let is_given = |field: &String| known.is_known(field);
        problems.retain(|problem| {
            !problem.field.is_empty() && is_given(&problem.field) && problem.judged.iter().all(is_given)
        });
        problems
    }
}

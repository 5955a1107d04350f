//! The checks of exports and rules, before any part of a graph runs.

use std::collections::HashMap;

use crate::graph::config::GraphConfig;
use crate::graph::exchange::collect::End;
use crate::graph::exchange::entry::{SECRET_REMEDY, written};
use crate::graph::exchange::export::Export;
use crate::graph::problem::{Problem, Problems};
use crate::resource::{CAN_SEAL, Known, Origin, hint};

/// Everything that is wrong with what a graph exports and collects, and then the rest that is wrong with it.
pub(in crate::graph) fn with_exchange(config: &GraphConfig, rest: Result<(), Problems>) -> Result<(), Problems> {
    let mut problems = check_exchange(config).err().unwrap_or_default();
    problems.0.extend(rest.err().unwrap_or_default().0);
    problems.into_result()
}

/// Checks what a graph exports and collects.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn check_exchange(config: &GraphConfig) -> Result<(), Problems> {
    let mut problems = Vec::new();
    check_exports(config, &mut problems);
    check_rules(config, &mut problems);
    Problems(problems).into_result()
}

fn check_exports(config: &GraphConfig, problems: &mut Vec<Problem>) {
    let mut seen: HashMap<(String, String, Option<&str>), &Origin> = HashMap::new();
    for export in &config.exports {
        check_export(export, config, problems);
        let id = export.vertex.id();
        for to in export.addressees() {
            let key = (id.kind.as_str().to_owned(), id.name.clone(), to);
            if let Some(first) = seen.insert(key, &export.vertex.origin) {
                let to = to.map_or(String::new(), |to| format!(" to {to}"));
                let message = format!("{id} is exported twice{to}: export it once, or under another name");
                problems.push(Problem::new(message, export.vertex.origin.clone()).also("first", first.clone()));
            }
        }
    }
}

fn check_rules(config: &GraphConfig, problems: &mut Vec<Problem>) {
    let is_missing = |end: &End| match end {
        End::Vertex(place) => *place as usize >= config.vertices.len(),
        End::Collected(rule) => *rule as usize >= config.collects.len(),
        End::Named(_) => false,
    };
    for edge in config.awaited.iter().filter(|edge| is_missing(&edge.from) || is_missing(&edge.to)) {
        let message = "an end of an edge is an index that neither the resources nor the rules have";
        problems.push(Problem::new(message, edge.origin.clone()));
    }
    for rule in &config.collects {
        let kind = rule.kind.spec.kind;
        let mut say = |message: String| problems.push(Problem::new(message, rule.origin.clone()));
        if rule.kind.on_trust && !rule.trust {
            say(format!(
                "a {kind} of another host does here what that host wants, with the rights of this program: it is \
                 collected only if the rule trusts the hosts (`trust: true`, `.trust()`)"
            ));
        }
        for (field, value) in &rule.fields {
            let Some(number) = rule.kind.spec.field(field) else {
                let hint = hint(field, rule.kind.spec.fields.iter().map(|field| field.name), "its fields are");
                say(format!("a rule that collects {kind} sets `{field}`, which is no field of it: {hint}"));
                continue;
            };
            if let Err(why) = (rule.kind.spec.fields[usize::from(number)].parse)(value.clone()) {
                say(format!("a rule that collects {kind} sets `{field}` to a value that does not fit: {why}"));
            }
        }
    }
}

fn check_export(export: &Export, config: &GraphConfig, problems: &mut Vec<Problem>) {
    let vertex = &export.vertex;
    let (id, spec) = (vertex.id(), vertex.resource.spec());
    let mut say = |message: String| {
        problems.push(Problem::new(format!("{id}, which is exported: {message}"), vertex.origin.clone()));
    };
    if vertex.resource.name().is_empty() {
        say("its name is empty: give it one".to_owned());
    }
    if export.to.as_ref().is_some_and(|to| to.is_empty() || to.iter().any(String::is_empty)) {
        say("it is for no host: name at least one, or leave that out for all".to_owned());
    }
    let wired = export.wired();
    if let Err(why) = written(vertex, &wired, export.sealed) {
        say(why);
    }
    if export.sealed && export.to.is_none() {
        say("it is sealed, which needs hosts that it is for: name them".to_owned());
    }
    if export.sealed && !CAN_SEAL {
        say("it is sealed, which needs the Cargo feature `etcd`: build this program with it".to_owned());
    }
    for link in export.links.iter().filter(|link| !link.wire.closure && !export.sealed) {
        let sent = |(from, port): &(u32, u8)| {
            let sender = config.vertices.get(*from as usize)?.resource.spec();
            sender.outputs.get(usize::from(*port))
        };
        if let (Some(sent), Some(field)) =
            (link.sources.iter().filter_map(sent).find(|sent| sent.secret), spec.fields.get(usize::from(link.field)))
        {
            let (sent, field) = (sent.name, field.name);
            say(format!(
                "`{field}` receives `{sent}`, a secret, which does not travel to other hosts: {SECRET_REMEDY}"
            ));
        }
    }
    let known = Known::all_but_numbers(spec, &wired);
    let is_lenient = matches!(vertex.origin, Origin::File(_));
    let problems_of_fields = vertex.resource.validate(&known).into_iter();
    let problems_of_fields = problems_of_fields.filter(|problem| !(problem.advice || problem.lenient && is_lenient));
    problems_of_fields.for_each(|problem| say(problem.to_string()));
    let meta = vertex.meta();
    meta.problems().into_iter().chain(meta.wrong_ignored(spec, &known)).chain(meta.wrong_reverse(spec)).for_each(say);
}

//! Writes what a graph exports and collects as Rust.

use std::fmt::Write as _;

use crate::cli::convert::{Writer, type_name};
use crate::graph::{Awaited, AwaitedEdge, Collect, End, GraphConfig};
use crate::id::{KindName, ResourceId};

impl Writer<'_> {
    /// The rules that collect.
    pub(super) fn rules(&mut self) -> Result<(), String> {
        self.config.collects.iter().enumerate().try_for_each(|(n, rule)| self.rule(n, rule))
    }

    /// What is exported, and the edges of what is collected.
    pub(super) fn exchange(&mut self) -> Result<(), String> {
        let config = self.config;
        for export in &config.exports {
            let links: Vec<_> = export.links.iter().collect();
            let expression = self.expression(&export.vertex, &links)?;
            let how = if export.sealed { "sealed_to" } else { "to" };
            let to = export.to.as_ref().map_or(String::new(), |to| format!(".{how}({to:?})"));
            self.add("g.export", &expression, &to);
        }
        for edge in &config.awaited {
            let how = if edge.notify { "notify" } else { "before" };
            let (from, to) = (self.end(edge, &edge.from)?, self.end(edge, &edge.to)?);
            let _ = writeln!(self.body, "    g.{how}(&{from}, &{to});");
        }
        Ok(())
    }

    fn rule(&mut self, n: usize, rule: &Collect) -> Result<(), String> {
        let kind = rule.kind.spec.kind;
        if rule.change.is_some() {
            return Err(format!(
                "what is collected of the kind {kind} is changed by a closure, which can't be written back"
            ));
        }
        let is_end = |end: &End| self.rule_of(end) == Some(n);
        let is_in_edge = self.config.awaited.iter().any(|edge| is_end(&edge.from) || is_end(&edge.to));
        let mut awaited = self.config.vertices.iter().filter_map(Awaited::of);
        let is_named = is_in_edge || awaited.any(|id| rule_of_kind(self.config, &id.kind) == Some(n));
        let bind = if is_named { format!("let {} = ", variable(n)) } else { String::new() };
        let mut line = format!("    {bind}g.collect::<{}>()", type_name(kind));
        rule.from.iter().for_each(|pattern| line += &format!(".from({pattern:?})"));
        rule.named.iter().for_each(|pattern| line += &format!(".named({pattern:?})"));
        for (field, value) in &rule.fields {
            // Numbers and truth values have the same form in Rust.
            let value = match value {
                text if text.is_string() || text.is_number() || text.is_boolean() => text.to_string(),
                _ => return Err(format!("the field `{field}` of a rule that collects {kind} has no form in Rust")),
            };
            line += &format!(".set({field:?}, {value})");
        }
        line += if rule.trust { ".trust();" } else { ";" };
        let _ = writeln!(self.body, "{line}");
        Ok(())
    }

    /// The rule whose handle an end needs.
    fn rule_of(&self, end: &End) -> Option<usize> {
        match end {
            End::Vertex(_) => None,
            End::Collected(rule) => Some(*rule as usize),
            End::Named(id) => rule_of_kind(self.config, &id.kind),
        }
    }

    fn end(&self, edge: &AwaitedEdge, end: &End) -> Result<String, String> {
        let expression = match end {
            End::Vertex(place) => Some(self.variable(*place).to_owned()),
            End::Collected(rule) => Some(variable(*rule as usize)),
            End::Named(id) => one(self.config, id),
        };
        expression.ok_or_else(|| format!("the edge at {} leads to what no rule collects", edge.origin))
    }
}

/// The expression for one collected resource; `None`: no rule collects its kind.
pub(super) fn one(config: &GraphConfig, id: &ResourceId) -> Option<String> {
    Some(format!("{}.one({:?})", variable(rule_of_kind(config, &id.kind)?), id.name))
}

fn rule_of_kind(config: &GraphConfig, kind: &KindName) -> Option<usize> {
    config.collects.iter().position(|rule| rule.kind.spec.kind == kind.as_str())
}

fn variable(rule: usize) -> String {
    format!("collected_{}", rule + 1)
}

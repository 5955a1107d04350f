//! Writes what a graph exports and collects as Rust.

use std::fmt::Write as _;

use crate::cli::convert::{Writer, type_name};
use crate::graph::{AwaitedEdge, Collect, End};

impl Writer<'_> {
    /// What is exported, the rules that collect, and the edges of what they collect.
    pub(super) fn exchange(&mut self) -> Result<(), String> {
        let config = self.config;
        for export in &config.exports {
            let links: Vec<_> = export.links.iter().collect();
            let expression = self.expression(&export.vertex, &links)?;
            let to = export.to.as_ref().map_or(String::new(), |to| format!(".to({to:?})"));
            self.add("g.export", &expression, &to);
        }
        for (n, rule) in config.collects.iter().enumerate() {
            self.rule(n, rule)?;
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
        let is_named = self.config.awaited.iter().any(|edge| is_end(&edge.from) || is_end(&edge.to));
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
            End::Named(id) => self.config.collects.iter().position(|rule| rule.kind.spec.kind == id.kind.as_str()),
        }
    }

    fn end(&self, edge: &AwaitedEdge, end: &End) -> Result<String, String> {
        match (end, self.rule_of(end)) {
            (End::Vertex(place), _) => Ok(self.variable(*place).to_owned()),
            (End::Collected(_), Some(rule)) => Ok(variable(rule)),
            (End::Named(id), Some(rule)) => Ok(format!("{}.one({:?})", variable(rule), id.name)),
            (_, None) => Err(format!("the edge at {} leads to what no rule collects", edge.origin)),
        }
    }
}

fn variable(rule: usize) -> String {
    format!("collected_{}", rule + 1)
}

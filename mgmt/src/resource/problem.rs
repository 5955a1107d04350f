//! Problems of a resource's fields, as data.

use std::fmt;
use std::path::Path;

use crate::id::in_one_line;
use crate::sys::fs::normal_form;

/// A problem of one field of a resource.
///
/// As text it is `` `field` problem: remedy `` (after a problem with a colon in it, `; remedy`), always on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldProblem {
    /// The name of the field; empty: the resource as a whole.
    pub field: String,
    /// The fields whose values led to the problem. As long as one of them has not been received, the problem does not
    /// count.
    pub judged: Vec<String>,
    /// What is wrong, in words that follow the field's name. A text that begins with a colon or a comma follows it
    /// without a blank.
    pub problem: String,
    /// What to do about it; empty if that follows from `problem`.
    pub remedy: String,
    /// The problem is only a warning in a graph that was read from a file. In Rust it is an error all the same.
    pub lenient: bool,
    /// The problem is only a warning, wherever the resource was declared.
    pub advice: bool,
    /// In a resource given as data, the key is wrong (unknown or missing), not its value. `problem` then contains the
    /// key.
    pub key: bool,
}

impl FieldProblem {
    /// A problem of a field. If the values of several fields led to it, give an array of their names; the problem
    /// belongs to the first.
    ///
    /// ```
    /// # use mgmt::resource::FieldProblem;
    /// let problem = FieldProblem::new("length", "is 0", "give at least 1");
    /// assert_eq!(problem.to_string(), "`length` is 0: give at least 1");
    /// let why = "with `shell`: it takes its script from `cmd`";
    /// let problem = FieldProblem::new(["args", "shell"], why, "leave one of them out");
    /// assert_eq!(problem.to_string(), "`args` with `shell`: it takes its script from `cmd`; leave one of them out");
    /// assert_eq!(problem.field, "args");
    /// assert_eq!(problem.judged, ["args", "shell"]);
    /// ```
    pub fn new(fields: impl FieldNames, problem: impl fmt::Display, remedy: impl fmt::Display) -> FieldProblem {
        FieldProblem {
            field: fields.names().first().copied().unwrap_or_default().to_owned(),
            judged: owned(fields),
            problem: one_line(problem),
            remedy: one_line(remedy),
            lenient: false,
            advice: false,
            key: false,
        }
    }

    /// A problem of the resource as a whole. The text stands alone, so it must name what is wrong.
    pub fn whole(problem: impl fmt::Display, remedy: impl fmt::Display) -> FieldProblem {
        FieldProblem { judged: Vec::new(), ..FieldProblem::new("", problem, remedy) }
    }

    /// The same problem, found in the values of these fields and no others. (Whether a field is given is known even
    /// before its value is received.)
    #[must_use]
    pub fn judged_by(mut self, fields: impl FieldNames) -> FieldProblem {
        self.judged = owned(fields);
        self
    }

    /// The same problem, but only a warning in a resource that was read from a file: for what older files contain and
    /// has always run.
    #[must_use]
    pub fn lenient(mut self) -> FieldProblem {
        self.lenient = true;
        self
    }

    /// The same problem, but only a warning, wherever the resource was declared: for what works, and is most likely not
    /// what was meant.
    #[must_use]
    pub fn advice(mut self) -> FieldProblem {
        self.advice = true;
        self
    }

    /// The problem of a path that is not absolute or has `..` in it. Checks the text only, not the file system.
    pub fn of_path(field: &str, path: &Path) -> Option<FieldProblem> {
        let error = normal_form(path).err()?;
        Some(FieldProblem::new(field, format_args!(": `{}`: {error}", path.display()), ""))
    }

    /// A problem of a key in data. The text must contain the key.
    pub(crate) fn of_key(key: &str, problem: impl fmt::Display, remedy: impl fmt::Display) -> FieldProblem {
        FieldProblem { key: true, ..FieldProblem::new(key, problem, remedy) }
    }
}

fn owned(fields: impl FieldNames) -> Vec<String> {
    fields.names().iter().map(|field| (*field).to_owned()).collect()
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key && !self.field.is_empty() {
            write!(f, "`{}`{}", self.field, if self.problem.starts_with([':', ',']) { "" } else { " " })?;
        }
        f.write_str(&self.problem)?;
        if self.remedy.is_empty() {
            return Ok(());
        }
        // A second colon would read as if the remedy followed from the first half.
        let has_colon = self.problem.trim_start_matches(':').contains(": ");
        write!(f, "{}{}", if has_colon { "; " } else { ": " }, self.remedy)
    }
}

impl std::error::Error for FieldProblem {}

/// Texts may contain values with line ends; in a list of problems, each problem is one line.
fn one_line(text: impl fmt::Display) -> String {
    in_one_line(&text.to_string()).into_owned()
}

/// The name of a field, or an array of names.
pub trait FieldNames {
    /// The names.
    fn names(&self) -> &[&str];
}

impl<T: FieldNames> FieldNames for &T {
    fn names(&self) -> &[&str] {
        (**self).names()
    }
}

impl FieldNames for &str {
    fn names(&self) -> &[&str] {
        std::slice::from_ref(self)
    }
}

impl<const N: usize> FieldNames for [&str; N] {
    fn names(&self) -> &[&str] {
        self
    }
}

/// All of these problems, for `Converge::validate`: each item is an `Option` of a problem, or a list of problems.
///
/// ```
/// # use mgmt::resource::{FieldProblem, every};
/// let empty = |field: &str| FieldProblem::new(field, "is empty", "fill it");
/// let [a, b, c] = [None, Some("a"), Some("b")].map(|field| field.map(empty));
/// assert_eq!(every([a, b, c]).len(), 2);
/// ```
pub fn every(problems: impl IntoIterator<Item = impl IntoIterator<Item = FieldProblem>>) -> Vec<FieldProblem> {
    problems.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_of_field_problem_and_remedy() {
        let shown = |problem: FieldProblem| problem.to_string();
        assert_eq!(shown(FieldProblem::new("a", "is 0", "give 1")), "`a` is 0: give 1");
        assert_eq!(shown(FieldProblem::new("a", ": `x\ny` is no key", "")), "`a`: `x\\ny` is no key");
        assert_eq!(shown(FieldProblem::whole("nothing to do", "give `a` or `b`")), "nothing to do: give `a` or `b`");
        assert_eq!(shown(FieldProblem::of_key("b", "box needs `b`", "")), "box needs `b`");
        assert_eq!(FieldProblem::new(["a", "b"], "with `b`", "").judged_by("b").judged, ["b"]);
        assert!(FieldProblem::whole("x", "").judged.is_empty());
    }
}

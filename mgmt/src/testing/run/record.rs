//! What an engine has done, compared with what a test expects.

use crate::runtime::EventKind;
use crate::sys::simulated::matches;
use crate::testing::run::engine::Run;

/// An expectation that stands for anything, of any length.
const ANYTHING: &str = "...";

impl Run {
    /// What was changed so far, in order: `file[/etc/motd]` for an apply that changed something, `refresh exec[reload]`
    /// for a refresh that did something.
    pub fn applied(&self) -> Vec<String> {
        let done = self.events().iter().filter_map(|event| match &event.kind {
            EventKind::Applied { id, changed: true, .. } => Some(id.to_string()),
            EventKind::Refreshed { id, changed: true, .. } => Some(format!("refresh {id}")),
            _ => None,
        });
        done.collect()
    }

    /// These were changed, in this order, and nothing else (see [`Run::applied`]). In an expectation, each `*` stands
    /// for any text; the expectation `...` stands for any number of changes, also for none.
    ///
    /// # Panics
    /// Something else was changed: the message shows both, line by line.
    #[track_caller]
    pub fn assert_applied<S: AsRef<str>>(&self, expected: impl IntoIterator<Item = S>) {
        let expected: Vec<String> = expected.into_iter().map(|one| one.as_ref().to_owned()).collect();
        let done = self.applied();
        if !fits(&expected, &done) {
            panic!("something else was applied than expected:\n{}", difference(&expected, &done));
        }
    }

    /// Like [`Run::assert_applied`], in any order and without `...`.
    ///
    /// # Panics
    /// Something else was changed.
    #[track_caller]
    pub fn assert_applied_in_any_order<S: AsRef<str>>(&self, expected: impl IntoIterator<Item = S>) {
        let mut expected: Vec<String> = expected.into_iter().map(|one| one.as_ref().to_owned()).collect();
        let mut done = self.applied();
        expected.sort();
        done.sort();
        let mut left = done.clone();
        // Expectations without a `*` choose first.
        let (open, exact): (Vec<&String>, Vec<&String>) = expected.iter().partition(|one| one.contains('*'));
        let is_met = exact.into_iter().chain(open).all(|one| {
            let at = left.iter().position(|done| matches(one, done));
            at.map(|at| left.remove(at)).is_some()
        });
        if !is_met || !left.is_empty() {
            panic!("something else was applied than expected, in any order:\n{}", difference(&expected, &done));
        }
    }

    /// Nothing was changed.
    ///
    /// # Panics
    /// Something was.
    #[track_caller]
    pub fn assert_nothing_applied(&self) {
        self.assert_applied([""; 0]);
    }

    /// The events as lines of stable text, for a snapshot: without times, and without the checks that found nothing.
    pub fn story(&self) -> String {
        let mut text = String::new();
        for event in self.events().iter().filter(|event| !matches!(event.kind, EventKind::InSync { .. })) {
            text.push_str(&event.kind.to_string());
            text.push('\n');
        }
        text
    }
}

/// Whether the list has the form of the expectations.
fn fits(expected: &[String], done: &[String]) -> bool {
    match (expected.split_first(), done.split_first()) {
        (None, _) => done.is_empty(),
        (Some((first, rest)), _) if first == ANYTHING => (0..=done.len()).any(|skipped| fits(rest, &done[skipped..])),
        (Some((first, rest)), Some((one, others))) => matches(first, one) && fits(rest, others),
        (Some(_), None) => false,
    }
}

/// Both lists in one: lines of the first alone begin with `-`, lines of the second alone with `+`.
pub(in crate::testing) fn difference(expected: &[String], done: &[String]) -> String {
    let is_same = |a: &String, b: &String| a == ANYTHING || matches(a, b);
    // The length of the longest common part of what begins at each pair of places.
    let mut common = vec![vec![0_usize; done.len() + 1]; expected.len() + 1];
    for (i, a) in expected.iter().enumerate().rev() {
        for (j, b) in done.iter().enumerate().rev() {
            let longest = common[i + 1][j].max(common[i][j + 1]);
            common[i][j] = if is_same(a, b) { longest.max(common[i + 1][j + 1] + 1) } else { longest };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < expected.len() || j < done.len() {
        let both = i < expected.len() && j < done.len() && is_same(&expected[i], &done[j]);
        if both && common[i][j] == common[i + 1][j + 1] + 1 {
            lines.push(format!("    {}", done[j]));
            (i, j) = (i + 1, j + 1);
        } else if i < expected.len() && (j == done.len() || common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("  - {}", expected[i]));
            i += 1;
        } else {
            lines.push(format!("  + {}", done[j]));
            j += 1;
        }
    }
    if lines.is_empty() {
        lines.push("    (nothing)".to_owned());
    }
    lines.join("\n")
}

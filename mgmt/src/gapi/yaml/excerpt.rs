//! Turns complaints into problems: with the line of the file, and the place in it underlined.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use unicode_width::UnicodeWidthStr as _;

use crate::gapi::yaml::document::sounds_secret;
use crate::gapi::yaml::tree::{Complaint, Node, Place, Value};
use crate::graph::{Problem, Problems};
use crate::resource::{Origin, Span};

/// The number of lines between two whose offsets are kept.
const STEP: usize = 4096;
/// The most columns of a line that are shown around the place.
const WIDTH_MAX: usize = 100;

/// A file's name and lines, to quote from.
pub(crate) struct Quotes<'a> {
    file: &'a str,
    text: &'a str,
    /// The offset of every `STEP`th line, found when the first line is quoted. A list of all lines could be larger than
    /// the file itself.
    starts: OnceCell<Vec<usize>>,
    /// The line that was asked for last, counted from 0, and its offset: most lines are asked for in their order.
    last: Cell<(usize, usize)>,
    /// Lines that contain a secret: they are never quoted.
    hidden: RefCell<Lines>,
    /// Parts of lines that may be secrets: the first character and the number of characters.
    masked: RefCell<HashMap<usize, Vec<(usize, usize)>>>,
}

impl<'a> Quotes<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Quotes<'a> {
        Quotes {
            file,
            text,
            starts: OnceCell::new(),
            last: Cell::default(),
            hidden: RefCell::default(),
            masked: RefCell::default(),
        }
    }

    /// Hides a value that may be a secret: masks it if it is one token of its line, otherwise hides its lines.
    pub(crate) fn mask(&self, node: &Node) {
        let Place { line, column, width } = node.place;
        match &node.value {
            Value::Scalar { text, .. } => {
                let token: String = self.line(line).unwrap_or_default().chars().skip(column - 1).take(width).collect();
                let is_quoted =
                    token.len() > 1 && ['"', '\''].iter().any(|c| token.starts_with(*c) && token.ends_with(*c));
                if is_quoted || token == *text {
                    self.masked.borrow_mut().entry(line).or_default().push((column - 1, width));
                } else {
                    self.hide(node);
                }
            }
            Value::List(nodes) => nodes.iter().for_each(|node| self.mask(node)),
            Value::Map(entries) => entries.iter().for_each(|(_, node)| self.mask(node)),
        }
    }

    /// Whether the value at the place is hidden or masked.
    fn is_hidden(&self, place: Place) -> bool {
        let masked = self.masked.borrow();
        let mut parts = masked.get(&place.line).into_iter().flatten();
        self.hidden.borrow().contain(place.line) || parts.any(|(from, _)| *from + 1 == place.column)
    }

    /// The line with that number, from 1.
    fn line(&self, number: usize) -> Option<&'a str> {
        let starts = self.starts.get_or_init(|| {
            let ends = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(ends.skip(STEP - 1).step_by(STEP)).collect()
        });
        let at = number.saturating_sub(1);
        let (last, offset) = self.last.get();
        let (line, start) = match last <= at && at - last < STEP {
            true => (last, offset),
            false => (at / STEP * STEP, *starts.get(at / STEP)?),
        };
        let mut rest = &self.text[start..];
        for _ in line..at {
            rest = rest.split_once('\n')?.1;
        }
        self.last.set((at, self.text.len() - rest.len()));
        rest.lines().next()
    }

    /// Hides the lines of a secret value.
    pub(crate) fn hide(&self, node: &Node) {
        match &node.value {
            Value::Scalar { .. } => self.hidden.borrow_mut().add(node.place.line, node.last),
            Value::List(nodes) => nodes.iter().for_each(|node| self.hide(node)),
            Value::Map(entries) => entries.iter().for_each(|(_, node)| self.hide(node)),
        }
    }

    /// The place as an origin.
    pub(crate) fn origin(&self, place: Place) -> Origin {
        Origin::File(Arc::new(Span { file: self.file.to_owned(), line: place.line, column: place.column }))
    }

    /// The complaint as a problem.
    pub(crate) fn problem(&self, complaint: Complaint) -> Problem {
        let mut problem = Problem::new(complaint.message, self.origin(complaint.place));
        problem.excerpt = if complaint.secret { None } else { self.excerpt(complaint.place) };
        match complaint.also {
            Some((what, place)) => problem.also(what, self.origin(place)),
            None => problem,
        }
    }

    /// The complaints as problems, in the order of the file.
    pub(crate) fn problems(&self, mut complaints: Vec<Complaint>) -> Problems {
        for doubles in complaints.iter().filter_map(|complaint| complaint.doubles.as_deref()) {
            // The second value is not shown where the first one is not.
            let is_shown = doubles.first_scalar.is_some_and(|first| !self.is_hidden(first));
            let is_scalar = matches!(doubles.value.value, Value::Scalar { .. });
            if !is_shown || !is_scalar || sounds_secret(&doubles.key.text) {
                self.mask(&doubles.value);
            }
        }
        complaints.sort_by_key(|complaint| (complaint.place.line, complaint.place.column));
        Problems(complaints.into_iter().map(|complaint| self.problem(complaint)).collect())
    }

    /// Adds excerpts to problems that were found later, in the graph that the file declares.
    pub(crate) fn quote(&self, mut problems: Problems, widths: &HashMap<(usize, usize), usize>) -> Problems {
        for problem in &mut problems.0 {
            if let Origin::File(span) = &problem.origin
                && span.file == self.file
            {
                let line = self.line(span.line).unwrap_or_default();
                let rest = line.chars().skip(span.column.saturating_sub(1)).collect::<String>();
                let token = rest.split(" #").next().unwrap_or_default().trim_end();
                let width = widths.get(&(span.line, span.column)).copied();
                let width = width.unwrap_or_else(|| token.chars().count()).max(1);
                problem.excerpt = self.excerpt(Place { line: span.line, column: span.column, width });
            }
        }
        problems
    }

    fn excerpt(&self, place: Place) -> Option<String> {
        let line = self.line(place.line)?;
        if self.hidden.borrow().contain(place.line) {
            return None;
        }
        let line: String = match self.masked.borrow().get(&place.line) {
            None => line.to_owned(),
            Some(parts) => {
                let is_masked = |at: usize| parts.iter().any(|(from, count)| (*from..from + count).contains(&at));
                line.chars().enumerate().map(|(at, c)| if is_masked(at) { '*' } else { c }).collect()
            }
        };
        let before = place.column - 1;
        let start = if before + place.width > WIDTH_MAX { before.saturating_sub(WIDTH_MAX / 4) } else { 0 };
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let shown: String = line.chars().skip(start).take(WIDTH_MAX).map(clean).collect();
        let lead = if start > 0 { "…" } else { "" };
        let tail = if line.chars().count() > start + WIDTH_MAX { "…" } else { "" };
        let number = place.line.to_string();
        let blank = " ".repeat(number.len());
        let room = (start + WIDTH_MAX).saturating_sub(before).max(1);
        // Characters may be two columns wide or have no width: the carets must be under the place all the same.
        let width = |from: usize, count: usize| shown.chars().skip(from).take(count).collect::<String>().width();
        let pad = " ".repeat(width(0, before - start) + lead.width());
        let carets = "^".repeat(width(before - start, place.width.min(room)).max(1));
        Some(format!("  {number} | {lead}{}{tail}\n  {blank} | {pad}{carets}", shown.trim_end()))
    }
}

/// Some lines of a file, in memory that does not depend on their number: the first and the last line of each piece. No
/// two pieces have a line in common.
#[derive(Default)]
struct Lines(BTreeMap<usize, usize>);

impl Lines {
    fn add(&mut self, mut first: usize, mut last: usize) {
        while let Some((&from, &to)) = self.0.range(..=last).next_back()
            && to >= first
        {
            self.0.remove(&from);
            (first, last) = (first.min(from), last.max(to));
        }
        self.0.insert(first, last);
    }

    fn contain(&self, line: usize) -> bool {
        self.0.range(..=line).next_back().is_some_and(|(_, last)| *last >= line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_whatever_was_asked_for_before() {
        for (text, count) in [("", 0), ("a", 1), ("a\n", 1), ("a\r\n\nb", 3)] {
            let quotes = Quotes::new("", text);
            for number in [1, 2, 3, 4, 2, 1, 5000] {
                assert_eq!(quotes.line(number), text.lines().nth(number - 1), "{number} of {text:?}");
                assert_eq!(quotes.line(number).is_some(), number <= count);
            }
        }
        let text: String = (1..=3 * STEP).map(|number| format!("line {number}\n")).collect();
        let quotes = Quotes::new("", &text);
        let jumps = [1, STEP, STEP + 1, 2, 3 * STEP, 2 * STEP + 1, 2 * STEP, 3 * STEP - 1, 1];
        for number in jumps.into_iter().chain(1..=3 * STEP) {
            assert_eq!(quotes.line(number), Some(&*format!("line {number}")));
        }
        assert_eq!(quotes.line(3 * STEP + 1), None);
    }

    #[test]
    fn pieces_of_lines_that_meet_are_one() {
        let mut lines = Lines::default();
        for (first, last) in [(10, 12), (3, 3), (20, 30), (12, 14), (25, 27), (1, 2)] {
            lines.add(first, last);
        }
        let contained: Vec<usize> = (0..40).filter(|line| lines.contain(*line)).collect();
        assert_eq!(contained, (1..=3).chain(10..=14).chain(20..=30).collect::<Vec<_>>());
        lines.add(0, 50);
        assert_eq!(lines.0.into_iter().collect::<Vec<_>>(), [(0, 50)]);
    }
}

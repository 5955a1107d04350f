//! The problems of a graph: reported all at once, with places.

use std::fmt;

use crate::id::{Palette, Role, Shown};
use crate::resource::Origin;

/// One problem of a graph.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Problem {
    /// What is wrong, and what to do about it.
    pub message: String,
    /// The place of the problem.
    pub origin: Origin,
    /// The line in the file, with the place in it underlined, if it is known.
    pub excerpt: Option<String>,
    /// Other places that are involved in the problem, each with a description.
    pub also: Vec<(String, Origin)>,
}

impl Problem {
    /// A problem at that place. If the message is longer than 8 KiB, its middle is left out.
    pub fn new(message: impl Into<String>, origin: Origin) -> Problem {
        Problem { message: without_middle(message.into()), origin, excerpt: None, also: Vec::new() }
    }

    /// Adds another place that is involved in the problem.
    #[must_use]
    pub fn also(mut self, what: impl Into<String>, origin: Origin) -> Problem {
        self.also.push((what.into(), origin));
        self
    }
}

/// The most bytes of a message, and the number of bytes kept at the end of a longer one, where the remedy is.
const MESSAGE_BYTES_MAX: usize = 8 << 10;
const END_BYTES: usize = 1 << 10;

fn without_middle(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES_MAX {
        let boundary = |from: usize| (from..).find(|at| message.is_char_boundary(*at)).unwrap_or(from);
        let (start, end) = (boundary(MESSAGE_BYTES_MAX - END_BYTES), boundary(message.len() - END_BYTES));
        let left_out = format!("… ({} bytes left out) …", end - start);
        message.replace_range(start..end, &left_out);
    }
    message
}

impl Problem {
    /// The problem as people read it, in colour if the palette has any.
    fn painted(&self, palette: Palette) -> impl fmt::Display + '_ {
        Shown(move |f: &mut fmt::Formatter<'_>| {
            write!(f, "{}\n  at {}", self.message, self.origin)?;
            for line in self.excerpt.iter().flat_map(|excerpt| excerpt.lines()) {
                // The margin contains the number of the line.
                let (margin, rest) = line.split_at(line.find('|').map_or(0, |end| end + 1));
                let is_underlined = rest.trim_start().starts_with('^') && margin.trim() == "|";
                let role = if is_underlined { Role::Error } else { Role::Plain };
                write!(f, "\n{}{}", palette.paint(Role::Place, margin), palette.paint(role, rest))?;
            }
            for (what, origin) in &self.also {
                write!(f, "\n  {what} at {origin}")?;
            }
            Ok(())
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.painted(Palette::Plain))
    }
}

/// Every problem of a graph. A graph with problems does not run.
#[derive(Clone, Debug, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// `Ok` if there are no problems.
    ///
    /// # Errors
    /// The problems.
    pub fn into_result(self) -> Result<(), Problems> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

// One mistake can be repeated a thousand times; the first problems are enough to see that.
const SHOWN_MAX: usize = 50;

impl Problems {
    /// The problems as a program prints them: `error:` before each, in colour if the palette has any.
    pub fn painted(&self, palette: Palette) -> impl fmt::Display + '_ {
        let lead = move |f: &mut fmt::Formatter<'_>| write!(f, "{} ", palette.paint(Role::Error, "error:"));
        self.shown(lead, palette, "errors")
    }

    /// The same for warnings: `warning:` before each.
    #[cfg(feature = "cli")]
    pub(crate) fn painted_as_warnings(&self, palette: Palette) -> impl fmt::Display + '_ {
        let lead = move |f: &mut fmt::Formatter<'_>| write!(f, "{} ", palette.paint(Role::Drift, "warning:"));
        self.shown(lead, palette, "warnings")
    }

    /// A blank line between two, and their number at the end. `what`: what they are, in the plural.
    fn shown<'a>(
        &'a self,
        lead: impl Fn(&mut fmt::Formatter<'_>) -> fmt::Result + 'a,
        palette: Palette,
        what: &'a str,
    ) -> impl fmt::Display + 'a {
        Shown(move |f: &mut fmt::Formatter<'_>| {
            let count = self.0.len();
            for (n, problem) in self.0.iter().take(SHOWN_MAX).enumerate() {
                f.write_str(if n == 0 { "" } else { "\n\n" })?;
                lead(f)?;
                write!(f, "{}", problem.painted(palette))?;
            }
            match count {
                0 | 1 => Ok(()),
                2..=SHOWN_MAX => write!(f, "\n\n{count} {what}"),
                _ => write!(f, "\n\n{count} {what}, of which these are the first {SHOWN_MAX}"),
            }
        })
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.shown(|_| Ok(()), Palette::Plain, "errors"))
    }
}

impl std::error::Error for Problems {}

//! What is wrong with a graph: all of it at once, with places.

use std::fmt;

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
    /// Other places that have to do with the problem, each with what it is.
    pub also: Vec<(String, Origin)>,
}

impl Problem {
    /// A problem at that place.
    pub fn new(message: impl Into<String>, origin: Origin) -> Problem {
        Problem { message: message.into(), origin, excerpt: None, also: Vec::new() }
    }

    /// Adds another place that has to do with the problem.
    #[must_use]
    pub fn also(mut self, what: impl Into<String>, origin: Origin) -> Problem {
        self.also.push((what.into(), origin));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  at {}", self.message, self.origin)?;
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        for (what, origin) in &self.also {
            write!(f, "\n  {what} at {origin}")?;
        }
        Ok(())
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

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One mistake can be repeated a thousand times; the first problems are enough to see that.
        const SHOWN_MAX: usize = 50;
        for (n, problem) in self.0.iter().take(SHOWN_MAX).enumerate() {
            write!(f, "{}{problem}", if n == 0 { "" } else { "\n" })?;
        }
        if self.0.len() > SHOWN_MAX {
            write!(f, "\n… and {} more", self.0.len() - SHOWN_MAX)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

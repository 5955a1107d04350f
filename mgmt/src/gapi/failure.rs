//! A failure: what was being done, and the error that ended it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::id::{Shown, harmless, in_one_line};
use crate::resource::{Error, Origin};

/// The reason why a source of graphs failed: a sentence for people, and the error that caused the failure, if there is
/// one (`source`).
///
/// Made from a text by `into`, from an error with [`Failure::of`], or from the [`Error`] of a closure.
#[derive(Clone, Default)]
pub struct Failure {
    text: String,
    /// The output of a program that failed, in lines; empty if it printed nothing or no program failed.
    printed: String,
    /// The line of the program where the error was made, and that of the closure that failed.
    at: Option<&'static Location<'static>>,
    closure: Option<&'static Location<'static>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The number of lines of a program's output that are shown: the last ones.
const LINES_MAX: usize = 20;

impl Failure {
    /// A failure of what was being done, and the error that ended it. The text contains both.
    pub fn of(doing: impl fmt::Display, error: impl StdError + Send + Sync + 'static) -> Failure {
        Failure { text: format!("{doing}: {error}"), source: Some(Arc::new(error)), ..Failure::default() }
    }

    /// A failure from an error whose own text names what was being done.
    pub(crate) fn from_error(error: impl StdError + Send + Sync + 'static) -> Failure {
        Failure { text: error.to_string(), source: Some(Arc::new(error)), ..Failure::default() }
    }

    /// Adds the line of the closure that failed.
    pub(crate) fn in_closure(mut self, at: &'static Location<'static>) -> Failure {
        self.closure = Some(at);
        self
    }

    /// A program that failed in the way that `how` describes, and its output.
    #[cfg(any(test, feature = "yaml"))]
    pub(crate) fn of_program(how: String, printed: String, error: impl StdError + Send + Sync + 'static) -> Failure {
        Failure { text: how, printed, source: Some(Arc::new(error)), ..Failure::default() }
    }

    /// The text as data: the output of a program keeps its lines.
    #[cfg(feature = "cli")]
    pub(crate) fn in_full(&self) -> impl fmt::Display + '_ {
        self.with_output(Cow::Borrowed)
    }

    /// The text, with the output of a program in this form.
    fn with_output<'a>(&'a self, form: impl Fn(&'a str) -> Cow<'a, str>) -> impl fmt::Display {
        Shown(move |f: &mut fmt::Formatter<'_>| {
            match self.printed.trim() {
                "" => f.write_str(&self.text)?,
                printed => write!(f, "{}: {}", self.text, form(printed))?,
            }
            match self.at.or(self.closure) {
                Some(at) => write!(f, " ({})", Origin::Source(at)),
                None => Ok(()),
            }
        })
    }

    /// The text for a terminal: the output of a program is in lines of its own.
    pub(crate) fn in_lines(&self) -> impl fmt::Display + '_ {
        Shown(|f: &mut fmt::Formatter<'_>| {
            let lines: Vec<&str> = self.printed.trim().lines().collect();
            let hidden = lines.len().saturating_sub(LINES_MAX);
            match lines.is_empty() {
                true => f.write_str(&self.text)?,
                false => write!(f, "{}, and printed:", self.text)?,
            }
            if hidden > 0 {
                write!(f, "\n  (… {hidden} more lines)")?;
            }
            lines[hidden..].iter().try_for_each(|line| write!(f, "\n  {}", harmless(line)))?;
            if let Some(at) = self.at {
                write!(f, "\n  at {}", Origin::Source(at))?;
            }
            match self.closure {
                Some(closure) => write!(f, "\n  in the closure at {}", Origin::Source(closure)),
                None => Ok(()),
            }
        })
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure { text, ..Failure::default() }
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Failure {
        text.to_owned().into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { text: error.to_string(), at: error.at(), source: error.into_source(), ..Failure::default() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_output(in_one_line).fmt(f)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure").field("text", &self.to_string()).field("source", &self.source).finish()
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_failure_tells_all_and_keeps_its_source() {
        let failure = Failure::of("/x can't be read", io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(failure.to_string(), "/x can't be read: entity not found");
        assert!(failure.source().and_then(|error| error.downcast_ref::<io::Error>()).is_some());
        let failure = Failure::from(Error::from(io::Error::from(io::ErrorKind::NotFound)).context("the hosts"));
        let text = format!("the hosts: entity not found ({}:{})", file!(), line!() - 1);
        assert_eq!(failure.to_string(), text);
        assert!(failure.source().and_then(|error| error.downcast_ref::<io::Error>()).is_some());
        assert!(Failure::from("no line").source().is_none());
    }

    #[test]
    fn what_a_program_has_printed_is_shown_in_lines_or_in_one() {
        let failure = |printed: &str| {
            Failure::of_program("`p` failed".to_owned(), printed.to_owned(), io::Error::from(io::ErrorKind::Other))
        };
        assert_eq!(failure("one\ntwo\n").to_string(), r"`p` failed: one\ntwo");
        #[cfg(feature = "cli")]
        assert_eq!(failure("one\ntwo\n").in_full().to_string(), "`p` failed: one\ntwo");
        assert_eq!(
            failure("one\n two\u{1b}[31m\n").in_lines().to_string(),
            "`p` failed, and printed:\n  one\n   two\\u{1b}[31m"
        );
        assert_eq!(failure("\n").in_lines().to_string(), "`p` failed");
        let many: String = (0..50).map(|n| format!("{n}\n")).collect();
        let shown = failure(&many).in_lines().to_string();
        assert!(shown.contains("\n  (… 30 more lines)\n  30\n") && shown.ends_with("\n  49"), "{shown}");
    }
}

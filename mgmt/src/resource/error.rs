//! Errors of a resource's operations.

use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::resource::obstacle::{Obstacle, ObstacleKind};

/// The result of a resource's operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a check, an apply, a refresh or a watch of a resource failed. The resource's retry policy handles it;
/// it never ends the engine.
///
/// Made from any error with `?`, or from a message with [`Error::new`]. Clones share the error that caused it, so one
/// failure can be the result of several operations. Since all standard errors convert to this type, it can't be a
/// standard error itself; with `?` or `into` it becomes a `Box<dyn std::error::Error>`:
///
/// ```
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let failed: mgmt::Result<()> = Err(mgmt::Error::new("it can't"));
///     # let failed: mgmt::Result<()> = Ok(());
///     failed?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Error {
    message: String,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
    sort: Sort,
    obstacle: Option<Box<Obstacle>>,
    /// The line of the program that made the error.
    at: Option<&'static Location<'static>>,
}

/// How the engine handles an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Failure,
    NeedsValue,
    Outdated,
}

impl Error {
    /// An error with this message: a lower-case fragment that names what failed and how to mend it.
    #[track_caller]
    pub fn new(message: impl Into<String>) -> Error {
        let at = Some(Location::caller());
        Error { message: message.into(), cause: None, sort: Sort::Failure, obstacle: None, at }
    }

    /// An error that requests a value: only the digest of a received field is known, and its value is needed now. The
    /// senders must make the value again.
    pub fn needs_value(field: &str) -> Error {
        Error {
            message: format!("the value received for `{field}` in an earlier run is not kept, and is needed"),
            cause: None,
            sort: Sort::NeedsValue,
            obstacle: None,
            at: None,
        }
    }

    /// The same error with a text in front that names what was being done.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Error {
        self.message = if self.message.is_empty() { doing.to_string() } else { format!("{doing}: {}", self.message) };
        self
    }

    /// The same error with another line as its origin.
    #[cfg(feature = "template")]
    pub(crate) fn made_at(mut self, at: &'static Location<'static>) -> Error {
        self.at = Some(at);
        self
    }

    /// The line of the program that made the error. If `?` made it from another error, that is the line of the `?`.
    pub(crate) fn at(&self) -> Option<&'static Location<'static>> {
        self.at
    }

    /// The error that caused this one, if it is of this type.
    pub fn cause<E: StdError + 'static>(&self) -> Option<&E> {
        self.cause.as_deref().and_then(|cause| cause.downcast_ref())
    }

    /// The error that caused this one, whatever its type.
    pub(crate) fn into_source(self) -> Option<Arc<dyn StdError + Send + Sync>> {
        self.cause
    }

    /// Whether the error was made by [`Error::needs_value`].
    pub fn is_needs_value(&self) -> bool {
        self.sort == Sort::NeedsValue
    }

    /// Marks the error as temporary: the system changes during the operation (the check's result no longer holds, or
    /// another resource of the graph is about to repair a prerequisite). The resource is checked again a moment later,
    /// which does not count as a try. If the error persists for a second, the resource waits for the change to end
    /// ([`ObstacleKind::Changing`]).
    #[must_use]
    pub fn outdated(mut self) -> Error {
        self.sort = Sort::Outdated;
        self
    }

    /// Adds an obstacle that can disappear without the resource: the resource waits for that, and no try is used up.
    /// Errors of the file system, of commands that can't be started and of the standard library have their obstacle
    /// without this call when `?` converts them.
    ///
    /// ```
    /// use mgmt::resource::{Obstacle, ObstacleKind};
    ///
    /// let locked = mgmt::Error::new("the database is locked").waiting_for(Obstacle::new(ObstacleKind::Busy));
    /// assert_eq!(locked.obstacle().map(|obstacle| obstacle.kind), Some(ObstacleKind::Busy));
    /// ```
    #[must_use]
    pub fn waiting_for(mut self, obstacle: Obstacle) -> Error {
        self.obstacle = Some(Box::new(obstacle));
        self
    }

    /// The obstacle that the resource waits for: the one that was added, or the one that follows from the cause.
    /// `None`: there is none.
    pub fn obstacle(&self) -> Option<Obstacle> {
        let told = self.obstacle.as_deref().cloned();
        let made_of = || Obstacle::of(self.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))?);
        let changing = || self.is_outdated().then(|| Obstacle::new(ObstacleKind::Changing));
        told.or_else(made_of).or_else(changing)
    }

    /// Whether the error was marked by [`Error::outdated`].
    pub fn is_outdated(&self) -> bool {
        self.sort == Sort::Outdated
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    #[track_caller]
    fn from(cause: E) -> Error {
        let at = Some(Location::caller());
        Error { message: String::new(), cause: Some(Arc::new(cause)), sort: Sort::Failure, obstacle: None, at }
    }
}

/// The error as a standard error; its source is the error that caused it.
#[derive(Debug)]
struct Standard(Error);

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Standard {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<Error> for Box<dyn StdError + Send + Sync> {
    fn from(error: Error) -> Self {
        Box::new(Standard(error))
    }
}

impl From<Error> for Box<dyn StdError> {
    fn from(error: Error) -> Self {
        Box::new(Standard(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut said = self.message.clone();
        let mut next: Option<&(dyn StdError + 'static)> = self.cause.as_deref().map(|cause| cause as _);
        while let Some(cause) = next {
            let text = cause.to_string();
            // Many errors repeat their cause in their own text.
            if !said.ends_with(&text) {
                write!(f, "{}{text}", if said.is_empty() { "" } else { ": " })?;
                said = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // This is what a `main` that returns the error and `unwrap` print.
        write!(f, "{self}")
    }
}

/// The error if a field has no form as data (for example, a path that is not UTF-8).
#[derive(Debug, thiserror::Error)]
#[error("`{field}`: {source}")]
pub struct DataError {
    /// The field.
    pub field: &'static str,
    /// The error of serde.
    source: serde_json::Error,
}

impl DataError {
    /// An error for this field.
    pub fn new(field: &'static str, source: serde_json::Error) -> DataError {
        DataError { field, source }
    }
}

/// Adds what was being done to an error.
pub trait Context<T> {
    /// The same result; an error gets a text in front that names what was being done.
    ///
    /// # Errors
    /// The same as before.
    #[track_caller]
    fn context(self, doing: impl fmt::Display) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, doing: impl fmt::Display) -> Result<T> {
        let at = Location::caller();
        self.map_err(|error| {
            let mut error = error.into().context(doing);
            // An error that `into` has just made has the line of this file, so the caller's line replaces it.
            if error.at.is_some_and(|at| at.file() == file!()) {
                error.at = Some(at);
            }
            error
        })
    }
}

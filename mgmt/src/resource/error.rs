//! What a resource's operation may fail with.

use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::resource::obstacle::{Obstacle, ObstacleKind};

/// The result of a resource's operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a check, an apply, a refresh or a watch of a resource failed. It feeds the resource's retry policy and never
/// ends the engine.
///
/// Made from any error by `?`, or from a message by [`Error::new`]. Clones share the error that it was made of, so one
/// failure can be the answer to several. It is made from all standard errors and so can't be one itself, but it becomes
/// one by `?` or `into` where a `Box<dyn std::error::Error>` is wanted:
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
    /// The line of a program that has made it.
    at: Option<&'static Location<'static>>,
}

/// What the engine makes of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Failure,
    NeedsValue,
    Outdated,
}

impl Error {
    /// An error with this message: a lower-case fragment that names what failed and what helps.
    #[track_caller]
    pub fn new(message: impl Into<String>) -> Error {
        let at = Some(Location::caller());
        Error { message: message.into(), cause: None, sort: Sort::Failure, obstacle: None, at }
    }

    /// A received field is known only by its digest, and the value itself is needed now: its senders are asked to make
    /// it again.
    pub fn needs_value(field: &str) -> Error {
        Error {
            message: format!("the value received for `{field}` in an earlier run is not kept, and is needed"),
            cause: None,
            sort: Sort::NeedsValue,
            obstacle: None,
            at: None,
        }
    }

    /// The same error with what was being done in front.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Error {
        self.message = if self.message.is_empty() { doing.to_string() } else { format!("{doing}: {}", self.message) };
        self
    }

    /// As if this line had made it.
    #[cfg(feature = "template")]
    pub(crate) fn made_at(mut self, at: &'static Location<'static>) -> Error {
        self.at = Some(at);
        self
    }

    /// The line of a program that has made it: the one of the `?`, for an error that `?` has made of another.
    pub(crate) fn at(&self) -> Option<&'static Location<'static>> {
        self.at
    }

    /// The error that it was made of, if it is of this type.
    pub fn cause<E: StdError + 'static>(&self) -> Option<&E> {
        self.cause.as_deref().and_then(|cause| cause.downcast_ref())
    }

    /// The error that it was made of, whatever its type.
    pub(crate) fn into_source(self) -> Option<Arc<dyn StdError + Send + Sync>> {
        self.cause
    }

    /// Made by [`Error::needs_value`].
    pub fn is_needs_value(&self) -> bool {
        self.sort == Sort::NeedsValue
    }

    /// The world is just changing under the operation (what the check found is not so any more, or what it stands on is
    /// about to be repaired by another resource of the graph): a moment later it is checked again, without counting as
    /// a try. If it is still so after several moments, a second in all, the resource waits for that
    /// ([`ObstacleKind::Changing`]).
    #[must_use]
    pub fn outdated(mut self) -> Error {
        self.sort = Sort::Outdated;
        self
    }

    /// It failed for a cause that the outside can take away: the resource waits for that, and no try is used up. Errors
    /// of the file system, of commands that can't be started and of the standard library that are made into this one by
    /// `?` carry their cause without this.
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

    /// What it waits for, if it does: as it was told, or as follows from the error that it was made of.
    pub fn obstacle(&self) -> Option<Obstacle> {
        let told = self.obstacle.as_deref().cloned();
        let made_of = || Obstacle::of(self.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))?);
        let changing = || self.is_outdated().then(|| Obstacle::new(ObstacleKind::Changing));
        told.or_else(made_of).or_else(changing)
    }

    /// Made by [`Error::outdated`].
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

/// It as a standard error, with the error that it was made of as its source.
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
        // It is what a `main` that returns it prints, and what `unwrap` says.
        write!(f, "{self}")
    }
}

/// A field has no form as data (a path that is not UTF-8, for example).
#[derive(Debug, thiserror::Error)]
#[error("`{field}`: {source}")]
pub struct DataError {
    /// The field.
    pub field: &'static str,
    /// What serde reports.
    source: serde_json::Error,
}

impl DataError {
    /// This field can't be written as data.
    pub fn new(field: &'static str, source: serde_json::Error) -> DataError {
        DataError { field, source }
    }
}

/// Adds what was being done to an error.
pub trait Context<T> {
    /// The error, with what was being done in front.
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
            // One that `into` has just made knows that line.
            if error.at.is_some_and(|at| at.file() == file!()) {
                error.at = Some(at);
            }
            error
        })
    }
}

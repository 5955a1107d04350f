//! Reversal: a kind whose resources can undo what they changed.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::resource::any::BoxFuture;
use crate::resource::context::ApplyCx;
use crate::resource::converge::Converge;
use crate::resource::error::{Error, Result};
use crate::resource::uid::Uid;

/// A kind whose resources can undo what they changed, when they have left the graph with the metaparameter `reverse`.
///
/// Before an operation changes anything, it records what is there in each of the records of the resource:
/// [`ApplyCx::recorders`]. What was recorded first stays: it is the state before the first change.
/// The record is a file below the prefix. It outlives the engine: if the resource is no longer in the graph when an
/// engine starts, [`undo`](Reverse::undo) is called then. So `undo` is a function of the record, not of the resource.
///
/// ```
/// # use mgmt::prelude::*;
/// use mgmt::resource::{Recorded, Reverse, Undone};
/// # use serde::{Deserialize, Serialize};
/// /// A file that holds one number.
/// #[derive(Resource, Clone, Debug, PartialEq)]
/// #[resource(kind = "number", unwatched)]
/// struct Number {
///     #[resource(name)]
///     path: String,
///     value: u32,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct Was {
///     path: String,
///     text: Option<String>,
/// }
///
/// impl Converge for Number {
///     type Drift = Change;
///     async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
///         let now = std::fs::read_to_string(&self.path).ok();
///         Ok((now != Some(self.value.to_string())).then(|| Change::new("value", now.unwrap_or_default(), self.value)))
///     }
///     async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
///         for recorder in cx.recorders::<Self>() {
///             if recorder.read()?.is_none() {
///                 let text = std::fs::read_to_string(&self.path).ok();
///                 recorder.write(&Was { path: self.path.clone(), text })?;
///             }
///         }
///         Ok(std::fs::write(&self.path, self.value.to_string())?)
///     }
/// }
///
/// impl Reverse for Number {
///     type Record = Was;
///     async fn undo(_: &ApplyCx, record: Recorded<Was>) -> Result<Undone> {
///         match &record.data.text {
///             Some(text) => std::fs::write(&record.data.path, text)?,
///             None => std::fs::remove_file(&record.data.path)?,
///         }
///         Ok(Undone::default().did(format!("put {} back", record.data.path)))
///     }
///     fn describe(record: &Was) -> Vec<String> {
///         vec![format!("put {} back", record.path)]
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be undone",
    label = "this kind has no `impl Reverse`",
    note = "write `impl Reverse for {Self}`, besides `impl Converge`, if its resources can undo what they changed"
)]
pub trait Reverse: Converge {
    /// What must be known to undo the changes. It may be read by a later version of the program.
    type Record: Serialize + DeserializeOwned + Send + 'static;

    /// Undoes the changes. What another program has changed since is left as it is, and named in the result. It may be
    /// called again for what is undone already, in part or as a whole, and then changes nothing there. Bounded by the
    /// `timeout` of the resource; dropped at any await when it is cancelled. After an error it is called again as
    /// `retry`, `delay` and `backoff` of the resource say. While there is an error, or something is kept, the record
    /// stays, and `undo` is called again at the next start.
    ///
    /// # Errors
    /// Something can't be undone.
    fn undo(cx: &ApplyCx, record: Recorded<Self::Record>) -> impl Future<Output = Result<Undone>> + Send;

    /// What `undo` would do, in short words, for a plan: `remove /etc/motd`. Must not show a secret.
    fn describe(record: &Self::Record) -> Vec<String>;

    /// What the resource owned, besides paths: another resource of the kind that owns the same now takes over the
    /// record. Default: nothing.
    fn owns(_: &Self::Record) -> Vec<Uid> {
        Vec::new()
    }
}

/// A record, as it was written.
#[derive(Debug)]
pub struct Recorded<T> {
    /// What was recorded.
    pub data: T,
    /// The directory of the record, with the copies that belong to it.
    pub dir: PathBuf,
}

/// What was undone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undone {
    /// What was done, in short words.
    pub done: Vec<String>,
    /// What was left as it is, and why.
    pub kept: Vec<String>,
}

impl Undone {
    /// Adds something that was done.
    #[must_use]
    pub fn did(mut self, what: impl Into<String>) -> Undone {
        self.done.push(what.into());
        self
    }

    /// Adds something that was left as it is, with the reason.
    #[must_use]
    pub fn kept(mut self, what: impl Into<String>) -> Undone {
        self.kept.push(what.into());
        self
    }
}

/// The type-erased functions of [`Reverse`].
#[derive(Clone, Copy)]
pub struct Reversal {
    /// See [`Reverse::undo`].
    pub undo: fn(ApplyCx, Json, PathBuf) -> BoxFuture<Result<Undone>>,
    /// See [`Reverse::describe`].
    pub describe: fn(&Json) -> Result<Vec<String>>,
    /// See [`Reverse::owns`].
    pub owns: fn(&Json) -> Vec<Uid>,
}

impl Reversal {
    /// The functions of this kind.
    pub const fn of<R: Reverse>() -> Reversal {
        Reversal {
            undo: |cx, data, dir| {
                Box::pin(async move {
                    let data = read::<R>(data)?;
                    R::undo(&cx, Recorded { data, dir }).await
                })
            },
            describe: |data| Ok(R::describe(&read::<R>(data.clone())?)),
            owns: |data| read::<R>(data.clone()).map(|record| R::owns(&record)).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Reversal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reversal")
    }
}

fn read<R: Reverse>(data: Json) -> Result<R::Record> {
    // The error would show what it stumbled over, which may be a secret.
    let why = || Error::new(format!("its record is not one of this version of the kind `{}`", R::spec().kind));
    serde_json::from_value(data).map_err(|_| why())
}

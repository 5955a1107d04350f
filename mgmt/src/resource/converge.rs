//! The contract: what a resource is, and what it does.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use crate::resource::change::Drift;
use crate::resource::context::{ApplyCx, CheckCx, WatchCx};
use crate::resource::error::{DataError, Result};
use crate::resource::known::Known;
use crate::resource::output::FieldValue;
use crate::resource::problem::FieldProblem;
use crate::resource::spec::{FieldReader, KindSpec};
use crate::resource::uid::{Need, Uid};
use crate::resource::watch::Watch;

/// What a resource *is*: its kind, its name, its fields. Made by `#[derive(Resource)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a resource",
    label = "this type is no kind",
    note = "put `#[derive(Resource)]` and `#[resource(kind = \"…\")]` on it"
)]
pub trait Resource: Sized + Send + Sync + 'static {
    /// Its kind, fields and outputs.
    fn spec() -> &'static KindSpec;
    /// Its name, unique within the kind.
    fn name(&self) -> &str;
    /// Every desired-state field is equal.
    fn same(&self, other: &Self) -> bool;
    /// Its `Clone`. (No bound of the trait: a forgotten derive would be told at every place that names the kind.)
    #[doc(hidden)]
    fn copy(&self) -> Self;
    /// Its `Debug`.
    #[doc(hidden)]
    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// Sets a received value on a field. False: it is of another type.
    #[doc(hidden)]
    fn receive(&mut self, field: u8, value: FieldValue) -> bool;
    /// Its fields as data, those at their default and those in `wired` left out.
    ///
    /// # Errors
    /// A field that can't be written as data.
    fn to_data(&self, wired: &[u8]) -> Result<Map<String, Json>, DataError>;
    /// A resource from data; problems go to the reader.
    fn from_data(name: &str, reader: FieldReader<'_>) -> Option<Self>;
}

/// What a resource *does*. The engine calls it; nothing here is ever called twice at once for one resource.
///
/// What only some kinds can do is a trait of its own, which the derive finds: [`Refresh`](crate::resource::Refresh).
#[diagnostic::on_unimplemented(
    message = "`{Self}` says what it is, but not what it does",
    label = "this kind has no `impl Converge`",
    note = "write `impl Converge for {Self}` with `check` (looks) and `apply` (repairs what `check` found)"
)]
pub trait Converge: Resource {
    /// What check hands to apply: [`Change`](crate::resource::Change), a list of them, or a type of its own.
    type Drift: Drift;

    /// What is wrong with the fields, looking at them alone; asked before anything runs, and again with the values that were received. Default:
    /// nothing.
    ///
    /// A field that is still to be received holds a placeholder until then. What is found in such a field is dropped, whether it was made by
    /// [`Known::require`] or not, as long as the problem names all fields that were looked at. [`every`](crate::resource::every) joins several.
    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let _ = known;
        Vec::new()
    }

    /// Looks whether the real thing is as desired: `None`, or what is wrong. Changes nothing. Dropped at any await when it is cancelled.
    fn check(&self, cx: &CheckCx) -> impl Future<Output = Result<Option<Self::Drift>>> + Send;

    /// Repairs exactly what the check just before found. Never called in noop. Dropped at any await when it is cancelled: what it then leaves,
    /// the next check must find.
    fn apply(&self, cx: &ApplyCx, drift: Self::Drift) -> impl Future<Output = Result<()>> + Send;

    /// What wakes it. Default: nothing, so it is looked at when its parents change, when it receives, and as its `poll` says.
    fn watch(&self, cx: &WatchCx) -> Watch {
        let _ = cx;
        Watch::none()
    }

    /// What it owns in the world outside: no two resources of a graph may own the same. What follows from a field that
    /// is still to be received is not known before it is: leave it out then. Default: nothing.
    ///
    /// Compared when a graph is prepared, before anything of it runs: two owners are a problem of the graph. It is
    /// asked again with received values, before each check of a resource that receives: if another resource of the
    /// graph owns the same, that check fails with both names, until the other has left or has received something else.
    /// If one that has left the graph, or changed, owned it and has not ended, the check waits for that.
    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        let _ = known;
        Vec::new()
    }

    /// Paths at which it removes what is there, all or in part, with what is below and is not its own: a purge. The
    /// engine's own working directory must not be at or below one of them; a graph in which it is does not run.
    /// Default: none.
    fn clears(&self, known: &Known<'_>) -> Vec<PathBuf> {
        let _ = known;
        Vec::new()
    }

    /// Paths of which it copies the content, or what is in them, to what it owns. Resources that copy from one another
    /// in a cycle would never come to rest: such a graph does not run. Default: none.
    fn copies(&self, known: &Known<'_>) -> Vec<PathBuf> {
        let _ = known;
        Vec::new()
    }

    /// Whether what its check finds, drift or not, stays so when resources before it have changed something: so if it
    /// looks only at what is its own. If not, a plan in which one of them would change does not foresee what it will
    /// do. Default: yes.
    fn is_foreseeable(&self, drifted: bool) -> bool {
        let _ = drifted;
        true
    }

    /// What a plan shows of it whether or not it would do anything: a right that it was given, and that is worth a look
    /// before it runs. Each a lower-case fragment. Default: nothing.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// What it makes or brings along without owning it: other resources may need it. Default: nothing.
    fn provides(&self, known: &Known<'_>) -> Vec<Uid> {
        let _ = known;
        Vec::new()
    }

    /// What it needs, if it is in the graph at all: what owns or provides that must come first. It makes no edge by itself: a
    /// [`Pass`](crate::graph::Pass) does. Default: nothing.
    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        let _ = known;
        Vec::new()
    }
}

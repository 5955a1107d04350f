//! The contract: what a resource is, and what it does.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use crate::resource::change::Drift;
use crate::resource::context::{ApplyCx, CheckCx, WatchCx};
use crate::resource::error::{DataError, Result};
use crate::resource::inquiry::Inquiry;
use crate::resource::known::Known;
use crate::resource::output::FieldValue;
use crate::resource::problem::FieldProblem;
use crate::resource::reading::Reading;
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
    /// The description of the kind: fields, outputs, abilities.
    fn spec() -> &'static KindSpec;
    /// The name of the resource, unique within the kind.
    fn name(&self) -> &str;
    /// Whether every field of the desired state is equal.
    fn same(&self, other: &Self) -> bool;
    /// A clone. Not a bound of the trait: a forgotten derive would be reported at every place that names the kind.
    #[doc(hidden)]
    fn copy(&self) -> Self;
    /// Writes the resource as `Debug` does.
    #[doc(hidden)]
    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// Sets a received value on a field. False if the value has another type.
    #[doc(hidden)]
    fn receive(&mut self, field: u8, value: FieldValue) -> bool;
    /// Sets a field to its default. False if it has none.
    #[doc(hidden)]
    fn reset(&mut self, field: u8) -> bool;
    /// The fields as data, without those at their default and those in `wired`.
    ///
    /// # Errors
    /// A field that can't be written as data.
    fn to_data(&self, wired: &[u8]) -> Result<Map<String, Json>, DataError>;
    /// Makes a resource from data; problems go to the reader.
    fn from_data(name: &str, reader: FieldReader<'_>) -> Option<Self>;
}

/// What a resource *does*. The engine calls these functions, never two of them at once for one resource.
///
/// Abilities that only some kinds have are traits of their own, which the derive finds:
/// [`Refresh`](crate::resource::Refresh).
#[diagnostic::on_unimplemented(
    message = "`{Self}` derives `Resource`, but does not implement `Converge`",
    label = "this kind has no `impl Converge`",
    note = "write `impl Converge for {Self}` with `check` (looks) and `apply` (repairs what `check` found)"
)]
pub trait Converge: Resource {
    /// The type that `check` passes to `apply`: [`Change`](crate::resource::Change), a list of them, or a type of the
    /// kind's own.
    type Drift: Drift;

    /// Whether check and apply do all that may take long in [`look`](CheckCx::look), [`change`](ApplyCx::change) and
    /// [`commit`](ApplyCx::commit), and start no command and no task. As long as such operations take less than a
    /// millisecond, up to 64 checks that the start of an engine causes wait for a thread beside those that
    /// `Builder::running_max` permits. Default: false.
    const WORKS_ON_FILES: bool = false;

    /// Whether resources of this kind neither provide nor need anything: `provides`, `needs` and `inquiry` are then not
    /// called when the edges of a graph are found, which saves time in graphs of very many. Default: false.
    const STANDS_ALONE: bool = false;

    /// Whether a rule that collects resources of this kind from other hosts must state that it trusts them: a resource
    /// can do anything on the host where it runs. Default: false.
    const COLLECTED_ON_TRUST: bool = false;

    /// Whether what an apply changes outlasts the engine, outside of its working directory. If not, there is nothing to
    /// put back. Default: true.
    const LASTS: bool = true;

    /// The problems of the fields, found in the fields alone. Called before any part of the graph runs, and again with
    /// received values. Default: none.
    ///
    /// A field that will be received holds a placeholder until then. A problem of such a field is dropped, whether
    /// [`Known::require`] made it or not, as long as the problem names all fields whose values led to it.
    /// [`every`](crate::resource::every) joins several problems.
    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let _ = known;
        Vec::new()
    }

    /// Compares the system with the declared state: `None` if nothing differs, otherwise the drift. Changes nothing.
    /// Dropped at any await when it is cancelled.
    fn check(&self, cx: &CheckCx) -> impl Future<Output = Result<Option<Self::Drift>>> + Send;

    /// Repairs exactly what the check just before found. Never called in noop. Dropped at any await when it is
    /// cancelled; the next check must find what that leaves.
    fn apply(&self, cx: &ApplyCx, drift: Self::Drift) -> impl Future<Output = Result<()>> + Send;

    /// The reason why [`apply`](Converge::apply) can't repair this drift now, as far as that can be found without a
    /// change: a directory, a user or a program does not exist, or a permission is missing. Only a plan calls this,
    /// after a check that found the drift, and shows the reason. Default: none.
    fn foresee(&self, cx: &CheckCx, drift: &Self::Drift) -> impl Future<Output = Result<()>> + Send {
        let _ = (cx, drift);
        std::future::ready(Ok(()))
    }

    /// What causes further checks. Default: nothing; then the resource is checked when its parents change, when it
    /// receives a value, and at its `poll` interval.
    fn watch(&self, cx: &WatchCx) -> Watch {
        let _ = cx;
        Watch::none()
    }

    /// The things on this host that the resource owns: two resources of a graph must not own the same thing. Leave out
    /// things that depend on a field that will be received. Default: none.
    ///
    /// Compared when a graph is prepared, before any part of it runs: two owners are a problem of the graph. Called
    /// again with received values before each check of a resource that receives: if another resource of the graph owns
    /// the same thing, that check fails with both names, until the other has left or has received something else. If
    /// the other owner has left the graph or has changed, but has not ended, the check waits for its end.
    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        let _ = known;
        Vec::new()
    }

    /// The paths of files of which the resource keeps a part, such as a line. Several resources may keep parts of one
    /// file, but none may own it [as a whole](Converge::is_whole): a graph with such an owner is refused. A purge
    /// spares these paths. Leave out paths that depend on a field that will be received. Default: none.
    fn parts(&self, known: &Known<'_>) -> Vec<PathBuf> {
        let _ = known;
        Vec::new()
    }

    /// Whether the resource keeps all of the paths that it owns, so that no other resource may keep a
    /// [part](Converge::parts) of one. Default: true.
    fn is_whole(&self, known: &Known<'_>) -> bool {
        let _ = known;
        true
    }

    /// The paths at which the resource removes everything that is not its own, with everything below: a purge. A graph
    /// in which the engine's own working directory is at or below one of these paths does not run. Default: none.
    fn clears(&self, known: &Known<'_>) -> Vec<PathBuf> {
        let _ = known;
        Vec::new()
    }

    /// The paths from which the resource copies content to what it owns, each with everything below it. A graph in
    /// which resources copy from one another in a cycle does not run, because it would never be in sync. Default: none.
    fn copies(&self, known: &Known<'_>) -> Vec<PathBuf> {
        let _ = known;
        Vec::new()
    }

    /// The files and directories that the resource reads and that a person keeps with the graph, such as the original
    /// of a copy. A deploy carries them to the hosts, unless the graph itself makes them, and there the fields name the
    /// carried ones. Leave out what depends on a field that will be received, and what is meant to be of the host.
    /// Default: none.
    fn reads(&self, known: &Known<'_>) -> Vec<Reading> {
        let _ = known;
        Vec::new()
    }

    /// Why what this resource changes can't be put back, as a whole or in part, if a run is not confirmed (see
    /// [`Builder::trial`](crate::runtime::Builder::trial)). Such a run does not change it, unless partial trials are
    /// permitted. `None`: it can be put back, or nothing is changed that [lasts](Converge::LASTS). Default: a kind
    /// without [`Reverse`](crate::resource::Reverse) can't be.
    fn irreversible(&self) -> Option<String> {
        let can = !Self::LASTS || Self::spec().abilities.reverse.is_some();
        (!can).then(|| format!("resources of the kind `{}` can't be undone", Self::spec().kind))
    }

    /// Whether the result of the check (`drifted` or not) stays valid after resources before this one have changed
    /// something, because the check examines only what the resource owns. If not, a plan in which one of them would
    /// change reports the outcome of this resource as unknown. So it does anyway for a resource in sync that copies
    /// what another one owns, if that one would change. Default: true.
    fn is_foreseeable(&self, drifted: bool) -> bool {
        let _ = drifted;
        true
    }

    /// Remarks that a plan shows about the resource in any case, such as a risky setting. Each is a lower-case
    /// fragment. Default: none.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// The things that the resource creates without owning them, and that other resources may need. Default: none.
    fn provides(&self, known: &Known<'_>) -> Vec<Uid> {
        let _ = known;
        Vec::new()
    }

    /// The things that the resource needs: a resource of the graph that owns or provides one must come first. The pass
    /// [`AutoEdges`](crate::graph::AutoEdges) makes edges of them. The directories of what the resource owns need not
    /// be listed. Leave out what depends on a field that will be received. Default: none.
    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        let _ = known;
        Vec::new()
    }

    /// Questions about the graph that depend on the answers to earlier ones, in addition to `needs`. Default: none.
    fn inquiry(&self, known: &Known<'_>) -> Option<Box<dyn Inquiry>> {
        let _ = known;
        None
    }

    /// Whether the resource makes sure that what it owns does not exist: others that need one of these things then do
    /// not wait for it, and it needs no directory. `None`: that depends on a field that will be received. Default:
    /// `Some(false)`.
    fn is_absent(&self, known: &Known<'_>) -> Option<bool> {
        let _ = known;
        Some(false)
    }
}

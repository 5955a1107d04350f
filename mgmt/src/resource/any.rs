//! Resources with their type erased, as the engine holds them.

use std::any::{Any, type_name};
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::id::ResourceId;
use crate::resource::change::{Change, Drift};
use crate::resource::context::{ApplyCx, CheckCx, WatchCx};
use crate::resource::converge::Converge;
use crate::resource::error::{DataError, Result};
use crate::resource::held::{Contained, held};
use crate::resource::inquiry::Inquiry;
use crate::resource::known::Known;
use crate::resource::operation::Identify;
use crate::resource::output::FieldValue;
use crate::resource::problem::FieldProblem;
use crate::resource::reading::Reading;
use crate::resource::spec::{FieldReader, KindSpec};
use crate::resource::uid::{Need, Uid};
use crate::resource::watch::Watch;
use crate::sys::task::caught;

/// The type of the engine's futures.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a check found, with its type erased.
pub struct AnyDrift {
    /// The changes for people.
    pub changes: Vec<Change>,
    value: Contained<Box<dyn Any + Send>>,
}

impl AnyDrift {
    pub(crate) fn new(drift: impl Drift) -> AnyDrift {
        AnyDrift { changes: drift.changes(), value: Contained::new(Box::new(drift)) }
    }

    /// The drift, as the type of that kind.
    pub(crate) fn of<R: Converge>(self) -> R::Drift {
        self.value.downcast().expect("the engine hands apply the drift of the same resource's check")
    }
}

impl fmt::Debug for AnyDrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.changes.fmt(f)
    }
}

/// A resource of any kind. Implemented for all types that implement [`Converge`]. The default methods are those of one
/// that owns nothing, is related to nothing, and is never woken.
#[diagnostic::on_unimplemented(
    message = "`{Self}` derives `Resource`, but does not implement `Converge`",
    label = "this kind has no `impl Converge`",
    note = "write `impl Converge for {Self}` with `check` (looks) and `apply` (repairs what `check` found)"
)]
pub trait AnyResource: Identify + Send + Sync + 'static {
    /// The description of the kind.
    fn spec(&self) -> &'static KindSpec;
    /// The name of the resource within its kind.
    fn name(&self) -> &str;
    /// See [`Converge::validate`]. Problems of fields that will be received are left out; a panic of the kind is a
    /// problem too.
    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let _ = known;
        Vec::new()
    }
    /// See [`Converge::uids`]. Empty if that panics: `validate` reports the panic.
    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        let _ = known;
        Vec::new()
    }
    /// The type of the resource, as Rust names it.
    fn type_name(&self) -> &'static str {
        type_name::<Self>()
    }
    /// See [`Converge::parts`]. Empty if that panics: `validate` reports the panic.
    fn parts(&self, known: &Known<'_>) -> Vec<PathBuf> {
        let _ = known;
        Vec::new()
    }
    /// See [`Converge::is_whole`]. True if that panics.
    fn is_whole(&self, known: &Known<'_>) -> bool {
        let _ = known;
        true
    }
    /// See [`Converge::clears`]. Empty if that panics: `validate` reports the panic.
    fn clears(&self, known: &Known<'_>) -> Vec<PathBuf> {
        let _ = known;
        Vec::new()
    }
    /// See [`Converge::copies`]. Empty if that panics: `validate` reports the panic.
    fn copies(&self, known: &Known<'_>) -> Vec<PathBuf> {
        let _ = known;
        Vec::new()
    }
    /// See [`Converge::reads`]. Empty if that panics: `validate` reports the panic.
    fn reads(&self, known: &Known<'_>) -> Vec<Reading> {
        let _ = known;
        Vec::new()
    }
    /// See [`Converge::WORKS_ON_FILES`].
    fn works_on_files(&self) -> bool {
        false
    }
    /// See [`Converge::is_foreseeable`]. False if that panics.
    fn is_foreseeable(&self, drifted: bool) -> bool {
        let _ = drifted;
        true
    }
    /// See [`Converge::irreversible`]. A panic is a reason, too.
    fn irreversible(&self) -> Option<String> {
        None
    }
    /// See [`Converge::remarks`]. Empty if that panics.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
    /// See [`Converge::provides`]. Empty if that panics: `validate` reports the panic.
    fn provides(&self, known: &Known<'_>) -> Vec<Uid> {
        let _ = known;
        Vec::new()
    }
    /// See [`Converge::needs`]. Empty if that panics: `validate` reports the panic.
    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        let _ = known;
        Vec::new()
    }
    /// See [`Converge::STANDS_ALONE`].
    fn stands_alone(&self) -> bool {
        true
    }
    /// See [`Converge::inquiry`]. `Err`: the panic, in words.
    fn inquiry(&self, known: &Known<'_>) -> Result<Option<Box<dyn Inquiry>>, String> {
        let _ = known;
        Ok(None)
    }
    /// See [`Converge::is_absent`]. `None` if that panics.
    fn is_absent(&self, known: &Known<'_>) -> Option<bool> {
        let _ = known;
        Some(false)
    }
    /// Whether kind, name and fields are the same.
    fn same(&self, other: &dyn AnyResource) -> bool;
    /// See [`Converge::check`].
    fn check(self: Arc<Self>, cx: CheckCx) -> BoxFuture<Result<Option<AnyDrift>>>;
    /// See [`Converge::apply`].
    fn apply(self: Arc<Self>, cx: ApplyCx, drift: AnyDrift) -> BoxFuture<Result<()>>;
    /// See [`Converge::foresee`].
    fn foresee(self: Arc<Self>, cx: CheckCx, drift: AnyDrift) -> BoxFuture<Result<()>> {
        drop((cx, drift));
        Box::pin(std::future::ready(Ok(())))
    }
    /// See [`Converge::watch`]. A failed watch if that panics.
    fn watch(&self, cx: &WatchCx) -> Watch {
        let _ = cx;
        Watch::none()
    }
    /// The same resource with received values set; `None` if one is of another type.
    fn with_received(&self, values: Vec<(u8, FieldValue)>) -> Option<Arc<dyn AnyResource>>;
    /// The same resource with these fields at their defaults; fields without a default keep their values. `None`: the
    /// resource can't be changed.
    fn without(&self, fields: &[u8]) -> Option<Arc<dyn AnyResource>> {
        let _ = fields;
        None
    }
    /// See [`Resource::to_data`](crate::resource::Resource::to_data).
    ///
    /// # Errors
    /// A field can't be written as data.
    fn to_data(&self, wired: &[u8]) -> Result<Map<String, Json>, DataError>;
    /// Writes the resource as `Debug` does.
    ///
    /// # Errors
    /// The error of the formatter.
    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// The resource as `Any`, for a downcast to its type.
    fn as_any(&self) -> &dyn Any;
    /// The resource as the type that derives its kind: [`as_any`](AnyResource::as_any), except for a stand-in in a
    /// test.
    fn derived(&self) -> &dyn Any {
        self.as_any()
    }
    /// The resource with its type erased, as a graph holds it.
    fn erased(self) -> Arc<dyn AnyResource>
    where
        Self: Sized,
    {
        Arc::new(self)
    }
}

impl dyn AnyResource {
    /// See [`Refresh::refresh`](crate::resource::Refresh::refresh). For a kind without it, the result is false.
    pub fn refresh(self: Arc<Self>, cx: ApplyCx) -> BoxFuture<Result<bool>> {
        match self.spec().abilities.refresh {
            Some(refresh) => refresh(self, cx),
            None => Box::pin(std::future::ready(Ok(false))),
        }
    }

    /// See [`Leave::leave`](crate::resource::Leave::leave). For a kind without it, does nothing.
    pub fn leave(self: Arc<Self>, cx: ApplyCx) -> BoxFuture<Result<()>> {
        match self.spec().abilities.leave {
            Some(leave) => leave(self, cx),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }
}

impl fmt::Debug for dyn AnyResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.debug(f)
    }
}

#[diagnostic::do_not_recommend]
impl<R: Converge> Identify for R {
    fn kind(&self) -> &'static KindSpec {
        R::spec()
    }

    fn id(&self) -> ResourceId {
        ResourceId::new(R::spec().kind, R::name(self))
    }
}

#[diagnostic::do_not_recommend]
impl<R: Converge> AnyResource for R {
    fn spec(&self) -> &'static KindSpec {
        R::spec()
    }

    fn name(&self) -> &str {
        R::name(self)
    }

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let judged =
            || Converge::validate(self, known).into_iter().filter(|problem| known.bears_out(problem)).collect();
        let mut problems: Vec<_> = match caught(judged) {
            Ok(problems) => problems,
            Err(panic) => return vec![FieldProblem::whole(panic, "")],
        };
        // These methods may only be called on valid fields.
        if problems.iter().all(|problem| problem.advice) {
            let lost = |panic: String, what: &str| FieldProblem::whole(panic, what).advice();
            let owns = caught(|| {
                drop(Converge::uids(self, known));
                drop(Converge::parts(self, known));
            });
            let what = "that another resource owns the same is not noticed, and edges that follow from it are missing";
            problems.extend(owns.err().map(|panic| lost(panic, what)));
            let relates = caught(|| {
                drop(Converge::provides(self, known));
                drop(Converge::needs(self, known));
            });
            problems.extend(relates.err().map(|panic| lost(panic, "edges that follow from it are missing")));
        }
        problems
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        caught(|| Converge::uids(self, known)).unwrap_or_default()
    }

    fn parts(&self, known: &Known<'_>) -> Vec<PathBuf> {
        caught(|| Converge::parts(self, known)).unwrap_or_default()
    }

    fn is_whole(&self, known: &Known<'_>) -> bool {
        caught(|| Converge::is_whole(self, known)).unwrap_or(true)
    }

    fn clears(&self, known: &Known<'_>) -> Vec<PathBuf> {
        caught(|| Converge::clears(self, known)).unwrap_or_default()
    }

    fn copies(&self, known: &Known<'_>) -> Vec<PathBuf> {
        caught(|| Converge::copies(self, known)).unwrap_or_default()
    }

    fn reads(&self, known: &Known<'_>) -> Vec<Reading> {
        caught(|| Converge::reads(self, known)).unwrap_or_default()
    }

    fn works_on_files(&self) -> bool {
        Self::WORKS_ON_FILES
    }

    fn is_foreseeable(&self, drifted: bool) -> bool {
        caught(|| Converge::is_foreseeable(self, drifted)).unwrap_or_default()
    }

    fn irreversible(&self) -> Option<String> {
        caught(|| Converge::irreversible(self)).unwrap_or_else(Some)
    }

    fn remarks(&self) -> Vec<String> {
        caught(|| Converge::remarks(self)).unwrap_or_default()
    }

    fn provides(&self, known: &Known<'_>) -> Vec<Uid> {
        caught(|| Converge::provides(self, known)).unwrap_or_default()
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        caught(|| Converge::needs(self, known)).unwrap_or_default()
    }

    fn stands_alone(&self) -> bool {
        Self::STANDS_ALONE
    }

    fn inquiry(&self, known: &Known<'_>) -> Result<Option<Box<dyn Inquiry>>, String> {
        caught(|| Converge::inquiry(self, known))
    }

    fn is_absent(&self, known: &Known<'_>) -> Option<bool> {
        caught(|| Converge::is_absent(self, known)).unwrap_or_default()
    }

    fn same(&self, other: &dyn AnyResource) -> bool {
        let Some(other) = other.derived().downcast_ref::<R>().filter(|other| R::name(self) == R::name(other)) else {
            return false;
        };
        caught(|| R::same(self, other)).unwrap_or_else(|panic| {
            tracing::error!(target: "mgmt", "{}: to compare it {panic}: taken as changed", self.id());
            false
        })
    }

    fn check(self: Arc<Self>, cx: CheckCx) -> BoxFuture<Result<Option<AnyDrift>>> {
        Box::pin(async move {
            let found = Converge::check(&*self, &cx).await?;
            Ok(found.map(AnyDrift::new))
        })
    }

    fn apply(self: Arc<Self>, cx: ApplyCx, drift: AnyDrift) -> BoxFuture<Result<()>> {
        Box::pin(async move { Converge::apply(&*self, &cx, drift.of::<R>()).await })
    }

    fn foresee(self: Arc<Self>, cx: CheckCx, drift: AnyDrift) -> BoxFuture<Result<()>> {
        Box::pin(async move { Converge::foresee(&*self, &cx, &drift.of::<R>()).await })
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        caught(|| Converge::watch(self, cx)).unwrap_or_else(Watch::failed)
    }

    fn with_received(&self, values: Vec<(u8, FieldValue)>) -> Option<Arc<dyn AnyResource>> {
        let mut copy = self.copy();
        for (field, value) in values {
            if !copy.receive(field, value) {
                return None;
            }
        }
        Some(held(copy))
    }

    fn without(&self, fields: &[u8]) -> Option<Arc<dyn AnyResource>> {
        let mut copy = self.copy();
        for field in fields {
            copy.reset(*field);
        }
        Some(held(copy))
    }

    fn to_data(&self, wired: &[u8]) -> Result<Map<String, Json>, DataError> {
        R::to_data(self, wired)
    }

    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        R::debug(self, f)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn erased(self) -> Arc<dyn AnyResource> {
        held(self)
    }
}

/// A kind that graphs given as data may use.
#[derive(Clone, Copy)]
pub struct Kind {
    /// The description of the kind.
    pub spec: &'static KindSpec,
    /// The type of its resources, as Rust names it.
    pub type_name: fn() -> &'static str,
    /// See [`Converge::COLLECTED_ON_TRUST`].
    pub on_trust: bool,
    read: fn(&str, FieldReader<'_>) -> Option<Arc<dyn AnyResource>>,
}

impl Kind {
    /// The kind of this type.
    pub fn of<R: Converge>() -> Kind {
        Kind {
            spec: R::spec(),
            type_name: type_name::<R>,
            on_trust: R::COLLECTED_ON_TRUST,
            read: |name, reader| Some(held(R::from_data(name, reader)?)),
        }
    }

    /// A resource of this kind from data.
    pub fn read(
        &self,
        name: &str,
        data: &mut Map<String, Json>,
        wired: &[u8],
        problems: &mut Vec<FieldProblem>,
    ) -> Option<Arc<dyn AnyResource>> {
        (self.read)(name, FieldReader::new(self.spec, data, wired, problems))
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}

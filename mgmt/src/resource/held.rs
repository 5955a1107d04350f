//! Wrappers for resources and values of foreign types, whose `Drop` may panic.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::id::ResourceId;
use crate::resource::{
    AnyDrift, AnyResource, ApplyCx, BoxFuture, CheckCx, Converge, DataError, FieldProblem, FieldValue, Identify,
    Inquiry, KindSpec, Known, Need, Reading, Result, Uid, Watch, WatchCx,
};
use crate::sys::task::caught;

/// The resource with its type erased. A panic of its `Drop`, or of a field's, does not spread.
pub(super) fn held<R: Converge>(resource: R) -> Arc<dyn AnyResource> {
    match std::mem::needs_drop::<R>() {
        true => Arc::new(Held(Some(resource))),
        false => Arc::new(resource),
    }
}

/// A drift or a value. A panic of its `Drop` does not spread.
#[derive(Clone)]
pub struct Contained<T>(Option<T>);

impl<T> Contained<T> {
    pub(crate) fn new(value: T) -> Contained<T> {
        Contained(Some(value))
    }

    /// The value.
    pub fn get(&self) -> &T {
        match &self.0 {
            Some(value) => value,
            None => unreachable!("only `into` and `drop` take it"),
        }
    }

    fn into(mut self) -> T {
        match self.0.take() {
            Some(value) => value,
            None => unreachable!("only `into` and `drop` take it"),
        }
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        if let Err(panic) = caught(|| drop(value)) {
            tracing::error!(target: "mgmt", "to drop what a check found or a resource sent {panic}");
        }
    }
}

impl Contained<Box<dyn Any + Send>> {
    /// The value, if it is of this type.
    pub(super) fn downcast<T: Any>(self) -> Option<T> {
        self.into().downcast().ok().map(|value| *value)
    }
}

impl<T> fmt::Debug for Contained<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contained")
    }
}

/// A resource. If many are dropped together, a second panic of a `Drop` would otherwise abort the process.
struct Held<R: Converge>(Option<R>);

impl<R: Converge> Held<R> {
    fn get(&self) -> &R {
        match &self.0 {
            Some(resource) => resource,
            None => unreachable!("only `drop` takes it"),
        }
    }
}

impl<R: Converge> Drop for Held<R> {
    fn drop(&mut self) {
        let resource = self.0.take();
        if let Err(panic) = caught(|| drop(resource)) {
            tracing::error!(target: "mgmt", "to drop a resource of the kind `{}` {panic}", R::spec().kind);
        }
    }
}

impl<R: Converge> Identify for Held<R> {
    fn kind(&self) -> &'static KindSpec {
        self.get().kind()
    }

    fn id(&self) -> ResourceId {
        self.get().id()
    }
}

impl<R: Converge> AnyResource for Held<R> {
    fn spec(&self) -> &'static KindSpec {
        R::spec()
    }

    fn name(&self) -> &str {
        R::name(self.get())
    }

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        AnyResource::validate(self.get(), known)
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        AnyResource::uids(self.get(), known)
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<R>()
    }

    fn parts(&self, known: &Known<'_>) -> Vec<PathBuf> {
        AnyResource::parts(self.get(), known)
    }

    fn is_whole(&self, known: &Known<'_>) -> bool {
        AnyResource::is_whole(self.get(), known)
    }

    fn clears(&self, known: &Known<'_>) -> Vec<PathBuf> {
        AnyResource::clears(self.get(), known)
    }

    fn copies(&self, known: &Known<'_>) -> Vec<PathBuf> {
        AnyResource::copies(self.get(), known)
    }

    fn reads(&self, known: &Known<'_>) -> Vec<Reading> {
        AnyResource::reads(self.get(), known)
    }

    fn works_on_files(&self) -> bool {
        AnyResource::works_on_files(self.get())
    }

    fn is_foreseeable(&self, drifted: bool) -> bool {
        AnyResource::is_foreseeable(self.get(), drifted)
    }

    fn irreversible(&self) -> Option<String> {
        AnyResource::irreversible(self.get())
    }

    fn remarks(&self) -> Vec<String> {
        AnyResource::remarks(self.get())
    }

    fn provides(&self, known: &Known<'_>) -> Vec<Uid> {
        AnyResource::provides(self.get(), known)
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        AnyResource::needs(self.get(), known)
    }

    fn stands_alone(&self) -> bool {
        AnyResource::stands_alone(self.get())
    }

    fn inquiry(&self, known: &Known<'_>) -> std::result::Result<Option<Box<dyn Inquiry>>, String> {
        AnyResource::inquiry(self.get(), known)
    }

    fn is_absent(&self, known: &Known<'_>) -> Option<bool> {
        AnyResource::is_absent(self.get(), known)
    }

    fn same(&self, other: &dyn AnyResource) -> bool {
        AnyResource::same(self.get(), other)
    }

    fn check(self: Arc<Self>, cx: CheckCx) -> BoxFuture<Result<Option<AnyDrift>>> {
        Box::pin(async move {
            let found = Converge::check(self.get(), &cx).await?;
            Ok(found.map(AnyDrift::new))
        })
    }

    fn apply(self: Arc<Self>, cx: ApplyCx, drift: AnyDrift) -> BoxFuture<Result<()>> {
        Box::pin(async move { Converge::apply(self.get(), &cx, drift.of::<R>()).await })
    }

    fn foresee(self: Arc<Self>, cx: CheckCx, drift: AnyDrift) -> BoxFuture<Result<()>> {
        Box::pin(async move { Converge::foresee(self.get(), &cx, &drift.of::<R>()).await })
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        AnyResource::watch(self.get(), cx)
    }

    fn with_received(&self, values: Vec<(u8, FieldValue)>) -> Option<Arc<dyn AnyResource>> {
        AnyResource::with_received(self.get(), values)
    }

    fn without(&self, fields: &[u8]) -> Option<Arc<dyn AnyResource>> {
        AnyResource::without(self.get(), fields)
    }

    fn to_data(&self, wired: &[u8]) -> Result<Map<String, Json>, DataError> {
        AnyResource::to_data(self.get(), wired)
    }

    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        AnyResource::debug(self.get(), f)
    }

    fn as_any(&self) -> &dyn Any {
        self.get()
    }
}

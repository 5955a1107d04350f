//! One resource on a fake host, and the results of its operations.

use std::any::TypeId;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Map, Value as Json};

use crate::id::ResourceId;
use crate::resource::{
    AnyDrift, AnyResource, ApplyCx, BoxFuture, Change, CheckCx, DataError, Declare, FieldNames, FieldProblem,
    FieldValue, Findings, KindSpec, Known, Operation, Port, PrepareCx, Received, Recording, Result, Salted, Sendable,
    Sent, Services, Undone, Value, Watch, WatchCx,
};
use crate::sys::fs::ReadFs;
use crate::testing::watching::Watching;

/// A resource on a [`Fake`](crate::testing::Fake) host.
#[derive(Clone, Debug)]
pub struct Trial {
    resource: Arc<dyn AnyResource>,
    node: u32,
    services: Arc<Services>,
    noop: bool,
    owed: bool,
    reversed: bool,
    paths: Option<Box<[PathBuf]>>,
}

/// The result of an operation.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// The changes that the check found necessary.
    pub changes: Vec<Change>,
    /// The drift that the check found, for [`Trial::apply`]; after [`Trial::settle`] only if it was not repaired
    /// (noop).
    pub drift: Option<AnyDrift>,
    /// Whether the apply or the refresh changed something.
    pub changed: bool,
    /// Whether the apply reported that an event was its reason, not another program that undid an earlier repair.
    pub by_event: bool,
    drifted: bool,
    sent: Vec<Sent>,
}

impl Outcome {
    /// Whether the check found no drift.
    pub fn in_sync(&self) -> bool {
        !self.drifted
    }

    /// The last value that the operation sent on an output; `None` if it sent none.
    pub fn value<T: Sendable>(&self, port: Port<T>) -> Option<T> {
        self.sent.iter().rev().find_map(|sent| match sent {
            Sent::Value { port: number, value, .. } if *number == port.number() => value.get().downcast_ref().cloned(),
            _ => None,
        })
    }

    /// Whether the operation reported that the value of an output is that of an earlier run, and is no longer known.
    pub fn is_unchanged<T>(&self, port: Port<T>) -> bool {
        self.sent.iter().any(|sent| matches!(sent, Sent::Unchanged { port: number } if *number == port.number()))
    }

    /// Whether the operation sent nothing.
    pub fn sent_nothing(&self) -> bool {
        self.sent.is_empty()
    }
}

/// The number of a field, and what it makes of a value of the type `of` that an output has sent.
pub(super) fn convert(spec: &KindSpec, field: &str, value: &Value, of: &str) -> Result<(u8, Received), String> {
    let Some(number) = spec.field(field) else { return Err(format!("{} has no field `{field}`", spec.kind)) };
    match (spec.fields[usize::from(number)].convert)(value) {
        Some(received) => Ok((number, received)),
        None => Err(format!("`{field}` does not take a value of type {of}")),
    }
}

/// An operation of a [`Trial`] that a test has started by hand.
#[derive(Debug)]
pub struct Begun(Arc<Operation>);

impl Begun {
    /// Cancels the operation as an engine does: its token stops, its future is dropped, and the hooks that it
    /// registered run. Returns when all of its work has ended.
    pub async fn cancel<F>(&self, future: F) {
        let hooks = self.0.take_hooks();
        self.0.stop();
        drop(future);
        for hook in hooks {
            hook.await;
        }
        self.0.idle().await;
    }

    /// Returns when none of the operation's work is in progress: no thread of `look` or `change`, and no other
    /// [`Work`](crate::resource::Work).
    pub async fn idle(&self) {
        self.0.idle().await;
    }
}

impl Trial {
    pub(super) fn new(resource: Arc<dyn AnyResource>, node: u32, services: Arc<Services>) -> Trial {
        Trial { resource, node, services, noop: false, owed: false, reversed: false, paths: None }
    }

    /// The identity of the resource.
    pub fn id(&self) -> ResourceId {
        ResourceId::new(self.resource.spec().kind, self.resource.name())
    }

    /// The same resource in noop: [`settle`](Trial::settle) only checks, and the check can see the noop.
    #[must_use]
    pub fn noop(mut self) -> Trial {
        self.noop = true;
        self
    }

    /// The same resource with the metaparameter `reverse`: what was there before is recorded.
    #[must_use]
    pub fn reversed(mut self) -> Trial {
        self.reversed = true;
        self
    }

    /// The same resource with a refresh owed to it, which its operations can see.
    #[must_use]
    pub fn owed(mut self) -> Trial {
        self.owed = true;
        self
    }

    /// The same resource after a change of only these paths in watched trees since a check found it in sync
    /// ([`CheckCx::changed_paths`]).
    #[must_use]
    pub fn changed_at(&self, paths: impl IntoIterator<Item = PathBuf>) -> Trial {
        Trial { paths: Some(paths.into_iter().collect()), ..self.clone() }
    }

    /// Replaces the resource with another version; what it keeps in memory stays, as after a swap of the graph.
    #[must_use]
    pub fn becomes(&self, declared: impl Declare) -> Trial {
        Trial { resource: Arc::new(declared.finish().0), ..self.clone() }
    }

    /// The same resource; the field has received this value from an output of its type.
    ///
    /// # Panics
    /// The kind has no such field, or the field does not take such a value.
    #[must_use]
    #[track_caller]
    pub fn receiving<T: Sendable>(&self, field: &str, value: T) -> Trial {
        let (number, value, _) = self.converted(field, value);
        self.with(number, value)
    }

    /// The same resource; the field has received a value of which only the digest is known, as after a restart of the
    /// process.
    ///
    /// # Panics
    /// The kind has no such field, or the field does not take such a value or can't be checked with a digest.
    #[must_use]
    #[track_caller]
    pub fn recalling<T: Sendable>(&self, field: &str, value: T) -> Trial {
        let (number, _, digest) = self.converted(field, value);
        let spec = &self.resource.spec().fields[usize::from(number)];
        match digest.and_then(|digest| (spec.recall)(TypeId::of::<T>(), digest)) {
            Some(value) => self.with(number, value),
            None => panic!("`{field}` can't do with a digest: it needs the value"),
        }
    }

    #[track_caller]
    fn converted<T: Sendable>(&self, field: &str, value: T) -> (u8, FieldValue, Option<Salted>) {
        let value: Value = Arc::new(value);
        match convert(self.resource.spec(), field, &value, std::any::type_name::<T>()) {
            Ok((number, received)) => {
                (number, received.value, received.digest.map(|digest| Salted::new(self.services.salt, digest)))
            }
            Err(misfit) => panic!("{misfit}"),
        }
    }

    fn with(&self, field: u8, value: FieldValue) -> Trial {
        match self.resource.with_received(vec![(field, value)]) {
            Some(resource) => Trial { resource, ..self.clone() },
            None => unreachable!("the field's own conversion made a value of its type"),
        }
    }

    fn operation(&self) -> Arc<Operation> {
        let mut operation = Operation::new(Arc::clone(&self.resource), self.node, Arc::clone(&self.services));
        (operation.noop, operation.refresh) = (self.noop, self.owed);
        operation.paths = self.paths.clone();
        operation.recording = self.reversed.then(|| Box::new(Recording { reverse: Some(Arc::default()), trial: None }));
        Arc::new(operation)
    }

    /// The context of a check of the resource, for tests of a kind's own functions.
    pub fn check_cx(&self) -> CheckCx {
        CheckCx::new(self.operation())
    }

    /// The context of an apply of the resource, for tests of a kind's own functions.
    pub fn apply_cx(&self) -> ApplyCx {
        ApplyCx::new(self.operation())
    }

    /// The problems of the fields, all of which are known.
    pub fn validate(&self) -> Vec<FieldProblem> {
        self.resource.validate(&Known::all(self.resource.spec()))
    }

    /// The problems of the fields when these fields will be received, so their values are not known yet.
    ///
    /// # Panics
    /// The kind has no such field.
    pub fn validate_without(&self, coming: impl FieldNames) -> Vec<FieldProblem> {
        self.resource.validate(&Known::all_but(self.resource.spec(), coming.names()))
    }

    /// The problems of the fields as text, one in a line.
    #[cfg(test)]
    pub(crate) fn refusal(&self) -> String {
        self.validate().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    /// The fields as data, in the form that they have in a graph as data.
    ///
    /// # Errors
    /// A field has no form as data.
    pub fn data(&self) -> Result<Map<String, Json>, DataError> {
        self.resource.to_data(&[])
    }

    /// The findings of the kind before the passes; `None`: the kind lacks [`Prepare`](crate::resource::Prepare).
    ///
    /// # Errors
    /// The error of the kind.
    pub async fn prepare(&self) -> Result<Option<Findings>> {
        let spec = self.resource.spec();
        let Some(prepare) = spec.abilities.prepare else { return Ok(None) };
        let fs = ReadFs::clone(&self.services.fs);
        let cx = PrepareCx::new(self.id(), spec, Vec::new(), fs, self.services.provisions.clone());
        prepare(Arc::<dyn AnyResource>::clone(&self.resource), cx).await.map(Some)
    }

    /// Checks the resource.
    ///
    /// # Errors
    /// The error of the kind.
    pub async fn check(&self) -> Result<Outcome> {
        let operation = self.operation();
        let drift = Arc::clone(&self.resource).check_alone(&operation).await?;
        let changes = drift.as_ref().map(|drift| drift.changes.clone()).unwrap_or_default();
        Ok(Outcome { drifted: drift.is_some(), changes, drift, sent: operation.take_sent(), ..Outcome::default() })
    }

    /// Applies the drift that a check found.
    ///
    /// # Errors
    /// The error of the kind.
    pub async fn apply(&self, drift: AnyDrift) -> Result<Outcome> {
        let (apply, operation) = self.start_apply(drift);
        apply.await?;
        Ok(Outcome {
            changed: !operation.unchanged.load(Ordering::Relaxed),
            by_event: operation.by_event.load(Ordering::Relaxed),
            sent: operation.take_sent(),
            ..Outcome::default()
        })
    }

    /// Like [`apply`](Trial::apply), but not started yet; and the operation, which is [idle](Begun::idle) once all of
    /// its work has ended, including work that continued after the future was dropped.
    pub fn begin_apply(&self, drift: AnyDrift) -> (BoxFuture<Result<()>>, Begun) {
        let (apply, operation) = self.start_apply(drift);
        (apply, Begun(operation))
    }

    fn start_apply(&self, drift: AnyDrift) -> (BoxFuture<Result<()>>, Arc<Operation>) {
        let operation = self.operation();
        (Arc::clone(&self.resource).apply_alone(&operation, drift), operation)
    }

    /// Checks the resource, and repairs the drift, unless the resource is in noop.
    ///
    /// # Errors
    /// The error of the kind.
    pub async fn settle(&self) -> Result<Outcome> {
        let mut found = self.check().await?;
        match found.drift.take() {
            Some(drift) if !self.noop => {
                let applied = self.apply(drift).await?;
                let sent = found.sent.into_iter().chain(applied.sent).collect();
                Ok(Outcome { drifted: true, changes: found.changes, sent, ..applied })
            }
            drift => Ok(Outcome { drift, ..found }),
        }
    }

    /// Refreshes the resource.
    ///
    /// # Errors
    /// The error of the kind.
    pub async fn refresh(&self) -> Result<Outcome> {
        let operation = self.clone().owed().operation();
        let changed = Arc::clone(&self.resource).refresh(ApplyCx::new(Arc::clone(&operation))).await?;
        Ok(Outcome { changed, sent: operation.take_sent(), ..Outcome::default() })
    }

    /// Whether there is a record of what was there before.
    pub fn has_record(&self) -> bool {
        self.services.records.read(&self.id()).is_ok_and(|record| record.is_some())
    }

    /// Undoes what is recorded; the record stays. `None`: there is nothing to undo.
    ///
    /// # Errors
    /// The record is damaged; or the error of the kind.
    pub async fn undo(&self) -> Result<Option<Undone>> {
        self.begin_undo().0.await
    }

    /// Like [`undo`](Trial::undo), but not started yet; and the operation, as in [`begin_apply`](Trial::begin_apply).
    pub fn begin_undo(&self) -> (BoxFuture<Result<Option<Undone>>>, Begun) {
        let (operation, records, id) = (self.operation(), self.services.records.clone(), self.id());
        let (cx, reversal) = (ApplyCx::new(Arc::clone(&operation)), self.resource.spec().abilities.reverse);
        let undo = async move {
            let (Some(reversal), Some(record)) = (reversal, records.read(&id)?) else { return Ok(None) };
            (reversal.undo)(cx, record.data, records.dir(&id)).await.map(Some)
        };
        (Box::pin(undo), Begun(operation))
    }

    /// The watch that the kind declares for the resource.
    pub fn watch(&self) -> Watch {
        self.resource.watch(&WatchCx::new(self.operation()))
    }

    /// Takes the watch apart, to listen to its streams.
    pub fn listen(&self) -> Watching {
        Watching::new(self.watch())
    }

    /// Removes the resource from the graph: what it kept in memory is dropped.
    pub fn remove(self) {
        self.services.local.clear(self.node);
    }
}

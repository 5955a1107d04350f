//! A resource that is what another one is, and does what a test has set.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value as Json};

use super::expect::Answer;
use super::script::Script;
use crate::id::ResourceId;
use crate::resource::{
    Abilities, AnyDrift, AnyResource, ApplyCx, BoxFuture, CheckCx, DataError, Error, FieldProblem, FieldValue,
    Identify, Inline, Inquiry, KindSpec, Known, Many, Need, Reading, RefreshFn, Result, Uid, Watch, WatchCx,
};
use crate::runtime::Act;

/// A stand-in for a resource.
pub(super) struct StandIn {
    of: Arc<dyn AnyResource>,
    spec: &'static KindSpec,
    script: Arc<Script>,
}

const REFRESH: RefreshFn = |resource, cx| {
    Box::pin(async move {
        match typed(&*resource).answer(Act::Refresh, &cx) {
            Answer::Fails(error) => Err(Error::new(error)),
            answer => Ok(answer == Answer::Changed),
        }
    })
};

/// Each is answered alone: a stand-in needs no time.
const MANY: Many = Many {
    apart: true,
    check: |items| {
        Box::pin(async move {
            for item in items {
                let answer = item.resource.check(item.cx).await;
                drop(item.work);
                item.reply.give(answer);
            }
        })
    },
    apply: |items| {
        Box::pin(async move {
            for item in items {
                let answer = item.resource.apply(item.cx, item.drift).await;
                drop(item.work);
                item.reply.give(answer);
            }
        })
    },
};

fn typed(resource: &dyn AnyResource) -> &StandIn {
    resource.as_any().downcast_ref().expect("these functions are called with a stand-in")
}

/// The description of a kind of which this is a stand-in: what it is remains, what it does is replaced. Kinds are few,
/// so each has one for as long as the process runs.
fn spec_of(kind: &'static KindSpec) -> &'static KindSpec {
    static SPECS: Mutex<Vec<(&KindSpec, &KindSpec)>> = Mutex::new(Vec::new());
    let mut specs = SPECS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, spec)) = specs.iter().find(|(of, _)| std::ptr::eq(*of, kind)) {
        return spec;
    }
    let abilities = Abilities {
        refresh: kind.abilities.refresh.map(|_| REFRESH),
        leave: None,
        many: kind.abilities.many.map(|_| MANY),
        ..kind.abilities
    };
    let spec = Box::leak(Box::new(KindSpec { inline: Inline::Everything, abilities, provided: &[], ..*kind }));
    specs.push((kind, spec));
    spec
}

impl StandIn {
    pub(super) fn of(resource: Arc<dyn AnyResource>, script: Arc<Script>) -> Arc<dyn AnyResource> {
        Arc::new(StandIn { spec: spec_of(resource.spec()), of: resource, script })
    }

    fn answer(&self, act: Act, cx: &CheckCx) -> Answer {
        self.script.answer(act, cx, &*self.of)
    }

    fn with(&self, other: Option<Arc<dyn AnyResource>>) -> Option<Arc<dyn AnyResource>> {
        Some(StandIn::of(other?, Arc::clone(&self.script)))
    }
}

impl Identify for StandIn {
    fn kind(&self) -> &'static KindSpec {
        self.spec
    }

    fn id(&self) -> ResourceId {
        self.of.id()
    }
}

impl AnyResource for StandIn {
    fn spec(&self) -> &'static KindSpec {
        self.spec
    }

    fn name(&self) -> &str {
        self.of.name()
    }

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        self.of.validate(known)
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        self.of.uids(known)
    }

    fn type_name(&self) -> &'static str {
        self.of.type_name()
    }

    fn parts(&self, known: &Known<'_>) -> Vec<PathBuf> {
        self.of.parts(known)
    }

    fn is_whole(&self, known: &Known<'_>) -> bool {
        self.of.is_whole(known)
    }

    fn clears(&self, known: &Known<'_>) -> Vec<PathBuf> {
        self.of.clears(known)
    }

    fn copies(&self, known: &Known<'_>) -> Vec<PathBuf> {
        self.of.copies(known)
    }

    fn reads(&self, known: &Known<'_>) -> Vec<Reading> {
        self.of.reads(known)
    }

    fn is_foreseeable(&self, drifted: bool) -> bool {
        self.of.is_foreseeable(drifted)
    }

    fn irreversible(&self) -> Option<String> {
        self.of.irreversible()
    }

    fn remarks(&self) -> Vec<String> {
        self.of.remarks()
    }

    fn provides(&self, known: &Known<'_>) -> Vec<Uid> {
        self.of.provides(known)
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        self.of.needs(known)
    }

    fn stands_alone(&self) -> bool {
        self.of.stands_alone()
    }

    fn inquiry(&self, known: &Known<'_>) -> std::result::Result<Option<Box<dyn Inquiry>>, String> {
        self.of.inquiry(known)
    }

    fn is_absent(&self, known: &Known<'_>) -> Option<bool> {
        self.of.is_absent(known)
    }

    fn same(&self, other: &dyn AnyResource) -> bool {
        self.of.same(other)
    }

    fn check(self: Arc<Self>, cx: CheckCx) -> BoxFuture<Result<Option<AnyDrift>>> {
        Box::pin(async move {
            match self.answer(Act::Check, &cx) {
                Answer::Drift(changes) => Ok(Some(AnyDrift::new(changes))),
                Answer::Fails(error) => Err(Error::new(error)),
                Answer::InSync | Answer::Changed | Answer::Unchanged => Ok(None),
            }
        })
    }

    fn apply(self: Arc<Self>, cx: ApplyCx, _: AnyDrift) -> BoxFuture<Result<()>> {
        Box::pin(async move {
            match self.answer(Act::Apply, &cx) {
                Answer::Fails(error) => return Err(Error::new(error)),
                Answer::Unchanged => cx.unchanged(),
                Answer::Changed | Answer::InSync | Answer::Drift(_) => {}
            }
            Ok(())
        })
    }

    fn watch(&self, _: &WatchCx) -> Watch {
        self.script.watch()
    }

    fn with_received(&self, values: Vec<(u8, FieldValue)>) -> Option<Arc<dyn AnyResource>> {
        self.with(self.of.with_received(values))
    }

    fn without(&self, fields: &[u8]) -> Option<Arc<dyn AnyResource>> {
        self.with(self.of.without(fields))
    }

    fn to_data(&self, wired: &[u8]) -> Result<Map<String, Json>, DataError> {
        self.of.to_data(wired)
    }

    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of.debug(f)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn derived(&self) -> &dyn Any {
        self.of.derived()
    }
}

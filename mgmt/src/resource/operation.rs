//! One operation of one resource: its parameters, what it sent, and work that must end before the next operation.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI16, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Poll, Waker};

use crate::id::ResourceId;
use crate::resource::any::AnyResource;
use crate::resource::change::Change;
use crate::resource::digest::Digest;
use crate::resource::held::Contained;
use crate::resource::output::Value;
use crate::resource::provided::{Services, lock};
use crate::resource::record::Recording;
use crate::resource::spec::KindSpec;
use crate::resource::stopping::Stopping;

/// One thing that an operation sent.
#[derive(Clone)]
pub enum Sent {
    /// A value.
    Value {
        /// The output.
        port: u8,
        /// The value.
        value: Contained<Value>,
        /// Its digest, salted.
        digest: Digest,
    },
    /// The value is the same as in the run before, and is no longer known.
    Unchanged {
        /// The output.
        port: u8,
    },
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sent::Value { port, .. } => write!(f, "Sent({port})"),
            Sent::Unchanged { port } => write!(f, "Unchanged({port})"),
        }
    }
}

/// A value with an identity. The identity is made only when it is needed, since most operations of a large graph never
/// need it.
#[doc(hidden)]
pub trait Identify: Send + Sync {
    /// The identity of the resource.
    fn id(&self) -> ResourceId;
    /// The kind of the resource.
    fn kind(&self) -> &'static KindSpec;
}

type Hook = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Work that an operation has begun.
#[derive(Default)]
struct Begun {
    last: u64,
    /// Work in progress: its number, and what it does.
    work: Vec<(u64, Cow<'static, str>)>,
    /// The hooks that run if the operation is cancelled.
    hooks: Vec<(u64, Hook)>,
    /// The tasks that wait until no work is in progress.
    waiting: Vec<Waker>,
}

/// Parts that most operations of a large graph never need.
#[derive(Default)]
struct Extra {
    sent: Mutex<Vec<Sent>>,
    /// The result of the check, if the check has continued with a repair.
    found: OnceLock<Vec<Change>>,
    /// Made at its first use.
    stopping: OnceLock<Stopping>,
    begun: Mutex<Begun>,
}

/// No number: the operation shares nothing with those that begin together with it.
const UNNUMBERED: u64 = u64::MAX;

/// The operation does not request the end of the program.
const NO_EXIT: i16 = -1;

/// A check must not continue with a repair.
const MAY_NOT: u8 = 0;
/// A check may continue with a repair.
const MAY: u8 = 1;
/// A check has continued with a repair.
const DOES: u8 = 2;

/// The engine's data about one operation.
pub(crate) struct Operation {
    /// The resource, until the operation has ended.
    of: Option<Arc<dyn AnyResource>>,
    /// The number of the resource in the engine.
    pub(crate) node: u32,
    pub(crate) services: Arc<Services>,
    /// Its number in the order in which operations begin, or `UNNUMBERED`.
    pub(crate) begun: u64,
    /// A refresh is owed to the resource.
    pub(crate) refresh: bool,
    /// The numbers of the fields that have received another value since an operation last succeeded.
    pub(crate) changed: Vec<u8>,
    /// The only paths that a check must examine.
    pub(crate) paths: Option<Box<[PathBuf]>>,
    /// The journal contains the refreshes that other resources are owed if this one changes.
    pub(crate) announced: bool,
    /// The resource will not be applied.
    pub(crate) noop: bool,
    /// What was there before must be recorded.
    pub(crate) recording: Option<Box<Recording>>,
    /// The apply found nothing to change.
    pub(crate) unchanged: AtomicBool,
    /// An event was the reason for the apply.
    pub(crate) by_event: AtomicBool,
    /// The operation has done its work, and waits for the disk.
    pub(crate) yields: AtomicBool,
    /// The exit code with which the operation requests the end of the program; negative: it does not.
    pub(crate) exit_code: AtomicI16,
    cancelled: AtomicBool,
    /// Whether the check may continue with a repair: `MAY_NOT`, `MAY` or `DOES`.
    stays: AtomicU8,
    extra: OnceLock<Box<Extra>>,
}

impl Operation {
    /// An operation of this resource.
    pub(crate) fn new(of: Arc<dyn AnyResource>, node: u32, services: Arc<Services>) -> Operation {
        Operation {
            of: Some(of),
            node,
            begun: UNNUMBERED,
            services,
            refresh: false,
            changed: Vec::new(),
            paths: None,
            announced: false,
            noop: false,
            recording: None,
            unchanged: AtomicBool::new(false),
            by_event: AtomicBool::new(false),
            yields: AtomicBool::new(false),
            exit_code: AtomicI16::new(NO_EXIT),
            cancelled: AtomicBool::new(false),
            stays: AtomicU8::new(MAY_NOT),
            extra: OnceLock::new(),
        }
    }

    /// Whether the memory of the operation can be used for another one, as far as it knows itself.
    pub(crate) fn is_plain(&self) -> bool {
        self.extra.get().is_none()
    }

    /// Reuses the memory for another operation of the same engine.
    pub(crate) fn again(&mut self, of: Arc<dyn AnyResource>, node: u32) {
        // The pattern has no `..`, so that a new field can't be forgotten.
        let Operation {
            of: former,
            node: at,
            services: _,
            begun,
            refresh,
            changed,
            paths,
            announced,
            noop,
            recording,
            unchanged,
            by_event,
            yields,
            exit_code,
            cancelled,
            stays,
            extra: _,
        } = self;
        (*former, *at, *begun) = (Some(of), node, UNNUMBERED);
        (*refresh, *announced, *noop) = (false, false, false);
        *stays.get_mut() = MAY_NOT;
        *exit_code.get_mut() = NO_EXIT;
        changed.clear();
        (*paths, *recording) = (None, None);
        for flag in [unchanged, by_event, yields, cancelled] {
            *flag.get_mut() = false;
        }
    }

    /// The resource, with what it received.
    pub(crate) fn resource(&self) -> &Arc<dyn AnyResource> {
        self.of.as_ref().expect("nothing asks an operation that is over")
    }

    fn extra(&self) -> &Extra {
        self.extra.get_or_init(Box::default)
    }

    /// The identity of the resource.
    pub(crate) fn id(&self) -> ResourceId {
        self.resource().id()
    }

    /// The kind of the resource.
    pub(crate) fn spec(&self) -> &'static KindSpec {
        self.resource().spec()
    }

    /// The exit code with which the operation requests the end of the program.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        u8::try_from(self.exit_code.load(Ordering::Relaxed)).ok()
    }

    /// Records that something was sent.
    pub(crate) fn send(&self, sent: Sent) {
        lock(&self.extra().sent).push(sent);
    }

    /// Removes and returns what was sent.
    pub(crate) fn take_sent(&self) -> Vec<Sent> {
        self.extra.get().map(|extra| std::mem::take(&mut *lock(&extra.sent))).unwrap_or_default()
    }

    pub(crate) fn stopping(&self) -> Stopping {
        let token = self.extra().stopping.get_or_init(Stopping::default).clone();
        // A token made after the cancellation must stop here, since `stop` has not seen it.
        if self.cancelled.load(Ordering::SeqCst) {
            token.stop();
        }
        token
    }

    /// Removes and returns the hooks for a cancellation, the last one first.
    pub(crate) fn take_hooks(&self) -> Vec<Hook> {
        let hooks = self.extra.get().map(|extra| std::mem::take(&mut lock(&extra.begun).hooks));
        hooks.into_iter().flatten().rev().map(|(_, hook)| hook).collect()
    }

    /// Cancels the operation: its token stops. To be called after `take_hooks`, since a task that waits for the token
    /// may drop the hooks' guards.
    pub(crate) fn stop(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        if let Some(token) = self.extra.get().and_then(|extra| extra.stopping.get()) {
            token.stop();
        }
    }

    /// Sets whether the check may continue with a repair.
    pub(crate) fn permit(&mut self, go_on: bool) {
        *self.stays.get_mut() = if go_on { MAY } else { MAY_NOT };
    }

    /// Forbids the check to continue with a repair. Returns false if it already has.
    pub(crate) fn withdraw(&self) -> bool {
        self.stays.compare_exchange(MAY, MAY_NOT, Ordering::SeqCst, Ordering::SeqCst) != Err(DOES)
    }

    /// Records what the check has found. Returns whether it continues with a repair.
    pub(crate) fn go_on(&self, found: &[Change]) -> bool {
        if self.cancelled.load(Ordering::SeqCst) || self.stays.load(Ordering::SeqCst) != MAY {
            return false;
        }
        // The findings must be set before other threads can see `DOES`.
        let is_first = self.extra().found.set(found.to_vec()).is_ok();
        is_first && self.stays.compare_exchange(MAY, DOES, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The findings of the check, if it has continued with a repair.
    pub(crate) fn gone_on(&self) -> Option<&[Change]> {
        let has = self.stays.load(Ordering::SeqCst) == DOES;
        self.extra.get().filter(|_| has)?.found.get().map(Vec::as_slice)
    }

    /// Whether none of the operation's work is in progress.
    pub(crate) fn is_idle(&self) -> bool {
        self.extra.get().is_none_or(|extra| lock(&extra.begun).work.is_empty())
    }

    /// Returns when none of the operation's work is in progress.
    pub(crate) async fn idle(&self) {
        poll_fn(|cx| {
            let mut begun = lock(&self.extra().begun);
            if begun.work.is_empty() {
                return Poll::Ready(());
            }
            begun.waiting.retain(|waker| !waker.will_wake(cx.waker()));
            begun.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The work in progress, in words.
    pub(crate) fn doing(&self) -> Vec<String> {
        let Some(extra) = self.extra.get() else { return Vec::new() };
        lock(&extra.begun).work.iter().map(|(_, doing)| doing.to_string()).collect()
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("node", &self.node).field("doing", &self.doing()).finish_non_exhaustive()
    }
}

/// A guard for work that an operation has begun, such as a thread or a task: the operation ends no earlier than the
/// guard is dropped. See [`CheckCx::work`](crate::resource::CheckCx::work).
#[must_use = "the work counts as ended when this is dropped"]
#[derive(Debug)]
pub struct Work {
    operation: Arc<Operation>,
    number: u64,
}

impl Work {
    pub(crate) fn new(operation: &Arc<Operation>, doing: impl Into<Cow<'static, str>>) -> Work {
        let mut begun = lock(&operation.extra().begun);
        begun.last += 1;
        let number = begun.last;
        begun.work.push((number, doing.into()));
        drop(begun);
        Work { operation: Arc::clone(operation), number }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut begun = lock(&self.operation.extra().begun);
        begun.work.retain(|(number, _)| *number != self.number);
        let waiting = if begun.work.is_empty() { std::mem::take(&mut begun.waiting) } else { Vec::new() };
        drop(begun);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// A guard for a hook that runs if the operation is cancelled; dropping the guard removes the hook. See
/// [`CheckCx::on_cancel`](crate::resource::CheckCx::on_cancel).
#[must_use = "it is disarmed when this is dropped"]
#[derive(Debug)]
pub struct OnCancel {
    operation: Arc<Operation>,
    number: u64,
}

impl OnCancel {
    pub(crate) fn new(operation: &Arc<Operation>, hook: Hook) -> OnCancel {
        let mut begun = lock(&operation.extra().begun);
        begun.last += 1;
        let number = begun.last;
        begun.hooks.push((number, hook));
        drop(begun);
        OnCancel { operation: Arc::clone(operation), number }
    }
}

impl Drop for OnCancel {
    fn drop(&mut self) {
        let mut begun = lock(&self.operation.extra().begun);
        let at = begun.hooks.iter().position(|(number, _)| *number == self.number);
        let hook = at.map(|at| begun.hooks.remove(at));
        // The hook belongs to the kind, and dropping it may use the operation, so the lock is released first.
        drop(begun);
        drop(hook);
    }
}

//! One operation of one resource: what it was asked, what it sent, what it has begun that must end before the next one.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Poll, Waker};

use crate::id::ResourceId;
use crate::resource::change::Change;
use crate::resource::digest::Digest;
use crate::resource::held::Contained;
use crate::resource::output::Value;
use crate::resource::provided::{Services, lock};
use crate::resource::spec::KindSpec;
use crate::resource::stopping::Stopping;

/// What an operation sent.
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
    /// The value is the same as in the run before, and isn't known any more.
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

/// What has an identity. Made only when it is asked for, since most operations of a large graph never need it.
#[doc(hidden)]
pub trait Identify: Send + Sync {
    /// Its identity.
    fn id(&self) -> ResourceId;
    /// Its kind.
    fn kind(&self) -> &'static KindSpec;
}

type Hook = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What an operation has begun.
#[derive(Default)]
struct Begun {
    last: u64,
    /// Work under way: its number, and what it does.
    work: Vec<(u64, Cow<'static, str>)>,
    /// What must be done if the operation is cancelled.
    hooks: Vec<(u64, Hook)>,
    /// Wait until no work is under way.
    waiting: Vec<Waker>,
}

/// What most operations of a large graph never need.
#[derive(Default)]
struct Extra {
    sent: Mutex<Vec<Sent>>,
    /// What the check has found, if it has gone on to a repair.
    found: OnceLock<Vec<Change>>,
    /// Made when it is first asked for.
    stopping: OnceLock<Stopping>,
    begun: Mutex<Begun>,
}

/// A check must not go on to a repair.
const MAY_NOT: u8 = 0;
/// A check may.
const MAY: u8 = 1;
/// A check has.
const DOES: u8 = 2;

/// What the engine knows about one operation.
pub(crate) struct Operation {
    /// Until it is over.
    of: Option<Arc<dyn Identify>>,
    /// The number of the resource in the engine.
    pub(crate) node: u32,
    pub(crate) services: Arc<Services>,
    /// A refresh is owed to it.
    pub(crate) refresh: bool,
    /// The fields that have received something else since an operation ended well, by number.
    pub(crate) changed: Vec<u8>,
    /// The only paths that a check must look at.
    pub(crate) paths: Option<Box<[PathBuf]>>,
    /// The journal holds that refreshes of others are owed if it changes.
    pub(crate) announced: bool,
    /// It will not be applied.
    pub(crate) noop: bool,
    /// It applied, but there was nothing to change.
    pub(crate) unchanged: AtomicBool,
    /// It applied because of an event.
    pub(crate) by_event: AtomicBool,
    /// It has done its work, and waits for the disk.
    pub(crate) yields: AtomicBool,
    cancelled: AtomicBool,
    /// Whether its check may go on to a repair, as one of `MAY_…`.
    stays: AtomicU8,
    extra: OnceLock<Box<Extra>>,
}

impl Operation {
    /// An operation of this resource.
    pub(crate) fn new(of: Arc<dyn Identify>, node: u32, services: Arc<Services>) -> Operation {
        Operation {
            of: Some(of),
            node,
            services,
            refresh: false,
            changed: Vec::new(),
            paths: None,
            announced: false,
            noop: false,
            unchanged: AtomicBool::new(false),
            by_event: AtomicBool::new(false),
            yields: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            stays: AtomicU8::new(MAY_NOT),
            extra: OnceLock::new(),
        }
    }

    /// The operation is over: it holds on to nothing. Whether it can be used for another one.
    pub(crate) fn end(&mut self) -> bool {
        (self.of, self.paths) = (None, None);
        self.extra.get().is_none()
    }

    /// The same memory for another operation of the same engine.
    pub(crate) fn again(&mut self, of: Arc<dyn Identify>, node: u32) {
        // Without `..`: no field is forgotten.
        let Operation {
            of: former,
            node: at,
            services: _,
            refresh,
            changed,
            paths,
            announced,
            noop,
            unchanged,
            by_event,
            yields,
            cancelled,
            stays,
            extra: _,
        } = self;
        (*former, *at) = (Some(of), node);
        (*refresh, *announced, *noop) = (false, false, false);
        *stays.get_mut() = MAY_NOT;
        changed.clear();
        *paths = None;
        for flag in [unchanged, by_event, yields, cancelled] {
            *flag.get_mut() = false;
        }
    }

    fn of(&self) -> &dyn Identify {
        self.of.as_deref().expect("nothing asks an operation that is over")
    }

    fn extra(&self) -> &Extra {
        self.extra.get_or_init(Box::default)
    }

    /// The identity of the resource.
    pub(crate) fn id(&self) -> ResourceId {
        self.of().id()
    }

    /// The kind of the resource.
    pub(crate) fn spec(&self) -> &'static KindSpec {
        self.of().kind()
    }

    /// Adds to what was sent.
    pub(crate) fn send(&self, sent: Sent) {
        lock(&self.extra().sent).push(sent);
    }

    /// Takes what was sent.
    pub(crate) fn take_sent(&self) -> Vec<Sent> {
        self.extra.get().map(|extra| std::mem::take(&mut *lock(&extra.sent))).unwrap_or_default()
    }

    pub(crate) fn stopping(&self) -> Stopping {
        let token = self.extra().stopping.get_or_init(Stopping::default).clone();
        // Made after the cancellation: it has missed it.
        if self.cancelled.load(Ordering::SeqCst) {
            token.stop();
        }
        token
    }

    /// What it wants done when it is cancelled, the last thing first; once.
    pub(crate) fn take_hooks(&self) -> Vec<Hook> {
        let hooks = self.extra.get().map(|extra| std::mem::take(&mut lock(&extra.begun).hooks));
        hooks.into_iter().flatten().rev().map(|(_, hook)| hook).collect()
    }

    /// The operation is cancelled: its token stops. After `take_hooks`, since what waits for the token may drop the
    /// guards.
    pub(crate) fn stop(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        if let Some(token) = self.extra.get().and_then(|extra| extra.stopping.get()) {
            token.stop();
        }
    }

    /// Its check may go on to a repair, or not.
    pub(crate) fn permit(&mut self, go_on: bool) {
        *self.stays.get_mut() = if go_on { MAY } else { MAY_NOT };
    }

    /// Its check must not go on to a repair any more. False if it has.
    pub(crate) fn withdraw(&self) -> bool {
        self.stays.compare_exchange(MAY, MAY_NOT, Ordering::SeqCst, Ordering::SeqCst) != Err(DOES)
    }

    /// Its check has found this: whether it continues with a repair.
    pub(crate) fn go_on(&self, found: &[Change]) -> bool {
        if self.cancelled.load(Ordering::SeqCst) || self.stays.load(Ordering::SeqCst) != MAY {
            return false;
        }
        // Before others learn of it.
        let is_first = self.extra().found.set(found.to_vec()).is_ok();
        is_first && self.stays.compare_exchange(MAY, DOES, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// What its check had found, if it has gone on to a repair.
    pub(crate) fn gone_on(&self) -> Option<&[Change]> {
        let has = self.stays.load(Ordering::SeqCst) == DOES;
        self.extra.get().filter(|_| has)?.found.get().map(Vec::as_slice)
    }

    /// Nothing that it has begun is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.extra.get().is_none_or(|extra| lock(&extra.begun).work.is_empty())
    }

    /// Returns when nothing that it has begun is under way.
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

    /// What is under way, in words.
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

/// Held by work that an operation has begun, such as a thread or a task: the operation has not ended before this is
/// dropped. See [`CheckCx::work`](crate::resource::CheckCx::work).
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

/// Something that must be done if the operation is cancelled; disarmed when this is dropped.
/// See [`CheckCx::on_cancel`](crate::resource::CheckCx::on_cancel).
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
        // What it holds is a kind's own, and may use the operation.
        drop(begun);
        drop(hook);
    }
}

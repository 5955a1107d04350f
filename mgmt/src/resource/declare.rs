//! Builders and handles: how a resource gets into a graph.

use std::time::Duration;

use crate::resource::any::AnyResource;
use crate::resource::meta::{Backoff, Meta};
use crate::resource::origin::Origin;
use crate::resource::output::{NodeRef, Wire};
use crate::resource::sema::Sema;

/// An edge that a builder asks for, before its resource is in the graph.
#[derive(Clone, Debug)]
pub struct DraftEdge {
    /// The other end.
    pub other: NodeRef,
    /// The other end comes first.
    pub other_first: bool,
    /// It refreshes.
    pub notify: bool,
    /// The line that asked for it.
    pub origin: Origin,
}

/// What a builder collects beside the resource's own fields.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The line that made it.
    pub origin: Origin,
    /// Its metaparameters.
    pub meta: Meta,
    /// Its edges.
    pub edges: Vec<DraftEdge>,
    /// What it receives, by the number of the field.
    pub wires: Vec<(u8, Wire)>,
}

impl Draft {
    /// An empty one, made by the line that called the function that calls this.
    #[track_caller]
    pub fn here() -> Draft {
        Draft { origin: Origin::here(), meta: Meta::default(), edges: Vec::new(), wires: Vec::new() }
    }

    /// The field receives from this wire, and from no other any more.
    pub fn wire(&mut self, field: u8, wire: Option<Wire>) {
        self.wires.retain(|(other, _)| *other != field);
        self.wires.extend(wire.map(|wire| (field, wire)));
    }

    #[track_caller]
    fn edge(&mut self, others: impl IntoNodes, other_first: bool, notify: bool) {
        let origin = Origin::here();
        others.each(&mut |other| self.edges.push(DraftEdge { other, other_first, notify, origin: origin.clone() }));
    }
}

/// A handle on a resource in a graph. Handles are copied freely; each kind has a type of its own, with its outputs as methods.
pub trait Handle: Copy {
    /// Which resource.
    fn node(&self) -> NodeRef;
}

/// No resource, one or several: `&a`, `[&a, &b]`, `(&a, &b)`, a slice, a `Vec`, `Some(&a)` or `None`. A list of handles
/// of different kinds is one of nodes: `vec![a.node(), b.node()]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name resources of the graph",
    label = "give a handle, as `&handle`",
    note = "`graph.add(…)` returns the handle of what it adds; several go as `(&a, &b)` or, if of one kind, `[&a, &b]` or `&handles`"
)]
pub trait IntoNodes {
    /// Calls `each` with every one.
    fn each(self, each: &mut dyn FnMut(NodeRef));
}

#[diagnostic::do_not_recommend]
impl Handle for NodeRef {
    fn node(&self) -> NodeRef {
        *self
    }
}

impl<N: IntoNodes> IntoNodes for Option<N> {
    fn each(self, each: &mut dyn FnMut(NodeRef)) {
        self.into_iter().for_each(|nodes| nodes.each(each));
    }
}

impl<H: Handle> IntoNodes for &H {
    fn each(self, each: &mut dyn FnMut(NodeRef)) {
        each(self.node());
    }
}

impl<H: Handle, const N: usize> IntoNodes for [&H; N] {
    fn each(self, each: &mut dyn FnMut(NodeRef)) {
        self.iter().for_each(|handle| each(handle.node()));
    }
}

impl<H: Handle, const N: usize> IntoNodes for &[H; N] {
    fn each(self, each: &mut dyn FnMut(NodeRef)) {
        self.as_slice().each(each);
    }
}

impl<H: Handle> IntoNodes for &[H] {
    fn each(self, each: &mut dyn FnMut(NodeRef)) {
        self.iter().for_each(|handle| each(handle.node()));
    }
}

impl<H: Handle> IntoNodes for &Vec<H> {
    fn each(self, each: &mut dyn FnMut(NodeRef)) {
        self.as_slice().each(each);
    }
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: IntoNodes),+> IntoNodes for ($($name,)+) {
            fn each(self, each: &mut dyn FnMut(NodeRef)) {
                #[expect(non_snake_case, reason = "a type parameter's name serves for its value too")]
                let ($($name,)+) = self;
                $($name.each(each);)+
            }
        }
    };
}
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);

/// A resource in the making: the kind's setters, and here what all kinds have in common. `Graph::add` takes it.
#[diagnostic::on_unimplemented(
    message = "a `{Self}` can't be added to a graph",
    label = "this is no resource in the making",
    note = "write `Kind::new(…)`, for example `g.add(Noop::new(\"anchor\"))`"
)]
pub trait Declare: Sized {
    /// Its kind.
    type Resource: AnyResource;
    /// What `Graph::add` returns.
    type Handle: Handle;

    /// What it collects beside its own fields.
    #[doc(hidden)]
    fn draft(&mut self) -> &mut Draft;
    /// The resource.
    #[doc(hidden)]
    fn finish(self) -> (Self::Resource, Draft);
    /// A handle on it.
    #[doc(hidden)]
    fn handle(node: NodeRef) -> Self::Handle;

    /// Waits until the others are settled.
    #[must_use]
    #[track_caller]
    fn after(mut self, others: impl IntoNodes) -> Self {
        self.draft().edge(others, true, false);
        self
    }

    /// The others wait until this is settled.
    #[must_use]
    #[track_caller]
    fn before(mut self, others: impl IntoNodes) -> Self {
        self.draft().edge(others, false, false);
        self
    }

    /// Waits until the others are settled, and is refreshed when one of them changed.
    #[must_use]
    #[track_caller]
    fn subscribe(mut self, others: impl IntoNodes) -> Self {
        self.draft().edge(others, true, true);
        self
    }

    /// The others wait until this is settled, and are refreshed when this changed.
    #[must_use]
    #[track_caller]
    fn notify(mut self, others: impl IntoNodes) -> Self {
        self.draft().edge(others, false, true);
        self
    }

    /// Checked, never applied. Default: it is applied.
    #[must_use]
    fn noop(mut self, noop: bool) -> Self {
        self.draft().meta.noop = noop;
        self
    }

    /// How many more tries after the first failure; -1: no end. Default: 0. The watch has as many of its own, and has them again once it has listened for
    /// ten seconds.
    #[must_use]
    fn retry(mut self, tries: i32) -> Self {
        self.draft().meta.retry = tries;
        self
    }

    /// Pause before each further try. Default: none.
    #[must_use]
    fn delay(mut self, delay: Duration) -> Self {
        self.draft().meta.delay = delay;
        self
    }

    /// The pause doubles with each failure in a row, up to `max`, and is spread over its upper half. Default: it is always the same.
    #[must_use]
    fn backoff(mut self, max: Duration) -> Self {
        self.draft().meta.backoff = Backoff::Exponential { max };
        self
    }

    /// Whether what its kind watches is listened to; without that it is checked at the start, as its edges ask, and as
    /// `poll` does. Default: yes.
    #[must_use]
    fn watch(mut self, watch: bool) -> Self {
        self.draft().meta.watch = watch;
        self
    }

    /// Checked every so often, besides what its watch reports. At least a millisecond. Default: never.
    #[must_use]
    fn poll(mut self, interval: Duration) -> Self {
        self.draft().meta.poll = Some(interval);
        self
    }

    /// Highest rate of checks caused by its watch, per second. Default: no limit.
    #[must_use]
    fn limit(mut self, per_second: f64) -> Self {
        self.draft().meta.limit = Some(per_second);
        self
    }

    /// How many such checks may come at once before `limit` bites. Default: 1.
    #[must_use]
    fn burst(mut self, checks: u32) -> Self {
        self.draft().meta.burst = checks;
        self
    }

    /// A check or an apply that takes longer is cancelled and counts as failed. Default: it may take as long as it likes. (A kind with a `timeout` of its
    /// own, as `exec`, has that setter in its place; this one is then `Declare::timeout(resource, …)`.)
    #[must_use]
    fn timeout(mut self, timeout: Duration) -> Self {
        self.draft().meta.timeout = Some(timeout);
        self
    }

    /// Holds a semaphore while it is checked or applied: `name`, or `name:size` with how many may hold it at once (1 unless given). May be given several
    /// times. Default: none.
    #[must_use]
    fn sema(mut self, sema: impl Into<Sema>) -> Self {
        self.draft().meta.sema.push(sema.into());
        self
    }

    /// Whether edges to and from it may be found by the engine. Default: yes.
    #[must_use]
    fn autoedge(mut self, autoedge: bool) -> Self {
        self.draft().meta.autoedge = autoedge;
        self
    }

    /// Whether it may be merged with others of its kind. Default: yes.
    #[must_use]
    fn autogroup(mut self, autogroup: bool) -> Self {
        self.draft().meta.autogroup = autogroup;
        self
    }

    /// Any new graph revives it if it has failed for good. Default: only one that changes it.
    #[must_use]
    fn rewatch(mut self, rewatch: bool) -> Self {
        self.draft().meta.rewatch = rewatch;
        self
    }

    /// All metaparameters at once.
    #[must_use]
    fn meta(mut self, meta: Meta) -> Self {
        self.draft().meta = meta;
        self
    }
}

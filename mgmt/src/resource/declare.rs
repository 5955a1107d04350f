//! Builders and handles: a builder adds a resource to a graph, and a handle refers to it.

use std::time::Duration;

use crate::resource::any::AnyResource;
use crate::resource::converge::Resource;
use crate::resource::meta::{Backoff, Meta};
use crate::resource::origin::Origin;
use crate::resource::output::{NodeRef, Wire};
use crate::resource::sema::Sema;

/// An edge that a builder asks for, before its resource is in the graph.
#[derive(Clone, Debug)]
pub struct DraftEdge {
    /// The resource at the other end.
    pub other: NodeRef,
    /// Whether the other resource comes first.
    pub other_first: bool,
    /// Whether a change of the first resource refreshes the second.
    pub notify: bool,
    /// The line of the program that asked for the edge.
    pub origin: Origin,
}

/// What a builder collects besides the resource's own fields.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The line of the program that declared the resource.
    pub origin: Origin,
    /// The metaparameters of the resource.
    pub meta: Meta,
    /// The edges of the resource.
    pub edges: Vec<DraftEdge>,
    /// The wires to fields that receive, each with the index of its field.
    pub wires: Vec<(u8, Wire)>,
}

impl Draft {
    /// An empty draft, whose origin is the line that called the caller.
    #[track_caller]
    pub fn here() -> Draft {
        Draft { origin: Origin::here(), meta: Meta::default(), edges: Vec::new(), wires: Vec::new() }
    }

    /// Connects the field to this wire, which replaces an earlier one; `None` disconnects it.
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

/// A handle of a resource in a graph. Handles can be copied; each kind has its own handle type, with its outputs as
/// methods.
pub trait Handle: Copy {
    /// The resource that the handle stands for.
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
    /// Calls `each` with every resource.
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

/// A kind with a builder: what the derive makes of every one.
#[doc(hidden)]
pub trait Rebuild: Resource {
    /// The builder.
    type Builder: Declare<Resource = Self>;
    /// A builder that has the fields of this resource.
    fn rebuild(self) -> Self::Builder;
}

/// A resource under construction: the setters of its kind are on its builder, those that all kinds have are here.
/// `Graph::add` takes it.
#[diagnostic::on_unimplemented(
    message = "a `{Self}` can't be added to a graph",
    label = "this is no resource in the making",
    note = "write `Kind::new(…)`, for example `g.add(Noop::new(\"anchor\"))`"
)]
pub trait Declare: Sized {
    /// The type of the resource.
    type Resource: AnyResource;
    /// The type of the handle that `Graph::add` returns.
    type Handle: Handle;

    /// What the builder has collected besides the resource's fields.
    #[doc(hidden)]
    fn draft(&mut self) -> &mut Draft;
    /// The finished resource, and what was collected besides its fields.
    #[doc(hidden)]
    fn finish(self) -> (Self::Resource, Draft);
    /// The handle of the resource.
    #[doc(hidden)]
    fn handle(node: NodeRef) -> Self::Handle;

    /// Waits until the others are settled.
    #[must_use]
    #[track_caller]
    fn after(mut self, others: impl IntoNodes) -> Self {
        self.draft().edge(others, true, false);
        self
    }

    /// The others wait until this resource is settled.
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

    /// The others wait until this resource is settled, and are refreshed when it has changed.
    #[must_use]
    #[track_caller]
    fn notify(mut self, others: impl IntoNodes) -> Self {
        self.draft().edge(others, false, true);
        self
    }

    /// Whether the resource is only checked, never applied. Default: false.
    #[must_use]
    fn noop(mut self, noop: bool) -> Self {
        self.draft().meta.noop = noop;
        self
    }

    /// Whether the resource is only checked and its drift is an alert: see [`Meta::alert`]. Default: false.
    #[must_use]
    fn alert(mut self, alert: bool) -> Self {
        self.draft().meta.alert = alert;
        self
    }

    /// Fields that are neither compared nor repaired, in addition to earlier ones: see [`Meta::ignore`].
    ///
    /// ```
    /// # use mgmt::prelude::*;
    /// // Someone else decides who may read it.
    /// let app = File::new("/etc/app.conf").content("x = 1\n").mode(0o600).ignore(["mode"]);
    /// # drop(app);
    /// ```
    #[must_use]
    fn ignore<T: Into<String>>(mut self, fields: impl IntoIterator<Item = T>) -> Self {
        self.draft().meta.ignore.extend(fields.into_iter().map(Into::into));
        self
    }

    /// How long the resource must have been in sync and quiet before the graph counts as converged: see
    /// [`Meta::converged_timeout`]. Default: no time of its own.
    #[must_use]
    fn converged_timeout(mut self, timeout: Duration) -> Self {
        self.draft().meta.converged_timeout = Some(timeout);
        self
    }

    /// How many more tries follow the first failure; -1: no limit. Default: 0. The watch has the same number of tries
    /// of its own, and regains all of them after it has listened for ten seconds.
    #[must_use]
    fn retry(mut self, tries: i32) -> Self {
        self.draft().meta.retry = tries;
        self
    }

    /// The pause before each further try. Default: none.
    #[must_use]
    fn delay(mut self, delay: Duration) -> Self {
        self.draft().meta.delay = delay;
        self
    }

    /// Doubles the pause with each failure in a row, up to `max`; each pause is a random time in the upper half of
    /// that. Default: the pause stays the same.
    #[must_use]
    fn backoff(mut self, max: Duration) -> Self {
        self.draft().meta.backoff = Backoff::Exponential { max };
        self
    }

    /// Whether the engine listens to what the kind watches. If not, the resource is checked at the start, when an edge
    /// requires it, and at the `poll` interval. Default: true.
    #[must_use]
    fn watch(mut self, watch: bool) -> Self {
        self.draft().meta.watch = watch;
        self
    }

    /// Checks the resource at this interval, in addition to its watch. At least 1 ms: a graph with a shorter interval
    /// is refused. Default: never.
    #[must_use]
    fn poll(mut self, interval: Duration) -> Self {
        self.draft().meta.poll = Some(interval);
        self
    }

    /// The highest rate of checks that the watch causes, per second; more than 0. Default: no limit.
    #[must_use]
    fn limit(mut self, per_second: f64) -> Self {
        self.draft().meta.limit = Some(per_second);
        self
    }

    /// The most such checks that may follow each other immediately before `limit` applies. At least 1. Default: 1.
    #[must_use]
    fn burst(mut self, checks: u32) -> Self {
        self.draft().meta.burst = checks;
        self
    }

    /// The longest time for a check or an apply: a longer one is cancelled and has failed. A graph with a timeout of 0
    /// is refused. Default: no limit. If a kind has a `timeout` field, such as `exec`, the builder's method sets that;
    /// this method is then called as `Declare::timeout(resource, …)`.
    #[must_use]
    fn timeout(mut self, timeout: Duration) -> Self {
        self.draft().meta.timeout = Some(timeout);
        self
    }

    /// A semaphore to hold during each check and apply: `name`, or `name:size`, where at most `size` resources (default
    /// 1) hold it at once. May be called several times. Default: none.
    #[must_use]
    fn sema(mut self, sema: impl Into<Sema>) -> Self {
        self.draft().meta.sema.push(sema.into());
        self
    }

    /// Whether passes may add edges to and from the resource. Default: true.
    #[must_use]
    fn autoedge(mut self, autoedge: bool) -> Self {
        self.draft().meta.autoedge = autoedge;
        self
    }

    /// Whether the resource may be grouped with others of its kind. Default: true.
    #[must_use]
    fn autogroup(mut self, autogroup: bool) -> Self {
        self.draft().meta.autogroup = autogroup;
        self
    }

    /// Whether what the resource changed is undone when it has left the graph: see [`Meta::reverse`]. Default: false.
    ///
    /// ```
    /// # use mgmt::prelude::*;
    /// // Without this line, the file is again as it was before.
    /// let motd = File::new("/etc/motd").content("maintenance at noon\n").reverse(true);
    /// # drop(motd);
    /// ```
    #[must_use]
    fn reverse(mut self, reverse: bool) -> Self {
        self.draft().meta.reverse = reverse;
        self
    }

    /// Whether any new graph gives a resource that has failed for good its tries back. Default: only a graph that
    /// changes the resource does.
    #[must_use]
    fn rewatch(mut self, rewatch: bool) -> Self {
        self.draft().meta.rewatch = rewatch;
        self
    }

    /// Whether the resource is in the graph and is not run, see [`Meta::hidden`]. Default: false.
    ///
    /// ```
    /// # use mgmt::prelude::*;
    /// # let mut g = Graph::new("site");
    /// let is_laptop = true;
    /// g.add(File::new("/etc/cron.d/backup").content("@daily root /usr/local/bin/backup\n").hidden(is_laptop));
    /// ```
    #[must_use]
    fn hidden(mut self, hidden: bool) -> Self {
        self.draft().meta.hidden = hidden;
        self
    }

    /// Whether every new graph gives the resource all its tries back, also if it leaves the resource as it is. Default:
    /// only a graph that changes the resource does. `timer` has a field of the same name: there,
    /// `Declare::reset(timer, true)` sets the metaparameter.
    #[must_use]
    fn reset(mut self, reset: bool) -> Self {
        self.draft().meta.reset = reset;
        self
    }

    /// Sets all metaparameters at once.
    #[must_use]
    fn meta(mut self, meta: Meta) -> Self {
        self.draft().meta = meta;
        self
    }
}

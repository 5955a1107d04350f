//! Asks resources what they watch: in the loop if their kind declares that this returns at once, otherwise on a thread
//! that may block.

use std::sync::Arc;

use crate::id::Node;
use crate::resource::{AnyResource, Inline, Watch, WatchCx};
use crate::runtime::core::Core;
use crate::runtime::lane::Stayed;
use crate::runtime::operate::Answer;
use crate::runtime::span::span;
use crate::runtime::watches::Notice;

impl Core {
    /// Begins the watch of a resource.
    pub(super) fn watch(&mut self, node: Node) {
        let Some(vertex) = self.running.vertex(node) else { return };
        let base = &vertex.resource;
        let Some(resource) = self.slots.current(node, base) else {
            // What the resource watches follows from values that are still to come: the watch begins with them.
            return self.begin_watch(node, None, Watch::none());
        };
        if let Some(watch) = self.ask_watch(node, &resource) {
            self.begin_watch(node, Some(&resource), watch);
        }
    }

    /// What a resource watches; `None` if the answer will come later.
    fn ask_watch(&mut self, node: Node, resource: &Arc<dyn AnyResource>) -> Option<Watch> {
        let cx = WatchCx::new(self.operation(node, Arc::clone(resource), |_| ()));
        let (asked, span) = (self.clock.now(), span("watch", &**resource));
        if resource.spec().inline == Inline::Nothing {
            let (number, resource) = (self.watches.ask(&mut self.slots, node), Arc::clone(resource));
            self.lane.push(Box::new(move || {
                let watch = span.in_scope(|| resource.watch(&cx));
                Stayed::Ended(Some(Answer::Watch { node, number, resource, watch }))
            }));
            return None;
        }
        let watch = span.in_scope(|| resource.watch(&cx));
        self.name_if_it_held_the_loop(&**resource, "`watch`", self.clock.now().since(asked));
        Some(watch)
    }

    /// The answer to what a resource watches has come.
    pub(super) fn watch_answered(&mut self, node: Node, number: u64, resource: &Arc<dyn AnyResource>, watch: Watch) {
        if !self.watches.is_answer(&mut self.slots, node, number) {
            return;
        }
        if !self.watches.is_same(&self.slots, node, &watch) {
            self.begin_watch(node, Some(resource), watch);
        } else if !self.slots.is_watch_starting(node) {
            self.notice(Notice::Ready(node));
        }
    }

    fn begin_watch(&mut self, node: Node, resource: Option<&Arc<dyn AnyResource>>, watch: Watch) {
        self.start_watch(node, resource, watch).into_iter().for_each(|notice| self.notice(notice));
    }

    fn start_watch(&mut self, node: Node, resource: Option<&Arc<dyn AnyResource>>, watch: Watch) -> Vec<Notice> {
        let (mut notices, now) = (Vec::new(), self.clock.now());
        let span = resource.map_or_else(tracing::Span::none, |resource| span("watch", &**resource));
        span.in_scope(|| self.watches.start(&mut self.slots, node, watch, now, &mut notices));
        notices
    }

    /// The resource in a slot is another than when its watch began. A resource that receives values is asked once they
    /// are set, before its next check.
    pub(super) fn rewatch(&mut self, node: Node) {
        let Some(vertex) = self.running.vertex(node) else { return };
        let resource = Arc::clone(&vertex.resource);
        if vertex.is_watched() && self.slots.is_watching(node) && !self.slots.receives(node) {
            self.rewatch_as(node, &resource);
        }
    }

    /// Begins the watch again for a resource with what it received. No change is missed: it is checked once the new
    /// watch listens.
    pub(crate) fn rewatch_as(&mut self, node: Node, resource: &Arc<dyn AnyResource>) {
        let Some(watch) = self.ask_watch(node, resource) else { return };
        if self.watches.is_same(&self.slots, node, &watch) {
            return;
        }
        let notices = self.start_watch(node, Some(resource), watch);
        // The coming check sees what was changed before the watch listens.
        let failures = notices.into_iter().filter(|notice| matches!(notice, Notice::Failed(..)));
        failures.for_each(|notice| self.notice(notice));
    }
}

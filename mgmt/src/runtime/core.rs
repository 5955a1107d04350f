//! Hands: carries out what the scheduler decides, and tells it how it went. Decides nothing itself.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, watch};

use crate::graph::{GraphConfig, Index};
use crate::id::{Node, ResourceId, Ticket, Time};
use crate::resource::{AnyDrift, AnyResource, Change, Operation, Services, WatchCx};
use crate::runtime::event::{Event, EventKind};
use crate::runtime::measure::Table;
use crate::runtime::operate::{Done, RunningOp};
use crate::runtime::running::Running;
use crate::runtime::span::span;
use crate::runtime::store::Store;
use crate::runtime::values::Values;
use crate::runtime::watches::{Seen, Watches};
use crate::scheduler::{Command, Input, JournalOp, Op, Scheduler, Swap};
use crate::sys::clock::Clock;

/// From so many resources on a graph is let go of on another thread, so that the loop goes on meanwhile.
const LARGE: usize = 1000;

fn let_go(old: GraphConfig) {
    if old.vertices.len() < LARGE {
        drop(old);
    } else {
        drop(tokio::task::spawn_blocking(|| drop(old)));
    }
}

/// What the check of a resource found last.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) changes: Vec<Change>,
    /// Until apply takes it.
    pub(crate) drift: Option<AnyDrift>,
    /// When that check began.
    pub(crate) began: Time,
    /// The resource that was checked.
    pub(crate) resource: Arc<dyn AnyResource>,
}

/// The state of an engine, owned by its loop.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) scheduler: Scheduler,
    pub(crate) clock: Clock,
    pub(crate) services: Arc<Services>,
    pub(crate) store: Arc<Store>,
    pub(crate) running: Running,
    pub(crate) values: Values,
    pub(crate) watches: Watches,
    pub(crate) found: HashMap<u32, Found>,
    pub(crate) errors: HashMap<u32, String>,
    /// The same of watches: an operation that ends well takes nothing of it back.
    pub(crate) watch_errors: HashMap<u32, String>,
    pub(crate) ops: HashMap<u32, RunningOp>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) converged: watch::Sender<bool>,
    pub(crate) done: mpsc::UnboundedSender<Done>,
    pub(crate) committed: mpsc::UnboundedSender<(Ticket, Result<(), String>)>,
    /// How often operations of a kind kept their thread for long.
    pub(crate) slow: HashMap<&'static str, u32>,
    /// Checks that begin when the watch, which was begun anew for what they check, listens.
    pub(crate) held: HashMap<u32, (Op, Arc<dyn AnyResource>)>,
    /// How often in a row a resource has said that the world is just changing.
    pub(crate) outdated: HashMap<u32, usize>,
    /// What is measured, if somebody wants to know.
    pub(crate) measured: Option<Box<Table>>,
    pub(crate) stopped: bool,
}

impl Core {
    pub(crate) fn handle(&mut self, input: Input) {
        self.scheduler.handle(self.clock.now(), input);
    }

    /// Carries out commands until there are none left, or `budget` of them. Whether some are left.
    pub(crate) fn pump(&mut self, budget: usize) -> bool {
        for _ in 0..budget {
            match self.scheduler.poll() {
                Some(command) => self.carry_out(command),
                None => return false,
            }
        }
        true
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Check(op) => self.check(op),
            Command::Apply { op, refresh } => self.apply(op, refresh),
            Command::Refresh(op) => self.refresh(op),
            Command::Watch(node) => self.watch(node),
            Command::Unwatch(node) => self.watches.stop(node),
            Command::Cancel(op) => self.cancel(op),
            Command::Journal { ticket, ops } => self.journal(ticket, &ops),
            Command::Removed(node) => self.removed(node),
            Command::Event(event) => self.tell(event),
            Command::Stopped => {
                self.stopped = true;
                self.emit(EventKind::Stopped);
            }
        }
    }

    /// Puts a valid graph in force.
    pub(crate) fn swap(&mut self, config: GraphConfig, index: Index) {
        if let Some(table) = &mut self.measured {
            table.graphs += 1;
        }
        let (swap, changed) = self.place(config, index);
        self.handle(Input::Swap(swap));
        for node in changed {
            self.rewatch(node);
        }
    }

    /// Puts a valid graph in the place of the old one; the scheduler has yet to be told.
    pub(crate) fn place(&mut self, config: GraphConfig, index: Index) -> (Swap, Vec<Node>) {
        let (values, store, owned) = (&self.values, &self.store, Arc::clone(index.owned()));
        let difference =
            self.running.replace(config, index, &|node, links| values.rewired(node, links), &|from, to| {
                store.is_owed(from, to)
            });
        self.values.rewire(difference.links, &difference.changed, &difference.removed);
        let_go(difference.old);
        *self.services.owned.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = owned;
        (difference.swap, difference.changed)
    }

    /// The operation of a resource, before it has begun.
    pub(crate) fn operation(&self, node: Node, resource: Arc<dyn AnyResource>) -> Operation {
        let noop = self.running.vertex(node).is_some_and(|vertex| vertex.meta.as_ref().is_some_and(|meta| meta.noop));
        let mut operation = Operation::new(resource, node.0, Arc::clone(&self.services));
        operation.noop = noop;
        operation
    }

    fn watch(&mut self, node: Node) {
        let Some(vertex) = self.running.vertex(node) else { return };
        let resource = Arc::clone(&vertex.resource);
        let cx = WatchCx::new(Arc::new(self.operation(node, Arc::clone(&resource))));
        let mut seen = Vec::new();
        span("watch", &*resource).in_scope(|| {
            self.watches.start(node, resource.watch(&cx), self.clock.now(), &mut seen);
        });
        seen.into_iter().for_each(|seen| self.seen(seen));
    }

    /// The resource in a slot is another than when its watch began.
    fn rewatch(&mut self, node: Node) {
        let Some(vertex) = self.running.vertex(node) else { return };
        let resource = Arc::clone(&vertex.resource);
        if resource.spec().watched && self.watches.is_watching(node) {
            self.rewatch_as(node, &resource);
        }
    }

    /// The same for a resource with what it received. Nothing is missed: it is checked once the new watch listens.
    pub(crate) fn rewatch_as(&mut self, node: Node, resource: &Arc<dyn AnyResource>) {
        let cx = WatchCx::new(Arc::new(self.operation(node, Arc::clone(resource))));
        let span = span("watch", &**resource);
        let watch = span.in_scope(|| resource.watch(&cx));
        if self.watches.is_same(node, &watch) {
            return;
        }
        let mut seen = Vec::new();
        span.in_scope(|| self.watches.start(node, watch, self.clock.now(), &mut seen));
        for seen in seen {
            if let Seen::Failed(..) = seen {
                self.seen(seen);
            }
        }
    }

    pub(crate) fn commit_ended(&mut self, ticket: Ticket, result: Result<(), String>) {
        match result {
            Ok(()) => self.handle(Input::Committed(ticket)),
            Err(problem) => {
                self.warn(format!("the journal can't be written: {problem}"));
                self.handle(Input::CommitFailed(ticket));
            }
        }
    }

    /// What the watches saw at once.
    pub(crate) fn seen_together(&mut self, all: Vec<Seen>) {
        let mut changed = Vec::new();
        for seen in all {
            match seen {
                Seen::Changed(node) => changed.push(node),
                other => self.seen(other),
            }
        }
        if !changed.is_empty() {
            self.handle(Input::ChangedTogether(changed));
        }
    }

    pub(crate) fn seen(&mut self, seen: Seen) {
        match seen {
            Seen::Ready(node) => match self.held.remove(&node.0) {
                // It sees whatever was changed before.
                Some((op, resource)) => self.check_now(op, resource),
                None => {
                    self.watch_errors.remove(&node.0);
                    self.handle(Input::WatchReady(node));
                }
            },
            Seen::Changed(node) => self.handle(Input::Changed(node)),
            Seen::Failed(node, error) => {
                if let (Some(table), Some(vertex)) = (&mut self.measured, self.running.vertex(node)) {
                    table.watch_failed(vertex.resource.spec().kind);
                }
                self.watch_errors.insert(node.0, error);
                self.handle(Input::WatchFailed(node));
            }
            Seen::Warning(message) => self.warn(message),
        }
    }

    pub(crate) fn tick(&mut self) {
        let mut seen = Vec::new();
        self.watches.tick(self.clock.now(), &mut seen);
        seen.into_iter().for_each(|seen| self.seen(seen));
        self.handle(Input::Tick);
    }

    /// When something is to be done though nothing happens.
    pub(crate) fn next_timeout(&self) -> Option<Time> {
        match (self.scheduler.next_timeout(), self.watches.next_timeout()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// A new graph was refused.
    pub(crate) fn rejected(&mut self, problems: String) {
        if let Some(table) = &mut self.measured {
            table.rejected += 1;
        }
        self.emit(EventKind::Rejected { problems });
    }

    fn journal(&mut self, ticket: Option<Ticket>, ops: &[JournalOp]) {
        let running = &self.running;
        let id = |node: Node| -> ResourceId { running.id(node) };
        self.store.journal(ops, &id, ticket, &self.committed);
    }

    fn removed(&mut self, node: Node) {
        self.services.local.clear(node.0);
        self.found.remove(&node.0);
        self.errors.remove(&node.0);
        self.watch_errors.remove(&node.0);
        self.outdated.remove(&node.0);
        self.values.vacate(node);
        self.running.release(node);
    }

    pub(crate) fn warn(&self, message: String) {
        tracing::warn!(target: "mgmt", "{message}");
        self.emit(EventKind::Warning { message });
    }

    pub(crate) fn emit(&self, kind: EventKind) {
        if self.events.receiver_count() > 0 {
            let at = self.clock.now().since(Time(0));
            // Only fails if the last reader left just now.
            let _ = self.events.send(Event { at, kind });
        }
    }

    /// What an operation was, if it is still the one under way.
    pub(crate) fn is_current(&self, op: Op) -> bool {
        self.ops.get(&op.node.0).is_some_and(|running| running.op == op)
    }
}

//! The state of an engine: carries out what the scheduler decides, and reports the results. Decides nothing itself.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::graph::{Exchanged, Prepared};
use crate::id::{Node, ResourceId, Ticket, Time};
use crate::journal::{Aside, CommitError};
use crate::resource::{AnyResource, Operation, Services};
use crate::runtime::culprits::Culprits;
use crate::runtime::departed::Departed;
use crate::runtime::event::{Event, EventKind};
use crate::runtime::exchange::InForce;
use crate::runtime::history::History;
use crate::runtime::lane::Lane;
use crate::runtime::many::Calls;
use crate::runtime::measure::Table;
use crate::runtime::operate::Answer;
use crate::runtime::outlet::Outlet;
use crate::runtime::outlook::Outlook;
use crate::runtime::overflow::Overflows;
use crate::runtime::owned::Owned;
use crate::runtime::running::Running;
use crate::runtime::slot::SlotTable;
use crate::runtime::slowness::Slowness;
use crate::runtime::store::Store;
use crate::runtime::values::Wiring;
use crate::runtime::watches::{Notice, Watches};
use crate::scheduler::{Command, GoOn, Input, JournalOp, Op, Scheduler, Swap};
use crate::sys::clock::Clock;
use crate::sys::threads::in_background;

/// Graphs with at least this many resources are dropped on another thread, so that freeing them does not stall the
/// loop.
const LARGE: usize = 1000;

fn drop_graph(old: Prepared) {
    if old.config().vertices.len() < LARGE {
        drop(old);
    } else {
        in_background(|| drop(old));
    }
}

/// The state of an engine, owned by its loop.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) scheduler: Scheduler,
    pub(crate) clock: Clock,
    pub(crate) services: Arc<Services>,
    pub(crate) store: Arc<Store>,
    pub(crate) running: Running,
    /// What is known of each node.
    pub(crate) slots: SlotTable,
    pub(crate) watches: Watches,
    pub(crate) owned: Owned,
    pub(crate) overflows: Overflows,
    pub(crate) events: Arc<Outlet>,
    /// The last events, if clients can ask for them.
    pub(crate) history: Option<RefCell<History>>,
    pub(crate) converged: watch::Sender<bool>,
    pub(crate) outlook: Outlook,
    /// The part of the graph in force that has to do with other hosts.
    pub(crate) in_force: watch::Sender<InForce>,
    pub(crate) answers: mpsc::UnboundedSender<Answer>,
    /// How long what a cancelled operation has begun may take to end.
    pub(crate) grace: Duration,
    pub(crate) committed: mpsc::UnboundedSender<(Ticket, Result<(), CommitError>)>,
    /// Kinds whose operations keep their threads for long.
    pub(crate) slowness: Slowness,
    /// The time at which the previous operation ended, if nothing that may take long has been done since: reading a
    /// clock costs as much as checking a noop.
    pub(crate) recent: Option<Time>,
    /// Where operations of kinds that are not inline are polled.
    pub(crate) lane: Lane,
    /// The measures, if `Builder::measure` is on.
    pub(crate) measured: Option<Box<Table>>,
    /// How many operations have begun.
    pub(crate) begun: u64,
    /// An operation that has ended, kept for the next one.
    pub(crate) spare: Option<Arc<Operation>>,
    /// Operations that begin together.
    pub(crate) calls: Calls,
    pub(crate) departed: Departed,
    pub(crate) culprits: Culprits,
    /// Nodes whose watches have just begun to listen to what they wait for.
    pub(crate) unattended: Vec<Node>,
    /// Why the journal cannot be written; `None` after a commit that succeeded.
    pub(crate) journal_problem: Option<String>,
    pub(crate) stopped: bool,
    /// The exit code with which a resource has requested the end of the program.
    pub(crate) exit_code: watch::Sender<Option<u8>>,
    /// Requests that wait until no operation is under way.
    pub(crate) idle_wanted: Vec<oneshot::Sender<()>>,
}

impl Core {
    pub(crate) fn handle(&mut self, input: Input) {
        let now = self.now();
        self.scheduler.handle(now, input);
    }

    /// The current time, or that of a moment ago.
    pub(super) fn now(&self) -> Time {
        self.recent.unwrap_or_else(|| self.clock.now())
    }

    /// Carries out commands until there are none left, or `budget` of them. Returns whether some are left.
    pub(crate) fn pump(&mut self, budget: usize) -> bool {
        let mut more = true;
        for _ in 0..budget {
            match self.scheduler.poll() {
                Some(command) => {
                    if !matches!(command, Command::Check { .. } | Command::Event(_)) {
                        self.recent = None;
                    }
                    self.carry_out(command);
                }
                None => {
                    more = false;
                    break;
                }
            }
        }
        self.recent = None;
        // It holds the resource of the operation that it was.
        self.spare = None;
        self.begin_calls(more);
        self.services.fs.note_begun(self.begun);
        self.lane.begin(self.clock.now());
        self.events.announce();
        more
    }

    /// Answers the requests that wait until no operation is under way.
    pub(crate) fn reply_if_idle(&mut self) {
        if !self.idle_wanted.is_empty() && self.scheduler.running() == 0 {
            for reply in self.idle_wanted.drain(..) {
                // The one that asked may have been dropped.
                let _ = reply.send(());
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Check { op, causes, go_on } => self.check(op, causes, go_on),
            Command::Withdraw { op, cancel } => self.withdraw(op, cancel),
            Command::Apply { op, causes, refresh, announced } => self.apply(op, causes, refresh, announced),
            Command::Refresh { op, causes } => self.refresh(op, causes),
            Command::Watch(node) => self.watch(node),
            Command::Leave(op) => self.leave(op),
            Command::Undo(op) => self.undo(op),
            Command::Unwatch(node) => self.watches.stop(&mut self.slots, node),
            Command::Cancel(op) => self.cancel(op),
            Command::Journal { ticket, ops } => self.journal(ticket, &ops),
            Command::Look(look) => {
                let notices = self.watches.take();
                self.notice_all(notices);
                self.handle(Input::Looked(look));
            }
            Command::Removed(node) => self.removed(node),
            Command::Event(event) => self.publish(event),
            Command::Stopped => {
                self.stopped = true;
                self.emit(EventKind::Stopped);
            }
        }
    }

    /// Puts a graph in force.
    pub(crate) fn swap(&mut self, prepared: Prepared) {
        if let Some(table) = &mut self.measured {
            table.graphs += 1;
        }
        for warning in prepared.warnings() {
            self.warn(warning.to_string());
        }
        let is_held = self.finish_commands();
        let (swap, changed) = self.place(prepared);
        self.store.welcome(|id| self.running.contains(id));
        self.handle(Input::Swap(swap));
        self.free_refused();
        if is_held {
            self.handle(Input::Resume);
        }
        for node in changed {
            self.rewatch(node);
        }
        self.services.graphs.note();
    }

    /// Whether the graph in force is the one that was made by this exchange.
    pub(crate) fn has_in_force(&self, exchanged: &Arc<Exchanged>) -> bool {
        self.in_force.borrow().as_ref().is_some_and(|in_force| Arc::ptr_eq(in_force, exchanged))
    }

    /// Carries out what was decided for the graph in force: a command carried out after a swap would find the resources
    /// of the next graph, and their successors would not wait for it. Nothing else begins meanwhile: otherwise tries
    /// without a pause could follow one another forever. Returns whether the scheduler must be resumed.
    fn finish_commands(&mut self) -> bool {
        let Some(command) = self.scheduler.poll() else { return false };
        let is_held = !self.scheduler.is_paused();
        if is_held {
            self.handle(Input::Pause);
        }
        self.carry_out(command);
        self.pump(usize::MAX);
        is_held
    }

    /// Replaces the graph in force. The scheduler does not have the new graph yet: the caller passes it the swap.
    pub(crate) fn place(&mut self, prepared: Prepared) -> (Swap, Vec<Node>) {
        let (slots, store) = (&self.slots, &self.store);
        let (owned, parts) = (Arc::clone(prepared.owned()), Arc::clone(prepared.parts()));
        self.in_force.send_replace(prepared.exchanged().cloned());
        let is_busy = slots.busy().next().is_some();
        let rewired = |node: Node, wirings: &[Wiring]| slots.is_rewired(node, wirings);
        let owed = |from: &ResourceId, to: &ResourceId| store.is_owed(from, to);
        let mut difference = self.running.replace(prepared, &rewired, &owed, is_busy);
        for node in &difference.removed {
            let Some(ghost) = self.running.vertex(*node) else { continue };
            let resource = self.slots.current(*node, &ghost.resource);
            self.running.set_ghost(*node, resource);
        }
        let owners = self.former_owners();
        difference.swap.handovers = self.handovers(&owners, &difference);
        self.own(&mut difference, owners);
        let newly_received = self.slots.rewire(difference.wirings, &difference.changed, &difference.removed);
        self.remember_sent(newly_received);
        self.note_departed(&difference.removed);
        if let Some(history) = &self.history {
            history.borrow_mut().forget(&difference.removed);
        }
        drop_graph(difference.old);
        self.services.owned.set_known(owned, parts);
        (difference.swap, difference.changed)
    }

    /// The operation of a resource, before it has begun; `asked` sets its request.
    pub(crate) fn operation(
        &mut self,
        node: Node,
        resource: Arc<dyn AnyResource>,
        asked: impl FnOnce(&mut Operation),
    ) -> Arc<Operation> {
        let recording = self.recording(node, &resource);
        let mut operation = match self.spare.take() {
            Some(spare) => spare,
            None => Arc::new(Operation::new(Arc::clone(&resource), node.0, Arc::clone(&self.services))),
        };
        if let Some(operation) = Arc::get_mut(&mut operation) {
            operation.again(resource, node.0);
            self.begun += 1;
            operation.begun = self.begun;
            operation.noop = self.running.is_noop(node);
            operation.recording = recording;
            operation.changed = self.slots.changed_fields(node);
            asked(operation);
        }
        operation
    }

    /// An operation has ended. Most leave nothing behind; their memory is used for the next one of the same turn.
    pub(super) fn give_back(&mut self, operation: Arc<Operation>) {
        // This is its only owner. To ask that by `get_mut` would cost an atomic exchange for each.
        if Arc::strong_count(&operation) == 1 && operation.is_plain() {
            self.spare = Some(operation);
        }
    }

    pub(crate) fn commit_ended(&mut self, ticket: Ticket, result: Result<(), CommitError>) {
        match result {
            Ok(()) => {
                self.journal_problem = None;
                self.handle(Input::Committed(ticket));
            }
            Err(problem) => {
                let text = format!("the journal can't be written: {problem}");
                if self.journal_problem.is_none() {
                    self.warn(text.clone());
                }
                self.journal_problem = Some(text);
                self.handle(Input::CommitFailed(ticket));
            }
        }
    }

    /// Handles all that the watches noticed at once.
    pub(crate) fn notice_all(&mut self, all: Vec<Notice>) {
        let mut changed = Vec::new();
        for notice in all {
            match notice {
                Notice::Changed(node, extent) => {
                    self.slots.note_change(node, extent);
                    changed.push(node);
                }
                other => self.notice(other),
            }
        }
        if !changed.is_empty() {
            self.handle(Input::ChangedTogether(changed));
        }
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Ready(node) => match self.take_waiting(node) {
                // This check sees whatever was changed before. What it may do was decided before it began to wait.
                Some(waiting) => {
                    self.check_now(waiting.op, waiting.causes, GoOn::No, waiting.resource);
                    // A check that was cancelled and could not end may have outlasted the watch that it belonged to.
                    if !self.scheduler.listens(node) {
                        self.handle(Input::WatchReady(node));
                    }
                }
                None => {
                    if let Some(slot) = self.slots.get_mut(node) {
                        slot.ease(|trouble| (trouble.watch_error, trouble.watch) = (None, None));
                        self.slots.tidy(node);
                    }
                    self.handle(Input::WatchReady(node));
                }
            },
            Notice::Listens(node) => {
                if let Some(ready) = self.watches.listens(&mut self.slots, node) {
                    self.notice(ready);
                }
            }
            Notice::Changed(node, extent) => {
                self.slots.note_change(node, extent);
                self.handle(Input::Changed(node));
            }
            Notice::Failed(node, problem) => {
                if let (Some(table), Some(vertex)) = (&mut self.measured, self.running.vertex(node)) {
                    table.watch_failed(vertex.resource.spec().kind);
                }
                self.watch_ended(node, problem);
            }
            Notice::Overflow => {
                if let Some(message) = self.overflows.note(self.clock.now()) {
                    self.warn(message);
                }
            }
            Notice::Warning(message) => self.warn(message),
        }
    }

    pub(crate) fn tick(&mut self) {
        let mut notices = Vec::new();
        self.watches.tick(&self.slots, self.clock.now(), &mut notices);
        notices.into_iter().for_each(|notice| self.notice(notice));
        if let Some(message) = self.overflows.sum(self.clock.now()) {
            self.warn(message);
        }
        self.handle(Input::Tick);
    }

    /// When something must be done even if nothing happens.
    pub(crate) fn next_timeout(&self) -> Option<Time> {
        let own = [self.lane.next_timeout(), self.overflows.next_timeout()];
        let all = [self.scheduler.next_timeout(), self.watches.next_timeout()].into_iter().chain(own);
        all.into_iter().flatten().min()
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

    pub(crate) fn warn_of_lost_journal(&self) {
        if let Some(Aside { to, why }) = self.store.moved_aside() {
            let to = to.display();
            self.warn(format!(
                "the journal is corrupt ({why}): it was moved to {to} and replaced by an empty one; refreshes that were \
                 owed are lost, and passwords that are not saved will be generated again"
            ));
        }
    }

    pub(crate) fn warn(&self, message: String) {
        tracing::warn!(target: "mgmt", "{message}");
        self.emit(EventKind::Warning { message });
    }

    pub(crate) fn emit(&self, kind: EventKind) {
        if !self.events.is_read() && self.history.is_none() {
            return;
        }
        let at = self.clock.now().since(Time(0));
        if let Some(history) = self.history.as_ref().filter(|_| !matches!(kind, EventKind::InSync { owed: false, .. }))
        {
            history.borrow_mut().note(at, kind.clone());
        }
        if self.events.is_read() {
            self.events.publish(Event { at, kind });
        }
    }

    /// This operation is still under way.
    pub(crate) fn is_current(&self, op: Op) -> bool {
        self.slots.get(op.node).and_then(|slot| slot.activity.op()) == Some(op)
    }
}

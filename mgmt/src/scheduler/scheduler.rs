//! The scheduler: takes inputs, keeps its state, gives commands. Each rule is in the file named after it.

use std::collections::VecDeque;

use super::converge::Convergence;
use super::edges::Edges;
use super::gate::Semaphores;
use super::group::Groups;
use super::late::Late;
use super::leave_order::LeaveOrder;
use super::look::Looks;
use super::mutants::Mutant;
use super::node::{Nodes, PRESENT};
use super::places::Holder;
use super::rare::RareSlab;
use super::share::Shares;
use super::timers::Timers;
use super::together::Calls;
use super::{Command, Config, Event, Input, JournalOp, NodeConfig, Op, StopStage};
use crate::id::{Generation, Node, Ticket, Time};

/// Room in the queue of commands that is kept when it has run empty; memory beyond that is freed.
const COMMANDS_KEPT: usize = 1024;

/// Decides what runs when.
///
/// Nodes are numbers. The scheduler does nothing by itself and reads no clock: inputs go in by `handle`, commands come
/// out by `poll`. The same inputs give the same commands.
#[derive(Debug)]
pub struct Scheduler {
    pub(super) config: Config,
    pub(super) now: Time,
    pub(super) generation: Option<Generation>,
    pub(super) nodes: Nodes,
    pub(super) edges: Edges,
    pub(super) configs: Vec<NodeConfig>,
    pub(super) rare: RareSlab,
    pub(super) timers: Timers,
    /// Nodes that may run, in the order in which they became able to.
    pub(super) ready: VecDeque<Node>,
    /// Nodes that may run, of those made dirty by an event.
    pub(super) urgent: VecDeque<Node>,
    /// The last place went to one of `urgent`.
    pub(super) took_urgent: bool,
    /// Nodes that hold their semaphores already: these go first.
    pub(super) granted: VecDeque<Node>,
    /// Nodes that have left the graph and wait to be asked to leave.
    pub(super) leaving: VecDeque<Node>,
    /// Nodes that have left the graph but cannot leave before they have recovered.
    pub(super) leaving_held: Vec<Node>,
    pub(super) leave_order: LeaveOrder,
    pub(super) semaphores: Semaphores,
    pub(super) shares: Shares,
    pub(super) calls: Calls,
    pub(super) groups: Groups,
    /// Which node waits for which ticket of the journal, in order of the tickets.
    pub(super) commits: VecDeque<(Ticket, Node)>,
    /// Which nodes wait for which look at the kernel's queue, in order of the looks.
    pub(super) looks: VecDeque<(u64, Node)>,
    pub(super) last_look: u64,
    /// The last look, as long as its command has not been polled.
    pub(super) open_look: Option<u64>,
    /// Checks that may continue with a repair; some of them may have ended.
    pub(super) stays: Vec<Op>,
    /// Journal entries of this turn for which no node waits.
    pub(super) entries: Vec<JournalOp>,
    pub(super) commands: VecDeque<Command>,
    /// The places held by operations under way (and journal writes before them): the holder, and since when.
    pub(super) places: Vec<(Holder, Time)>,
    /// Runs that have given their places up and have not ended.
    pub(super) yielded: Vec<Node>,
    pub(super) last_op: u64,
    pub(super) last_ticket: u64,
    pub(super) paused: bool,
    pub(super) stop: Option<StopStage>,
    pub(super) stopped: bool,
    pub(super) convergence: Convergence,
    pub(super) looks_open: Looks,
    pub(super) late: Late,
    /// Watches whose next try came due in a pause.
    pub(super) held_watches: Vec<Node>,
    pub(super) jitter: u64,
    #[cfg(feature = "testing")]
    mutant: Option<Mutant>,
}

impl Scheduler {
    /// A scheduler without a graph.
    pub fn new(config: Config) -> Scheduler {
        Scheduler {
            now: Time(0),
            generation: None,
            nodes: Nodes::default(),
            edges: Edges::default(),
            configs: Vec::new(),
            rare: RareSlab::default(),
            timers: Timers::default(),
            ready: VecDeque::new(),
            urgent: VecDeque::new(),
            took_urgent: false,
            places: Vec::new(),
            yielded: Vec::new(),
            granted: VecDeque::new(),
            leaving: VecDeque::new(),
            leaving_held: Vec::new(),
            leave_order: LeaveOrder::default(),
            semaphores: Semaphores::default(),
            shares: Shares::default(),
            calls: Calls::default(),
            groups: Groups::default(),
            commits: VecDeque::new(),
            looks: VecDeque::new(),
            last_look: 0,
            open_look: None,
            stays: Vec::new(),
            entries: Vec::new(),
            commands: VecDeque::new(),
            last_op: 0,
            last_ticket: 0,
            paused: false,
            stop: None,
            stopped: false,
            convergence: Convergence::default(),
            looks_open: Looks::default(),
            late: Late::new(config.watch_late),
            held_watches: Vec::new(),
            jitter: config.seed,
            config,
            #[cfg(feature = "testing")]
            mutant: None,
        }
    }

    /// A scheduler with one rule broken on purpose: for tests of the tests.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_mutant(mut self, mutant: Mutant) -> Scheduler {
        self.mutant = Some(mutant);
        self
    }

    #[cfg(feature = "testing")]
    pub(super) fn mutant(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    #[cfg(not(feature = "testing"))]
    pub(super) const fn mutant(&self, _: Mutant) -> bool {
        false
    }

    /// Takes an input and decides what follows; afterwards, `poll` until it returns `None`. Time never runs backwards:
    /// a `now` before the previous one counts as the previous one. After a stop, a new graph is ignored.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        let keeps_permissions = self.stays.is_empty() || self.keeps_permissions(&input);
        self.fire_timers();
        if self.late_due().is_some_and(|due| due <= self.now) {
            self.end_late();
        }
        match input {
            Input::Swap(swap) => self.swap(swap),
            Input::WatchReady(node) if self.knows(node) => self.watch_ready(node),
            Input::WatchFailed(node) if self.knows(node) => self.watch_failed(node, None),
            Input::WatchWaits(node, lack) if self.knows(node) => self.watch_failed(node, Some(lack)),
            Input::Changed(node) if self.knows(node) => self.changed(node),
            Input::Recovered(node) if self.knows(node) => self.recovered(node),
            Input::Recovered(node) => self.ask_again_to_leave(node),
            Input::WatchReady(_) | Input::WatchFailed(_) | Input::WatchWaits(..) | Input::Changed(_) => {}
            Input::ChangedTogether(nodes) => {
                for node in nodes.into_iter().filter(|node| self.knows(*node)).collect::<Vec<_>>() {
                    self.changed(node);
                }
            }
            Input::Checked { op, outcome, sent, again } => self.checked(op, outcome, sent, again),
            Input::Applied { op, outcome, sent, again } => self.applied(op, outcome, sent, again),
            Input::Yielded(op) => self.give_place_up(op),
            Input::Remains { nodes, order } => self.undo_remains(nodes, &order),
            Input::Left { op, well } => self.left(op, well),
            Input::LeaveRefused(op) => self.leave_refused(op),
            Input::Committed(ticket) => self.committed(ticket),
            Input::Looked(look) => self.looked(look),
            Input::CommitFailed(ticket) => self.commit_failed(ticket),
            Input::Pause => self.pause(),
            Input::Resume => self.resume(),
            Input::Stop(stage) => self.begin_stop(stage),
            Input::Tick => {}
        }
        self.apply_gathered();
        self.flush_journal();
        self.calls.close();
        if !keeps_permissions {
            self.review_stays();
        }
        self.pump();
        self.converge();
        self.end_stop();
        self.prune_timers();
    }

    /// The next command, if any.
    pub fn poll(&mut self) -> Option<Command> {
        let command = self.commands.pop_front();
        if let Some(Command::Look(_)) = command {
            self.open_look = None;
        }
        if command.is_none() && self.commands.capacity() > COMMANDS_KEPT {
            self.commands.shrink_to(COMMANDS_KEPT);
        }
        command
    }

    /// When the next `Input::Tick` is wanted, unless another input comes before. A time in the past means at once.
    pub fn next_timeout(&self) -> Option<Time> {
        let dues =
            [self.converged_due(), self.hopeless_due(), self.reserve_due(), self.late_due(), self.timers.first()];
        dues.into_iter().flatten().min()
    }

    pub(super) fn knows(&self, node: Node) -> bool {
        self.nodes.get(node).is_some_and(|n| n.any(PRESENT))
    }

    /// Emits an event about a node, if `Config::node_events` is on.
    pub(super) fn tell(&mut self, event: Event) {
        if self.config.node_events {
            self.commands.push_back(Command::Event(event));
        }
    }

    pub(super) fn settings(&self, i: Node) -> &NodeConfig {
        &self.configs[self.nodes[i].config as usize]
    }
}

//! A scheduler on a bench: short ways to feed it, and its commands as short texts.

use std::collections::HashMap;
use std::time::Duration;

use crate::id::{Generation, Node, Ticket, Time};
use crate::scheduler::*;

/// One edge, by a short text.
pub(super) fn edge(from: u32, to: u32) -> EdgeSpec {
    EdgeSpec { from: Node(from), to: Node(to), notify: false, sends: PortSet(0), owed: false }
}

/// A notify edge.
pub(super) fn notify(from: u32, to: u32) -> EdgeSpec {
    EdgeSpec { notify: true, ..edge(from, to) }
}

/// An edge that carries values.
pub(super) fn sends(from: u32, to: u32, ports: u32) -> EdgeSpec {
    EdgeSpec { sends: PortSet(ports), ..edge(from, to) }
}

/// Plain settings: no watch, no retry.
pub(super) fn plain() -> NodeConfig {
    NodeConfig {
        noop: false,
        retry: Some(0),
        delay: Duration::ZERO,
        backoff: Backoff::Constant,
        poll: None,
        limit: None,
        burst: 1,
        timeout: None,
        sema: Vec::new(),
        watched: false,
        ticks: false,
        rewatch: false,
        reset: false,
        converged_timeout: None,
        leaves: false,
        undoes: false,
        together: None,
    }
}

/// What a test sets apart from this is what it is about.
pub(super) fn config() -> Config {
    Config {
        running_max: 100,
        reserve: 0,
        yielded_max: 64,
        converged_timeout: ms(1000),
        watch_late: false,
        seed: 7,
        node_events: false,
    }
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A scheduler and what a runtime would remember of it.
pub(super) struct Bed {
    pub(super) scheduler: Scheduler,
    pub(super) now: Time,
    generation: u64,
    ops: HashMap<u32, Op>,
    /// Whether the last check of each node may go on.
    go_on: HashMap<u32, GoOn>,
    configs: HashMap<u32, NodeConfig>,
    events: bool,
    /// Of the next swaps.
    pub(super) handovers: Vec<Handover>,
    pub(super) groups: Vec<Vec<Node>>,
    /// What the next look finds.
    pub(super) queued: Vec<Node>,
}

impl Bed {
    /// Commands only, no events but `converged` and the like.
    pub(super) fn new() -> Bed {
        Bed::with(config())
    }

    pub(super) fn with_events() -> Bed {
        Bed::with(Config { node_events: true, ..config() })
    }

    pub(super) fn with(config: Config) -> Bed {
        Bed {
            events: config.node_events,
            scheduler: Scheduler::new(config),
            now: Time(0),
            generation: 0,
            ops: HashMap::new(),
            go_on: HashMap::new(),
            configs: HashMap::new(),
            handovers: Vec::new(),
            groups: Vec::new(),
            queued: Vec::new(),
        }
    }

    /// Settings of a node, from the next swap on; others have `plain`.
    pub(super) fn configure(&mut self, node: u32, config: NodeConfig) -> &mut Bed {
        self.configs.insert(node, config);
        self
    }

    /// A new graph of these nodes; those in `changed` differ from before.
    pub(super) fn swap(&mut self, nodes: &[u32], changed: &[u32], edges: &[EdgeSpec]) -> Vec<String> {
        self.generation += 1;
        let mut configs = vec![plain()];
        let specs = nodes.iter().map(|&node| {
            let config = self.configs.get(&node).cloned().unwrap_or_else(plain);
            let at = configs.iter().position(|c| *c == config).unwrap_or_else(|| {
                configs.push(config);
                configs.len() - 1
            });
            NodeSpec { node: Node(node), config: at as u32, changed: changed.contains(&node) }
        });
        let nodes = specs.collect();
        let edges = edges.to_vec();
        self.feed(Input::Swap(Swap {
            generation: Generation(self.generation),
            configs,
            nodes,
            edges,
            handovers: self.handovers.clone(),
            groups: self.groups.clone(),
        }))
    }

    /// Hands over an input; gives the commands.
    pub(super) fn feed(&mut self, input: Input) -> Vec<String> {
        self.scheduler.handle(self.now, input);
        self.scheduler.check_invariants();
        let mut shown = Vec::new();
        while let Some(command) = self.scheduler.poll() {
            if let Command::Check { op, .. }
            | Command::Apply { op, .. }
            | Command::Refresh { op, .. }
            | Command::Leave(op)
            | Command::Undo(op) = &command
            {
                self.ops.insert(op.node.0, *op);
            }
            if let Command::Check { op, go_on, .. } = command {
                self.go_on.insert(op.node.0, go_on);
            }
            if let Command::Look(look) = command {
                // What a look finds, if a test does not want another thing found: nothing.
                let found = std::mem::take(&mut self.queued);
                if !found.is_empty() {
                    self.scheduler.handle(self.now, Input::ChangedTogether(found));
                }
                self.scheduler.handle(self.now, Input::Looked(look));
                self.scheduler.check_invariants();
                continue;
            }
            if !matches!(command, Command::Event(Event::Swapped { .. })) || self.events {
                shown.push(show(&command));
            }
        }
        shown
    }

    /// Lets time pass, timer by timer.
    pub(super) fn pass(&mut self, by: Duration) -> Vec<String> {
        let end = self.now.after(by);
        let mut shown = Vec::new();
        while let Some(at) = self.scheduler.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            shown.extend(self.feed(Input::Tick));
        }
        self.now = end;
        shown.extend(self.feed(Input::Tick));
        shown
    }

    pub(super) fn may_go_on(&self, node: u32) -> GoOn {
        self.go_on[&node]
    }

    /// Its check has gone on, and the repair ends.
    pub(super) fn went_on(&mut self, node: u32, outcome: ApplyOutcome) -> Vec<String> {
        let mut shown = self.checked(node, CheckOutcome::GoesOn);
        shown.extend(self.applied(node, outcome));
        shown
    }

    pub(super) fn op(&self, node: u32) -> Op {
        self.ops[&node]
    }

    pub(super) fn checked(&mut self, node: u32, outcome: CheckOutcome) -> Vec<String> {
        self.checked_sending(node, outcome, 0)
    }

    pub(super) fn checked_sending(&mut self, node: u32, outcome: CheckOutcome, ports: u32) -> Vec<String> {
        let op = self.op(node);
        self.feed(Input::Checked { op, outcome, sent: PortSet(ports), again: PortSet(0) })
    }

    pub(super) fn in_sync(&mut self, node: u32) -> Vec<String> {
        self.checked(node, CheckOutcome::InSync)
    }

    pub(super) fn drifted(&mut self, node: u32) -> Vec<String> {
        self.checked(node, CheckOutcome::Drifted)
    }

    /// The operation of the node has nothing left to do but to wait for the disk.
    pub(super) fn yielded(&mut self, node: u32) -> Vec<String> {
        let op = self.ops[&node];
        self.feed(Input::Yielded(op))
    }

    pub(super) fn applied(&mut self, node: u32, outcome: ApplyOutcome) -> Vec<String> {
        self.applied_sending(node, outcome, 0)
    }

    pub(super) fn applied_sending(&mut self, node: u32, outcome: ApplyOutcome, ports: u32) -> Vec<String> {
        let op = self.op(node);
        self.feed(Input::Applied { op, outcome, sent: PortSet(ports), again: PortSet(0) })
    }

    pub(super) fn committed(&mut self, ticket: u64) -> Vec<String> {
        self.feed(Input::Committed(Ticket(ticket)))
    }

    pub(super) fn changed(&mut self, node: u32) -> Vec<String> {
        self.feed(Input::Changed(Node(node)))
    }

    pub(super) fn ready(&mut self, node: u32) -> Vec<String> {
        self.feed(Input::WatchReady(Node(node)))
    }

    pub(super) fn state(&self, node: u32) -> State {
        self.scheduler.state(Node(node))
    }

    pub(super) fn owed(&self) -> Vec<(u32, u32)> {
        self.scheduler.owed().map(|(from, to)| (from.0, to.0)).collect()
    }
}

/// A command as a short text: `check 1`, `journal 3: intent 0>1`, …
fn show(command: &Command) -> String {
    match command {
        Command::Watch(node) => format!("watch {}", node.0),
        Command::Unwatch(node) => format!("unwatch {}", node.0),
        Command::Check { op, .. } => format!("check {}", op.node.0),
        Command::Withdraw { op, cancel: false } => format!("withdraw {}", op.node.0),
        Command::Withdraw { op, cancel: true } => format!("cancel {}", op.node.0),
        Command::Apply { op, refresh: false, .. } => format!("apply {}", op.node.0),
        Command::Apply { op, refresh: true, .. } => format!("apply and refresh {}", op.node.0),
        Command::Refresh { op, .. } => format!("refresh {}", op.node.0),
        Command::Leave(op) => format!("leave {}", op.node.0),
        Command::Undo(op) => format!("undo {}", op.node.0),
        Command::Cancel(op) => format!("cancel {}", op.node.0),
        Command::Journal { ticket, ops } => {
            let ops: Vec<String> = ops.iter().map(show_entry).collect();
            let ticket = ticket.map(|t| format!(" {}", t.0)).unwrap_or_default();
            format!("journal{ticket}: {}", ops.join(", "))
        }
        Command::Look(look) => format!("look {look}"),
        Command::Removed(node) => format!("removed {}", node.0),
        Command::Event(event) => format!("event: {}", show_event(event)),
        Command::Stopped => "stopped".into(),
    }
}

fn show_entry(op: &JournalOp) -> String {
    match op {
        JournalOp::Intent { from, to } => format!("intent {}>{}", from.0, to.0),
        JournalOp::Drop { from, to } => format!("drop {}>{}", from.0, to.0),
        JournalOp::Debt { from, to } => format!("debt {}>{}", from.0, to.0),
        JournalOp::Paid { from, to } => format!("paid {}>{}", from.0, to.0),
    }
}

fn show_event(event: &Event) -> String {
    match event {
        Event::InSync { node, .. } => format!("in sync {}", node.0),
        Event::Drifted { node, noop, .. } => format!("drifted {}{}", node.0, if *noop { " noop" } else { "" }),
        Event::Applied { node, changed, refreshed, .. } => {
            let changed = if *changed { " changed" } else { "" };
            format!("applied {}{changed}{}", node.0, if *refreshed { " refreshed" } else { "" })
        }
        Event::Refreshed { node, .. } => format!("refreshed {}", node.0),
        Event::Left { node, well, retry_in } => {
            let again = retry_in.map(|pause| format!(", again in {pause:?}")).unwrap_or_default();
            format!("left {}{}{again}", node.0, if *well { "" } else { ", not well" })
        }
        Event::Owed { from, to } => format!("owed {}>{}", from.0, to.0),
        Event::Sent { from, to } => format!("sent {}>{}", from.0, to.0),
        Event::Failed { node, what, retry_in, .. } => {
            let what = if *what == Failing::Watch { " watch" } else { "" };
            match retry_in {
                Some(delay) => format!("failed {}{what}, again in {delay:?}", node.0),
                None => format!("failed {}{what} for good", node.0),
            }
        }
        Event::Waits { node, what, .. } => {
            format!("waits {}{}", node.0, if *what == Failing::Watch { " watch" } else { "" })
        }
        Event::Blocked { node, by } => format!("blocked {} by {}", node.0, by.0),
        Event::Unblocked(node) => format!("unblocked {}", node.0),
        Event::Flapping { node, repairs, within, took, every } => {
            format!("flapping {}: {repairs} in {within:?}, {took:?} each, every {every:?}", node.0)
        }
        Event::Swapped { generation, added, changed, removed, kept } => {
            format!("swapped to {generation}: +{added} ~{changed} -{removed} ={kept}")
        }
        Event::Converged => "converged".into(),
        Event::Unconverged => "unconverged".into(),
        Event::Hopeless => "hopeless".into(),
        Event::Hopeful => "hopeful".into(),
    }
}

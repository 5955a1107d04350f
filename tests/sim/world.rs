//! A model of reality, and of the runtime's hands in it.
//!
//! A check samples reality when it *starts* and answers later. An apply gets what the check found, and takes effect at
//! some instant between its start and its answer. What our changes make necessary (`needs`) is kept here, in reality:
//! no crash of the engine wipes it.

use std::collections::{BTreeMap, BTreeSet};

use mgmt::id::{Node, Time};
use mgmt::scheduler::{ApplyOutcome, CheckOutcome, GoOn, Handover, Input, Lack, Op, PortSet};

use crate::journal::Edge;
use crate::rng::{Rng, mix};
use crate::scenario::Graph;

/// One real thing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Thing {
    pub value: u64,
    /// The secret that a forgetful one has made; 0: none yet.
    pub made: u64,
    /// Part of what it sends, but no part of what it should be: like the output of a command.
    pub reading: u64,
}

/// What a check saw.
#[derive(Clone, Debug)]
pub struct Sample {
    pub real: Thing,
    /// What the thing should have been, by the fields and the received values at that moment.
    pub target: u64,
    pub missing: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Check,
    Apply { refresh: bool },
    Refresh,
    Leave,
}

/// How an operation will end, unless it is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Well,
    /// Fails without effect.
    FailsBefore,
    /// Takes effect, and then reports a failure.
    FailsAfter,
    /// Ends well, but a sender forgets to send.
    Mute,
}

/// A cause for which operations of a node fail, and which is over at some time without them.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    pub lack: Lack,
    /// Applies and refreshes fail for it, not checks.
    pub in_apply: bool,
}

/// An operation under way.
#[derive(Clone, Debug)]
pub struct Running {
    pub op: Op,
    pub act: Act,
    pub sample: Sample,
    pub fate: Fate,
    /// What it fails with, whatever its fate: it was so when it began.
    pub lack: Option<Lack>,
    /// It has taken effect.
    pub done: bool,
    /// …and changed something.
    pub changed: bool,
    /// The notify edges that were in force when it began.
    pub notifies: BTreeSet<Edge>,
    /// What it answers if it was cancelled in time.
    pub cancelled: Option<bool>,
    /// Whether it, a check, may go on to repair what it finds; and how often changes had been handed over by then.
    pub may_go_on: (GoOn, u64),
    /// …and has.
    pub went_on: bool,
    /// What the resource that it works for owns, as it was when the operation began.
    pub owns: Option<u32>,
    /// A check that found that these have not ended with what its resource has received.
    pub occupied: Vec<Node>,
    /// The fields of its resource, or what it receives, are different since it began.
    pub outdated: bool,
}

#[derive(Clone, Default)]
pub struct World {
    pub graph: Graph,
    pub things: BTreeMap<u32, Thing>,
    /// By node.
    pub troubles: BTreeMap<u32, Trouble>,
    /// The values that were sent last, as the receivers see them: (sender, port).
    pub sent: BTreeMap<(u32, u32), u64>,
    /// What was sent since the fields of the sender, and what it receives, were different: (sender, port).
    pub fresh: BTreeSet<(u32, u32)>,
    /// Forgetful senders whose value is still in memory.
    pub remembered: BTreeSet<u32>,
    /// Things that we changed and whose notified have not been refreshed since. `true`: must survive a crash.
    pub needs: BTreeMap<Edge, bool>,
    /// By node: never two of one node, or `one_at_a_time` fails.
    pub running: Vec<Running>,
    /// What the last check of each node found, until it is applied.
    pub drift: BTreeMap<u32, Sample>,
    /// What has changed and was not yet handed over: it is in the queue of the kernel.
    pub unseen: BTreeSet<u32>,
    /// How often something of it was handed over.
    pub handed_over: u64,
    /// Looks at that queue that were not answered.
    pub looks: u32,
    pub changes: u64,
    /// What resources that have left owned, until their slots are free.
    pub ghosts: BTreeMap<u32, u32>,
}

/// The outputs of every resource.
const PORTS: u32 = 2;

impl World {
    pub fn thing(&self, node: u32) -> Thing {
        self.things.get(&node).copied().unwrap_or_default()
    }

    /// What the thing should be, by its fields and what it has received.
    pub fn target(&self, node: u32) -> u64 {
        let version = self.graph.nodes.get(&node).map_or(0, |desired| desired.version);
        let mut target = mix(u64::from(node), version);
        for (from, ports) in self.graph.inputs(node) {
            for port in (0..PORTS).filter(|port| ports & (1 << port) != 0) {
                target = mix(target, self.sent.get(&(from, port)).copied().unwrap_or(0));
            }
        }
        target
    }

    pub fn is_forgetful(&self, node: u32) -> bool {
        self.graph.nodes.get(&node).is_some_and(|desired| desired.forgetful)
    }

    /// All that it receives has been sent by the senders as they are now.
    pub fn has_values(&self, node: u32) -> bool {
        self.graph.inputs(node).iter().all(|(from, ports)| {
            (0..PORTS).filter(|port| ports & (1 << port) != 0).all(|port| self.fresh.contains(&(*from, port)))
        })
    }

    pub fn is_in_sync(&self, node: u32) -> bool {
        let thing = self.thing(node);
        thing.value == self.target(node) && (!self.is_forgetful(node) || thing.made != 0)
    }

    fn sample(&self, node: u32) -> Sample {
        let inputs = self.graph.inputs(node);
        let forgotten = |from: &u32| self.is_forgetful(*from) && !self.remembered.contains(from);
        let missing = inputs.iter().map(|(from, _)| *from).filter(forgotten).collect();
        Sample { real: self.thing(node), target: self.target(node), missing }
    }

    pub fn begin(&mut self, op: Op, act: Act, fate: Fate) {
        let node = op.node.0;
        let sample = match act {
            Act::Check => self.sample(node),
            _ => self.drift.get(&node).cloned().unwrap_or_else(|| self.sample(node)),
        };
        let notifies = self.graph.children(node).filter(|(_, link)| link.notify).map(|(to, _)| (node, to)).collect();
        let owns = match self.graph.nodes.get(&node) {
            Some(desired) if act != Act::Leave => desired.owns,
            _ => self.ghosts.get(&node).copied(),
        };
        let occupied = match self.graph.nodes.get(&node) {
            Some(desired) if act == Act::Check && desired.owns_received => self.occupied(node, owns),
            _ => Vec::new(),
        };
        let owns = owns.filter(|_| occupied.is_empty());
        let (done, changed, cancelled) = (false, false, None);
        let outdated = false;
        let lack = self.lack(node, act);
        self.running.push(Running {
            lack,
            op,
            act,
            sample,
            fate,
            done,
            changed,
            notifies,
            cancelled,
            owns,
            occupied,
            outdated,
            may_go_on: (GoOn::No, 0),
            went_on: false,
        });
    }

    /// What an operation that begins now fails with.
    fn lack(&self, node: u32, act: Act) -> Option<Lack> {
        let trouble = self.troubles.get(&node).filter(|_| act != Act::Leave)?;
        (trouble.in_apply != (act == Act::Check)).then_some(trouble.lack)
    }

    /// The others that have not ended with this.
    fn occupied(&self, node: u32, owns: Option<u32>) -> Vec<Node> {
        let running = self.running.iter().map(|running| (running.op.node.0, running.owns));
        let all = running.chain(self.ghosts.iter().map(|(node, owns)| (*node, Some(*owns))));
        all.filter(|(other, owned)| *other != node && owns.is_some() && *owned == owns).map(|(n, _)| Node(n)).collect()
    }

    pub fn running(&self, op: Op) -> Option<&Running> {
        self.running.iter().find(|running| running.op == op)
    }

    pub fn running_mut(&mut self, op: Op) -> Option<&mut Running> {
        self.running.iter_mut().find(|running| running.op == op)
    }

    /// A check that may go on to a repair does so now, if there is anything to repair. The repair is another operation
    /// in all but its number: it may end in another way.
    pub fn go_on(&mut self, op: Op, fate: Fate) -> bool {
        let Some(running) = self.running(op) else { return false };
        let is_bad = matches!(running.fate, Fate::FailsBefore | Fate::FailsAfter)
            || running.cancelled.is_some()
            || running.lack.is_some();
        let is_quiet = |then| self.unseen.is_empty() && self.handed_over == then;
        let may = match running.may_go_on {
            (GoOn::No, _) => false,
            (GoOn::Yes, _) => true,
            (GoOn::IfQuiet, then) => is_quiet(then),
        };
        if running.act != Act::Check || !may || is_bad || !running.occupied.is_empty() {
            return false;
        }
        let (sample, node) = (running.sample.clone(), op.node.0);
        let is_well = sample.real.value == sample.target && (!self.is_forgetful(node) || sample.real.made != 0);
        if is_well || !sample.missing.is_empty() {
            return false;
        }
        self.drift.insert(node, sample);
        let notifies = self.graph.children(node).filter(|(_, link)| link.notify).map(|(to, _)| (node, to)).collect();
        let (act, went_on) = (Act::Apply { refresh: false }, true);
        let lack = self.lack(node, act);
        if let Some(running) = self.running_mut(op) {
            *running = Running { act, fate, lack, notifies, went_on, ..running.clone() };
        }
        true
    }

    /// The instant at which an apply or a refresh takes effect. Returns whether it changed the thing.
    pub fn take_effect(&mut self, op: Op) -> bool {
        let Some(running) = self.running_mut(op) else { return false };
        if running.done
            || matches!(running.act, Act::Check | Act::Leave)
            || running.fate == Fate::FailsBefore
            || running.lack.is_some()
            || running.cancelled.is_some()
        {
            return false;
        }
        running.done = true;
        let Running { act, sample, notifies, .. } = running.clone();
        let node = op.node.0;
        let refresh = act != Act::Apply { refresh: false };
        let forgetful = self.is_forgetful(node);
        let before = self.thing(node);
        let mut after = before;
        if matches!(act, Act::Apply { .. }) {
            after.value = sample.target;
        }
        if forgetful && (refresh || before.made == 0) {
            self.changes += 1;
            after.made = mix(u64::from(node), self.changes);
            self.remembered.insert(node);
        }
        self.things.insert(node, after);
        if refresh {
            self.needs.retain(|(_, to), _| *to != node);
        }
        let by_refresh = refresh && self.graph.nodes.get(&node).is_some_and(|desired| desired.changed_by_refresh);
        let changed = (before.value, before.made) != (after.value, after.made) || by_refresh;
        if changed {
            for (to, _) in self.graph.children(node).filter(|(_, link)| link.notify) {
                let durable = notifies.contains(&(node, to));
                *self.needs.entry((node, to)).or_insert(durable) |= durable;
            }
        }
        if let Some(running) = self.running_mut(op) {
            running.changed = changed;
        }
        before.value != after.value
    }

    /// The answer of an operation: it is over then.
    pub fn answer(&mut self, op: Op, rng: &mut Rng) -> Option<Input> {
        let at = self.running.iter().position(|running| running.op == op)?;
        self.take_effect(op);
        let running = self.running.remove(at);
        let node = op.node.0;
        if running.act == Act::Check {
            let (outcome, (sent, again)) = self.answer_check(&running);
            if outcome == CheckOutcome::Drifted {
                self.drift.insert(node, running.sample);
            }
            return Some(Input::Checked { op, outcome, sent, again });
        }
        if running.act == Act::Leave {
            if running.fate == Fate::FailsBefore && running.cancelled.is_none() {
                return Some(Input::LeaveRefused(op));
            }
            let well = matches!((running.fate, running.cancelled), (Fate::Well | Fate::Mute, None));
            return Some(Input::Left { op, well });
        }
        let lack = running.lack.filter(|_| running.cancelled.is_none());
        let outcome = match (running.fate, running.cancelled) {
            _ if lack.is_some() => lack.map_or(ApplyOutcome::Failed, ApplyOutcome::Waits),
            (Fate::FailsBefore | Fate::FailsAfter, _) | (_, Some(true)) => ApplyOutcome::Failed,
            (_, Some(false)) => ApplyOutcome::Cancelled,
            _ if running.changed && rng.percent(10) => ApplyOutcome::ChangedByEvent,
            _ if running.changed => ApplyOutcome::Changed,
            _ => ApplyOutcome::Unchanged,
        };
        let well = !matches!(outcome, ApplyOutcome::Failed | ApplyOutcome::Waits(_) | ApplyOutcome::Cancelled);
        let muted = running.fate == Fate::Mute && rng.percent(70);
        let sends = well && !muted;
        let (sent, again) = if sends { self.send(&running, self.thing(node)) } else { Default::default() };
        Some(Input::Applied { op, outcome, sent, again })
    }

    fn answer_check(&mut self, running: &Running) -> (CheckOutcome, (PortSet, PortSet)) {
        let node = running.op.node.0;
        let Sample { real, target, missing } = &running.sample;
        if let (Some(lack), None) = (running.lack, running.cancelled) {
            return (CheckOutcome::Waits(lack), Default::default());
        }
        match (running.fate, running.cancelled) {
            (_, Some(true)) | (Fate::FailsBefore | Fate::FailsAfter, _) => {
                return (CheckOutcome::Failed, Default::default());
            }
            (_, Some(false)) => return (CheckOutcome::Cancelled, Default::default()),
            _ => {}
        }
        if !running.occupied.is_empty() {
            return (CheckOutcome::Occupied(running.occupied.clone()), Default::default());
        }
        if real.value == *target && (!self.is_forgetful(node) || real.made != 0) {
            let sent = if running.fate == Fate::Mute { Default::default() } else { self.send(running, *real) };
            (CheckOutcome::InSync, sent)
        } else if !missing.is_empty() {
            (CheckOutcome::Missing(missing.iter().map(|n| Node(*n)).collect()), Default::default())
        } else {
            (CheckOutcome::Drifted, Default::default())
        }
    }

    /// Sends the values of a node in the graph: the new ones, and those that are as before. Receivers of new values
    /// must send again themselves.
    fn send(&mut self, running: &Running, thing: Thing) -> (PortSet, PortSet) {
        let node = running.op.node.0;
        let (mut new, mut again) = (0, 0);
        if self.graph.nodes.contains_key(&node) {
            for port in 0..PORTS {
                let source = if self.is_forgetful(node) { thing.made } else { thing.value };
                let value = mix(source, if port == 0 { 0 } else { thing.reading });
                match self.sent.insert((node, port), value) == Some(value) {
                    true => again |= 1 << port,
                    false => new |= 1 << port,
                }
                if !running.outdated {
                    self.fresh.insert((node, port));
                }
            }
            let receivers: Vec<_> = self.graph.children(node).filter(|(_, link)| link.sends & new != 0).collect();
            receivers.into_iter().for_each(|(to, _)| self.outdate(to));
        }
        (PortSet(new), PortSet(again))
    }

    /// What it has sent, and what it does now, is of other fields or of other values received.
    fn outdate(&mut self, node: u32) {
        self.fresh.retain(|(from, _)| *from != node);
        for running in self.running.iter_mut().filter(|running| running.op.node.0 == node) {
            running.outdated = true;
        }
    }

    /// Another program writes the thing.
    pub fn drift(&mut self, node: u32, rng: &mut Rng) {
        let thing = self.things.entry(node).or_default();
        match rng.percent(70) {
            true => thing.value = rng.next(),
            false => thing.reading = rng.next(),
        }
    }

    /// A new graph is in force, in which these nodes have other fields or other wires: no refresh is needed along an
    /// edge that is gone.
    pub fn follow(&mut self, graph: Graph, changed: impl Iterator<Item = u32>) {
        let gone: Vec<u32> = self.graph.nodes.keys().filter(|n| !graph.nodes.contains_key(n)).copied().collect();
        for node in changed {
            self.outdate(node);
        }
        for node in gone {
            self.outdate(node);
            if let Some(owns) = self.graph.nodes[&node].owns {
                self.ghosts.insert(node, owns);
            }
            self.sent.retain(|(from, _), _| *from != node);
            self.drift.remove(&node);
        }
        let in_force = |edge: &Edge| graph.edges.get(edge).is_some_and(|link| link.notify);
        self.needs.retain(|edge, _| in_force(edge));
        for running in &mut self.running {
            running.notifies.retain(in_force);
        }
        self.ghosts.retain(|node, _| !graph.nodes.contains_key(node));
        self.graph = graph;
    }

    /// Who takes whose place: what is under way, or has left, and owns what a node of this graph owns now.
    pub fn handovers(&self) -> Vec<Handover> {
        let running = self.running.iter().map(|running| (running.op.node.0, running.owns));
        let old = running.chain(self.ghosts.iter().map(|(node, owns)| (*node, Some(*owns))));
        let taken = old.filter_map(|(from, owns)| Some((from, self.graph.owner(owns?)?)));
        let taken = taken.filter(|(from, to)| from != to && !self.graph.nodes[to].owns_received);
        taken.map(|(from, to)| Handover { from: Node(from), to: Node(to) }).collect()
    }

    /// The engine is gone, and with it all that was only in memory.
    pub fn crash(&mut self, rng: &mut Rng) {
        for op in self.running.iter().map(|running| running.op).collect::<Vec<_>>() {
            if rng.percent(50) {
                self.take_effect(op);
            }
        }
        self.running.clear();
        self.sent.clear();
        self.fresh.clear();
        self.remembered.clear();
        self.drift.clear();
        self.unseen.clear();
        self.looks = 0;
        self.ghosts.clear();
        self.needs.retain(|_, durable| *durable);
    }
}

/// How long things take: at most this many milliseconds.
pub fn later(now: Time, rng: &mut Rng, ms: u64) -> Time {
    now.after(rng.up_to_ms(ms))
}

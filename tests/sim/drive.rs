//! One run: a scheduler, a world, a journal, chance; first everything goes wrong, then nothing does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use mgmt::id::{Node, Ticket, Time};
use mgmt::scheduler::{Causes, CheckOutcome, Config, Input, Lack, Mutant, Op, PortSet, Scheduler, State};

use crate::invariant::{self, Cx, Invariant};
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::rng::Rng;
use crate::scenario::{Graph, Wild};
use crate::story::Breach;
use crate::world::{World, later};

/// A run that takes more turns than this does not heal, or spins.
const TURNS_MAX: u64 = 200_000;
/// How long it may take to converge once the faults have ceased.
const HEAL_MAX: Duration = Duration::from_secs(300);

/// What is going to happen.
#[derive(Clone, Debug)]
pub enum Happening {
    Effect(Op),
    /// A check continues with a repair, if it may and must.
    GoOn(Op, Causes),
    Answer(Op),
    WatchReady {
        node: u32,
        epoch: u64,
    },
    WatchFailed {
        node: u32,
        epoch: u64,
    },
    /// It has listened for long, and now fails nevertheless.
    WatchTires {
        node: u32,
        epoch: u64,
    },
    Changed(u32),
    Looked(u64),
    /// Another program undoes the repair.
    Undone(u32),
    /// What operations of it failed with is over.
    Over(u32),
    Commit,
    Chaos,
    Pause(bool),
    Again(Input),
    Back(Box<Graph>),
}

pub struct Drive {
    pub rng: Rng,
    pub wild: Wild,
    pub now: Time,
    pub config: Config,
    pub mutant: Option<Mutant>,
    pub scheduler: Scheduler,
    pub world: World,
    pub journal: Journal,
    pub ledger: Ledger,
    pub invariants: Vec<Box<dyn Invariant>>,
    pub agenda: BTreeMap<(Time, u64), Happening>,
    pub sequence: u64,
    pub generation: u64,
    /// Watches that listen or will: each start is another epoch.
    pub epochs: BTreeMap<u32, u64>,
    pub listening: BTreeSet<u32>,
    /// The nodes that another program writes too, and until when.
    pub fights: BTreeMap<u32, Time>,
    pub chaos: bool,
    pub stopped: bool,
    pub commit_due: bool,
    pub turns: u64,
    /// Nodes whose numbers have the same remainder of this are grouped; 0: none is.
    classes: u32,
    /// When the last input was handed over.
    pub fed: Time,
    /// The last events, if they are wanted.
    pub story: Option<VecDeque<String>>,
}

pub type Step = Result<(), Breach>;

impl Drive {
    pub fn new(seed: u64, mutant: Option<Mutant>, tell: bool) -> Drive {
        let mut rng = Rng::new(seed);
        let wild = Wild::new(&mut rng);
        let config = Config {
            running_max: rng.pick(&[1, 2, 4, 100]),
            reserve: rng.pick(&[0, 1, 3, 100]),
            converged_timeout: Duration::from_millis(rng.pick(&[0, 0, 500, 2000])),
            // Not drawn: what a seed is otherwise stays the same.
            yielded_max: [0, 1, 2, 100][seed as usize / 5 % 4],
            watch_late: seed % 5 == 4,
            seed,
            node_events: true,
        };
        let ledger = Ledger { late: config.watch_late, ..Ledger::default() };
        Drive {
            rng,
            wild,
            now: Time(0),
            scheduler: begin(&config, mutant),
            config,
            mutant,
            world: World::default(),
            journal: Journal::default(),
            ledger,
            invariants: invariant::all(),
            agenda: BTreeMap::new(),
            sequence: 0,
            generation: 0,
            epochs: BTreeMap::new(),
            listening: BTreeSet::new(),
            fights: BTreeMap::new(),
            chaos: true,
            stopped: false,
            commit_due: false,
            turns: 0,
            // Not drawn: what a seed is otherwise stays the same.
            classes: [0, 0, 1, 2, 0, 3, 0][seed as usize % 7],
            fed: Time(0),
            story: tell.then(VecDeque::new),
        }
    }

    /// The whole run. Returns the number of turns, and the last events if they are wanted.
    pub fn run(mut self) -> Result<(u64, Vec<String>), Breach> {
        let graph = self.wild.graph(&mut self.rng);
        self.swap(graph, &[])?;
        // Sometimes longer than it takes a watch to have succeeded.
        let longer = if self.rng.percent(10) { 25 } else { 0 };
        let end = self.now.after(Duration::from_secs(2 + self.rng.below(12) + longer));
        self.plan(0, Happening::Chaos);
        while self.now < end {
            self.step(end)?;
        }
        self.heal()?;
        Ok((self.turns, self.story.into_iter().flatten().collect()))
    }

    fn heal(&mut self) -> Step {
        self.chaos = false;
        self.note(|| "the faults cease".into());
        for node in self.world.troubles.keys().copied().collect::<Vec<_>>() {
            self.end_trouble(node);
        }
        self.feed(Input::Resume)?;
        let calm = self.now.after(Duration::from_secs(8));
        while self.now < calm {
            self.step(calm)?;
        }
        // Only a swap revives a node that has failed for good (or that waits for its next try below one that waits
        // forever); and senders that kept silent must be asked by a receiver.
        let mut revive: Vec<u32> = self.world.graph.nodes.keys().copied().collect();
        let silent = |node: &u32| self.world.graph.children(*node).any(|(to, _)| self.ledger.lacks(*node, to));
        let failed = |node: &u32| matches!(self.scheduler.state(Node(*node)), State::Failed | State::Retrying);
        let held = |node: &u32| self.world.graph.parents(*node).any(|parent| !self.ledger.is_settled(parent));
        let waits = |node: &u32| self.scheduler.state(Node(*node)) == State::Waiting && held(node);
        revive.retain(|node| silent(node) || failed(node) || waits(node));
        self.swap(self.world.graph.clone(), &revive)?;
        let late = self.now.after(HEAL_MAX);
        let calm = self.now.after(Duration::from_secs(5));
        while self.now < calm || (!self.scheduler.is_converged() && self.now < late) {
            self.step(late)?;
        }
        // The journal may lag.
        while !self.journal.is_flushed() {
            self.commit()?;
        }
        self.ask(|invariant, cx| invariant.end(cx))
    }

    /// The next thing that happens, or time alone.
    pub fn step(&mut self, until: Time) -> Step {
        let timer = self.scheduler.next_timeout();
        let planned = self.agenda.keys().next().copied();
        match (timer, planned) {
            (Some(at), planned) if planned.is_none_or(|(then, _)| at <= then) && at <= until => {
                self.now = self.now.max(at);
                if self.chaos && self.rng.percent(10) {
                    // A timer may be late.
                    self.now = later(self.now, &mut self.rng, 50);
                }
                self.feed(Input::Tick)
            }
            (_, Some(key)) if key.0 <= until => {
                self.now = self.now.max(key.0);
                match self.agenda.remove(&key) {
                    Some(happening) => self.happen(happening),
                    None => Ok(()),
                }
            }
            _ => {
                self.now = until;
                self.feed(Input::Tick)
            }
        }
    }

    pub fn plan(&mut self, in_ms: u64, happening: Happening) {
        let at = later(self.now, &mut self.rng, in_ms.max(1));
        self.plan_at(at, happening);
    }

    pub fn plan_at(&mut self, at: Time, happening: Happening) {
        self.sequence += 1;
        self.agenda.insert((at, self.sequence), happening);
    }

    pub fn happen(&mut self, happening: Happening) -> Step {
        match happening {
            Happening::Effect(op) => {
                if self.world.take_effect(op) {
                    self.note(|| format!("{} is different now", op.node.0));
                    self.repaired(op.node.0);
                }
                self.ask(|invariant, cx| invariant.after(cx))?;
                // Sometimes it has ended already.
                if op.number % 3 == 0 { self.feed(Input::Yielded(op)) } else { Ok(()) }
            }
            Happening::GoOn(op, causes) => self.go_on(op, causes),
            Happening::Answer(op) => {
                if self.world.running(op).is_some_and(|running| running.went_on) {
                    let (outcome, none) = (CheckOutcome::GoesOn, PortSet(0));
                    self.feed(Input::Checked { op, outcome, sent: none, again: none })?;
                }
                let before = self.world.thing(op.node.0);
                let Some(input) = self.world.answer(op, &mut self.rng) else { return Ok(()) };
                if self.world.thing(op.node.0).value != before.value {
                    self.repaired(op.node.0);
                }
                if self.chaos && self.rng.percent(3) {
                    self.plan(100, Happening::Again(input.clone()));
                }
                if let Input::LeaveRefused(op) = input {
                    self.plan(2000, Happening::Again(Input::Recovered(op.node)));
                }
                self.feed(input)
            }
            Happening::WatchReady { node, epoch } if self.epochs.get(&node) == Some(&epoch) => {
                self.listening.insert(node);
                self.feed(Input::WatchReady(Node(node)))
            }
            Happening::WatchFailed { node, epoch } if self.epochs.get(&node) == Some(&epoch) => {
                self.epochs.remove(&node);
                self.listening.remove(&node);
                match self.rng.percent(30) {
                    true => self.feed(Input::WatchWaits(Node(node), Lack { kind: 0, announced: false })),
                    false => self.feed(Input::WatchFailed(Node(node))),
                }
            }
            Happening::WatchReady { .. } | Happening::WatchFailed { .. } => Ok(()),
            Happening::WatchTires { node, epoch } if self.chaos => self.happen(Happening::WatchFailed { node, epoch }),
            Happening::WatchTires { .. } => Ok(()),
            Happening::Changed(node) if self.rng.percent(50) => {
                self.plan_at(self.now, Happening::Changed(node));
                self.hand_over()
            }
            Happening::Changed(node) => {
                self.world.unseen.remove(&node);
                self.world.handed_over += 1;
                self.feed(Input::Changed(Node(node)))
            }
            Happening::Looked(look) => self.looked(look),
            Happening::Undone(node) if self.chaos && self.is_seen(node) => {
                self.note(|| format!("somebody undoes the repair of {node}"));
                self.world.drift(node, &mut self.rng);
                self.notice(node);
                Ok(())
            }
            Happening::Undone(_) => Ok(()),
            Happening::Over(node) => {
                self.end_trouble(node);
                Ok(())
            }
            Happening::Commit => self.commit(),
            Happening::Pause(true) if self.chaos => self.feed(Input::Pause),
            Happening::Pause(true) => Ok(()),
            Happening::Pause(false) => self.feed(Input::Resume),
            Happening::Again(input) => self.feed(input),
            Happening::Back(graph) if self.chaos && self.ledger.stop.is_none() => self.swap(*graph, &[]),
            Happening::Back(_) => Ok(()),
            Happening::Chaos => self.stir(),
        }
    }

    /// A change of it is noticed, sooner or later.
    pub fn is_seen(&self, node: u32) -> bool {
        self.world.graph.nodes.get(&node).is_some_and(|d| d.config.watched || d.config.poll.is_some())
    }

    /// We have changed it. Who fights undoes that, soon.
    fn repaired(&mut self, node: u32) {
        self.notice(node);
        if self.fights.get(&node).is_some_and(|until| *until > self.now) {
            self.plan(5, Happening::Undone(node));
        }
    }

    /// The cause for which operations of a node have failed is over; its watch may report that.
    pub fn end_trouble(&mut self, node: u32) {
        if let Some(trouble) = self.world.troubles.remove(&node) {
            self.note(|| format!("nothing hinders {node} any more"));
            if trouble.lack.announced {
                self.notice(node);
            }
        }
    }

    /// The watch of a node sees that it is different, if it listens.
    pub fn notice(&mut self, node: u32) {
        if self.listening.contains(&node) {
            self.world.unseen.insert(node);
            self.plan(if self.chaos { 100 } else { 10 }, Happening::Changed(node));
        }
    }

    /// All that is in the queue of the kernel is handed over.
    fn hand_over(&mut self) -> Step {
        let mut nodes = Vec::new();
        self.agenda.retain(|_, happening| match happening {
            Happening::Changed(node) => {
                nodes.push(Node(*node));
                false
            }
            _ => true,
        });
        self.world.unseen.clear();
        self.world.handed_over += 1;
        if nodes.is_empty() { Ok(()) } else { self.feed(Input::ChangedTogether(nodes)) }
    }

    fn looked(&mut self, look: u64) -> Step {
        self.hand_over()?;
        self.world.looks -= 1;
        self.feed(Input::Looked(look))
    }

    pub fn swap(&mut self, mut graph: Graph, revive: &[u32]) -> Step {
        if self.classes > 0 {
            graph.group(self.classes);
        }
        self.generation += 1;
        let before = self.world.graph.clone();
        // A node that is not watched or polled any more must be checked at once: nothing else would notice earlier
        // changes.
        let looked_at =
            |g: &Graph, n: &u32| g.nodes.get(n).is_some_and(|d| d.config.watched || d.config.poll.is_some());
        let left: Vec<u32> =
            graph.nodes.keys().filter(|n| looked_at(&before, n) && !looked_at(&graph, n)).copied().collect();
        let changed: Vec<u32> = revive.iter().copied().chain(left).collect();
        let first = !self.ledger.swapped;
        let owes = |edge| first && self.journal.owes(edge);
        let mut swap = graph.swap(&before, self.generation, &changed, owes);
        self.world.follow(graph, swap.nodes.iter().filter(|spec| spec.changed).map(|spec| spec.node.0));
        swap.handovers = self.world.handovers();
        self.feed(Input::Swap(swap))
    }

    /// The journal writes what it has.
    fn commit(&mut self) -> Step {
        self.commit_due = false;
        let mut last: Option<Ticket> = None;
        let mut failed = Vec::new();
        while let Some(batch) = self.journal.take() {
            let fails = self.chaos && batch.ticket.is_some() && self.rng.percent(self.wild.fault_percent / 3);
            if !fails || self.rng.percent(50) {
                self.journal.write(&batch);
            }
            match batch.ticket {
                Some(ticket) if fails => failed.push(ticket),
                Some(ticket) => last = Some(ticket),
                None => {}
            }
        }
        for ticket in failed {
            self.feed(Input::CommitFailed(ticket))?;
        }
        match last {
            Some(ticket) => self.feed(Input::Committed(ticket)),
            None => Ok(()),
        }
    }

    /// Hands an input over, and does what the commands say; everybody watches.
    pub fn feed(&mut self, input: Input) -> Step {
        self.turns += 1;
        if self.turns > TURNS_MAX {
            return Err(self.breach("healed", "it spins, or never heals".into()));
        }
        if input != Input::Tick {
            self.note(|| format!("→ {input:?}"));
        }
        self.fed = self.now;
        self.ask(|invariant, cx| invariant.input(cx, &input))?;
        self.ledger.input(self.now, &input);
        self.scheduler.handle(self.now, input);
        if self.mutant.is_none() {
            self.scheduler.check_invariants();
        }
        while let Some(command) = self.scheduler.poll() {
            self.note(|| format!("    {command:?}"));
            self.ask(|invariant, cx| invariant.command(cx, &command))?;
            self.ledger.command(self.now, &command);
            self.obey(command);
        }
        self.ask(|invariant, cx| invariant.after(cx))
    }

    pub fn ask(&mut self, mut question: impl FnMut(&mut dyn Invariant, &Cx) -> Result<(), String>) -> Step {
        let cx = Cx {
            now: self.now,
            config: &self.config,
            scheduler: &self.scheduler,
            ledger: &self.ledger,
            world: &self.world,
            journal: &self.journal,
        };
        for invariant in &mut self.invariants {
            if let Err(text) = question(invariant.as_mut(), &cx) {
                let name = invariant.name();
                return Err(self.breach(name, text));
            }
        }
        Ok(())
    }
}

pub fn begin(config: &Config, mutant: Option<Mutant>) -> Scheduler {
    let scheduler = Scheduler::new(config.clone());
    match mutant {
        Some(mutant) => scheduler.with_mutant(mutant),
        None => scheduler,
    }
}

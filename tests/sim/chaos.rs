//! What goes wrong, and what people do meanwhile.

use std::time::Duration;

use mgmt::id::{Node, Time};
use mgmt::scheduler::{Input, Lack, StopStage};

use crate::drive::{Drive, Happening, Step, begin};
use crate::ledger::Ledger;
use crate::world::{Act, Trouble};

impl Drive {
    /// A fault, or an outside action.
    pub fn stir(&mut self) -> Step {
        if !self.chaos {
            return Ok(());
        }
        self.plan(600, Happening::Chaos);
        let node = self.somebody();
        let faults = self.wild.fault_percent > 0;
        match self.rng.below(23) {
            0..=6 => {
                if self.is_seen(node) {
                    self.note(|| format!("somebody changes {node}"));
                    self.world.drift(node, &mut self.rng);
                    self.notice(node);
                }
                Ok(())
            }
            7 | 8 => self.feed(Input::Changed(Node(node))),
            // An overflow: everything, at once or one after the other.
            9 if self.rng.below(2) == 0 => self.feed(Input::ChangedTogether((0..self.wild.slots).map(Node).collect())),
            9 => {
                for node in 0..self.wild.slots {
                    self.plan(20, Happening::Changed(node));
                }
                Ok(())
            }
            10 | 11 if faults => match self.epochs.get(&node).copied() {
                Some(epoch) => self.happen(Happening::WatchFailed { node, epoch }),
                None => Ok(()),
            },
            12 => {
                self.plan(1500, Happening::Pause(false));
                self.happen(Happening::Pause(true))
            }
            13 if self.rng.percent(20) => self.crash(),
            14 if self.rng.percent(20) => self.stop(),
            15 | 16 => {
                let graph = self.wild.mutate(&self.world.graph, &mut self.rng);
                self.swap(graph, &[])
            }
            17 => {
                // A node leaves, best in the middle of something, and is soon back.
                self.plan(100, Happening::Back(Box::new(self.world.graph.clone())));
                let mut graph = self.world.graph.clone();
                let leaving = self.world.running.first().map_or(node, |running| running.op.node.0);
                graph.nodes.remove(&leaving);
                graph.edges.retain(|(from, to), _| *from != leaving && *to != leaving);
                self.swap(graph, &[])
            }
            // A fight; best with what has children.
            20 if self.listening.contains(&node) => {
                let until = self.now.after(Duration::from_secs(1 + self.rng.below(6)));
                self.fights.insert(node, until);
                self.happen(Happening::Undone(node))
            }
            18 if self.rng.percent(50) => {
                let busy = self.world.running.iter().find(|running| running.owns.is_some());
                let leaving = busy.map_or(node, |running| running.op.node.0);
                let graph = self.wild.rename(&self.world.graph, leaving, &mut self.rng);
                self.swap(graph, &[])
            }
            21 | 22 if faults => {
                let watched = self.world.graph.nodes.get(&node).is_some_and(|desired| desired.config.watched);
                let lack = Lack { kind: self.rng.below(3) as u8, announced: watched && self.rng.percent(60) };
                let in_apply = self.rng.percent(40);
                self.note(|| format!("something hinders {node}: {lack:?}, in an apply: {in_apply}"));
                self.world.troubles.insert(node, Trouble { lack, in_apply });
                let patience = self.rng.pick(&[100, 1000, 8000]);
                self.plan(patience, Happening::Over(node));
                Ok(())
            }
            19 if self.rng.percent(20) => self.feed(Input::Recovered(Node(node))),
            18 => self.swap(self.world.graph.clone(), &[]),
            _ => self.feed(Input::Tick),
        }
    }

    /// Whom something befalls: often the parent of one that is being applied, where most can go wrong.
    fn somebody(&mut self) -> u32 {
        let writing = self.world.running.iter().find(|running| running.act != Act::Check);
        let parent = writing.and_then(|running| self.world.graph.parents(running.op.node.0).last());
        let anybody = self.rng.below(u64::from(self.wild.slots)) as u32;
        parent.filter(|_| self.rng.percent(60)).unwrap_or(anybody)
    }

    /// Power is cut. What follows is another engine on the same disk.
    fn crash(&mut self) -> Step {
        self.note(|| "crash".into());
        let survivors = self.rng.below(self.journal.queued() as u64 + 1) as usize;
        self.journal.crash(survivors);
        self.world.crash(&mut self.rng);
        self.scheduler = begin(&self.config, self.mutant);
        self.ledger = Ledger { late: self.config.watch_late, ..Ledger::default() };
        self.epochs.clear();
        self.listening.clear();
        self.commit_due = false;
        self.stopped = false;
        self.agenda.retain(|_, happening| matches!(happening, Happening::Chaos | Happening::Pause(_)));
        for invariant in &mut self.invariants {
            invariant.restart();
        }
        self.swap(self.world.graph.clone(), &[])
    }

    /// A clean stop, and then another engine.
    fn stop(&mut self) -> Step {
        self.feed(Input::Stop(StopStage::Drain))?;
        let patience = self.now.after(self.rng.up_to_ms(2000));
        let late = self.now.after(Duration::from_secs(60));
        while !self.stopped && self.now < late {
            if self.now >= patience && self.ledger.stop != Some(StopStage::Cancel) {
                self.feed(Input::Stop(StopStage::Cancel))?;
            }
            let next = if self.now < patience { patience } else { late };
            self.step_without_chaos(next)?;
        }
        if !self.stopped {
            return Err(self.breach("stop", "it does not stop".into()));
        }
        self.crash()
    }

    fn step_without_chaos(&mut self, until: Time) -> Step {
        let chaos: Vec<_> =
            self.agenda.iter().filter(|(_, h)| matches!(h, Happening::Chaos)).map(|(k, _)| *k).collect();
        for key in chaos {
            self.agenda.remove(&key);
            self.plan_at(until.after(Duration::from_millis(1)), Happening::Chaos);
        }
        self.step(until)
    }
}

//! What holds back a node that could run: the parallel bound, semaphores, a pause, the rate limit (sections 5.1 and 6.1
//! of the catalogue).

use std::collections::{BTreeMap, BTreeSet};

use mgmt::id::Time;
use mgmt::scheduler::Command;

use crate::invariant::{Cx, Invariant, Verdict, begun};
use crate::ledger::Cause;
use crate::must;
use crate::scenario::SEMAPHORES;

#[derive(Default)]
pub struct Gates {
    /// Checks of a node that only its watch caused.
    by_watch: BTreeMap<u32, Vec<Time>>,
    /// Semaphores that the last run of each node took.
    taken: BTreeMap<u32, BTreeSet<u32>>,
    /// …and those of the operations that are under way.
    holds: BTreeMap<u32, BTreeSet<u32>>,
}

impl Invariant for Gates {
    fn name(&self) -> &'static str {
        "gates"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        if let Command::Leave(op) = command {
            // Its last run is over, and holds nothing any more.
            self.holds.remove(&op.node.0);
            let running = cx.world.running.len() + 1;
            must!(running <= cx.config.running_max, "{command:?}: {running} at once");
        }
        let Some(node) = begun(command) else { return Ok(()) };
        must!(!cx.ledger.paused, "{command:?} in a pause");
        let running = cx.world.running.len() + 1;
        must!(running <= cx.config.running_max, "{command:?}: {running} at once");
        let entry = &cx.ledger.nodes[&node];
        // Taken when the run begins, whatever a swap says later.
        if let Command::Check { .. } = command {
            self.taken.insert(node, entry.config.sema.iter().map(|(number, _)| *number).collect());
        }
        let taken = self.taken.get(&node).cloned().unwrap_or_default();
        self.holds.insert(node, taken);
        let Command::Check { .. } = command else { return Ok(()) };
        let only_watch = entry.causes.iter().eq([&Cause::Watch]);
        let other =
            entry.unrepaired || entry.asked || cx.ledger.is_owed(node) || entry.polled || entry.config.poll.is_some();
        let Some(rate) = entry.config.limit.filter(|_| only_watch && !other) else { return Ok(()) };
        let checks = self.by_watch.entry(node).or_default();
        checks.push(cx.now);
        for (at, first) in checks.iter().enumerate() {
            let many = (checks.len() - at) as f64;
            let allowed = f64::from(entry.config.burst) + cx.now.since(*first).as_secs_f64() * rate + 1e-3;
            must!(many <= allowed, "{command:?}: {many} checks by the watch since {first:?}, {allowed} are allowed");
        }
        Ok(())
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        // Held from the check to the end of the run; what waits for the journal holds too, but is not seen from here.
        let running: BTreeSet<u32> = cx.world.running.iter().map(|running| running.op.node.0).collect();
        self.holds.retain(|node, _| running.contains(node));
        for (number, size) in SEMAPHORES {
            let holders = self.holds.values().filter(|held| held.contains(number)).count();
            must!(holders <= *size as usize, "semaphore {number} of {size} is held {holders} times");
        }
        // A swap may change limit and burst: counted anew.
        self.by_watch.retain(|node, _| cx.ledger.nodes.contains_key(node));
        Ok(())
    }

    fn input(&mut self, _: &Cx, input: &mgmt::scheduler::Input) -> Verdict {
        if matches!(input, mgmt::scheduler::Input::Swap(_)) {
            self.by_watch.clear();
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.by_watch.clear();
        self.holds.clear();
    }
}

//! Converged: all nodes settled for the timeout, not in a pause; a failed, retrying or blocked node does not converge
//! (section 5.8; R13). A node that only a poll, an event or a tick has caused to run is no activity as long as its check
//! finds nothing; but every look that was due at the end of the timeout has been made. As soon as all this holds, the
//! graph is converged. A node with a timeout of its own has been quiet for that long by then.

use std::collections::BTreeMap;

use mgmt::id::Time;
use mgmt::scheduler::{Command, Event, Input, LATE};

use crate::invariant::{Cx, Invariant, Verdict};
use crate::must;

#[derive(Default)]
pub struct Convergence {
    /// When last something was known not to be settled, or there was a pause.
    last: Time,
    /// The same for each node, with the pauses.
    last_of: BTreeMap<u32, Time>,
    said: bool,
    /// When it first converged.
    first: Option<Time>,
    /// Since when everything has certainly been calm, and when the timeout since then was over.
    calm_since: Option<Time>,
    due: Option<Time>,
}

impl Convergence {
    /// It converges as soon as it may.
    fn is_in_time(&mut self, cx: &Cx) -> Verdict {
        let ledger = cx.ledger;
        // When a poll is due no input tells.
        let polls = ledger.nodes.values().any(|entry| entry.config.poll.is_some() || entry.polled);
        let held = ledger.paused || ledger.stop.is_some() || !ledger.swapped;
        if polls || held || !ledger.all_perhaps_restless().is_empty() || !ledger.undone.is_empty() {
            (self.calm_since, self.due) = (None, None);
            return Ok(());
        }
        let since = *self.calm_since.get_or_insert(cx.now);
        let own = ledger.nodes.values().filter_map(|entry| entry.config.converged_timeout);
        match self.due {
            None if cx.now >= since.after(own.fold(cx.config.converged_timeout, |a, b| a.max(b))) => {
                self.due = Some(cx.now);
            }
            Some(due) if !self.said && ledger.unseen(|asked| asked <= due).is_none() => {
                return Err(format!("all is calm since {since:?}, and it does not converge"));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Invariant for Convergence {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn input(&mut self, _: &Cx, input: &Input) -> Verdict {
        if matches!(input, Input::Swap(_)) {
            // Other timeouts.
            (self.calm_since, self.due) = (None, None);
        }
        Ok(())
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        match command {
            Command::Event(Event::Converged) => {
                must!(!self.said, "converged twice");
                self.said = true;
                self.first.get_or_insert(cx.now);
                must!(!cx.ledger.paused, "converged in a pause");
                must!(cx.ledger.swapped, "converged without a graph");
                let waited = cx.now.since(self.last);
                let enough = cx.ledger.nodes.is_empty() || waited >= cx.config.converged_timeout;
                must!(enough, "converged after {waited:?} of {:?}", cx.config.converged_timeout);
                for (node, entry) in &cx.ledger.nodes {
                    let last = self.last_of.get(node).copied().unwrap_or(Time(0));
                    let (waited, own) = (cx.now.since(last), entry.config.converged_timeout.unwrap_or_default());
                    must!(waited >= own, "converged when {node} had been quiet for {waited:?} of its own {own:?}");
                }
                if let Some(node) = cx.ledger.restless() {
                    return Err(format!("converged, but {node} is not settled: {:?}", cx.ledger.nodes[&node]));
                }
                let due = self.last.after(cx.config.converged_timeout);
                if let Some(node) = cx.ledger.unseen(|asked| asked < due) {
                    let entry = &cx.ledger.nodes[&node];
                    return Err(format!("converged, but {node} was to be looked at before {due:?}: {entry:?}"));
                }
            }
            Command::Event(Event::Unconverged) => {
                must!(self.said, "unconverged, but was not converged");
                self.said = false;
            }
            _ => {}
        }
        Ok(())
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        let is_watched = cx.ledger.nodes.values().any(|entry| entry.config.watched && !entry.dead);
        let is_late = cx.ledger.late && is_watched && cx.ledger.stop.is_none();
        let continues = self.first.is_some_and(|first| cx.now > first.after(LATE));
        must!(!is_late || !continues, "converged at {:?}, and it does not watch yet", self.first);
        must!(self.said == cx.scheduler.is_converged(), "is_converged is not what was said");
        let restless = cx.ledger.restless();
        if restless.is_some() || cx.ledger.paused || !cx.ledger.undone.is_empty() {
            self.last = cx.now;
        }
        let moved = if cx.ledger.paused { cx.ledger.nodes.keys().copied().collect() } else { cx.ledger.all_restless() };
        self.last_of.retain(|node, _| cx.ledger.nodes.contains_key(node));
        self.last_of.extend(moved.into_iter().map(|node| (node, cx.now)));
        must!(!self.said || restless.is_none(), "{restless:?} is not settled, and still it is said to be converged");
        self.is_in_time(cx)
    }

    fn restart(&mut self) {
        *self = Convergence::default();
    }

    fn end(&mut self, cx: &Cx) -> Verdict {
        must!(self.said, "it does not converge; not settled: {:?}", cx.ledger.restless());
        Ok(())
    }
}

//! Nothing of a node runs before its watch is ready, nor while it is being restarted; a check under way is cancelled,
//! an apply left to end (section 4; S07.4, S07.11). With late watches, nothing but checks runs before they begin, and
//! what these find is not repaired: it is looked at again once the watch listens.

use std::collections::BTreeSet;

use mgmt::scheduler::{Command, Input};

use crate::invariant::{Cx, Invariant, Verdict, begun};
use crate::ledger::Watch;
use crate::must;
use crate::world::Act;

#[derive(Default)]
pub struct WatchReady {
    failed: Option<u32>,
    /// Nodes whose last check began before their watch listened.
    unheard: BTreeSet<u32>,
}

impl Invariant for WatchReady {
    fn name(&self) -> &'static str {
        "watch_ready"
    }

    fn input(&mut self, cx: &Cx, input: &Input) -> Verdict {
        self.failed = match input {
            Input::WatchFailed(node) if cx.ledger.nodes.contains_key(&node.0) => Some(node.0),
            _ => None,
        };
        Ok(())
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        if let Some(node) = begun(command) {
            let entry = &cx.ledger.nodes[&node];
            let late = cx.ledger.late && matches!(command, Command::Check { .. });
            let ready = entry.watch == Watch::Ready || !entry.config.watched || late;
            must!(ready, "{command:?} while its watch is {:?}", entry.watch);
            match command {
                Command::Check { .. } if entry.config.watched && entry.watch != Watch::Ready => {
                    self.unheard.insert(node);
                }
                Command::Check { .. } => {
                    self.unheard.remove(&node);
                }
                _ => {
                    let unheard = entry.config.watched && self.unheard.contains(&node);
                    must!(!unheard, "{command:?}: it was checked before its watch listened");
                }
            }
        }
        match command {
            Command::Watch(node) => {
                let entry = &cx.ledger.nodes[&node.0];
                must!(entry.config.watched, "{command:?}: it has no watch");
                must!(matches!(entry.watch, Watch::Off | Watch::Failed), "{command:?} while it is {:?}", entry.watch);
            }
            Command::Unwatch(node) => {
                let watch = cx.ledger.nodes.get(&node.0).map(|entry| entry.watch);
                must!(watch != Some(Watch::Failed), "{command:?}: it has ended by itself");
            }
            _ => {}
        }
        Ok(())
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        if let Some(busy) = self.failed.and_then(|node| cx.ledger.busy.get(&node))
            && busy.act == Act::Check
        {
            must!(busy.cancelled, "the watch of {:?} failed and its check goes on", busy.op);
        }
        Ok(())
    }
}

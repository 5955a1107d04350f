//! What a run tells when it fails: its last events, and what became of each node.

use mgmt::id::Node;

use crate::drive::Drive;

/// At most this many lines of the events are printed when a run fails.
const TOLD: usize = 60;

/// A breach: which invariant, and what happened before.
pub struct Breach {
    pub invariant: &'static str,
    pub text: String,
    pub story: Vec<String>,
}

impl Drive {
    pub fn breach(&self, invariant: &'static str, text: String) -> Breach {
        let mut story: Vec<String> = self.story.iter().flatten().cloned().collect();
        if self.story.is_some() {
            for (node, desired) in &self.world.graph.nodes {
                let state = self.scheduler.state(Node(*node));
                let parents: Vec<u32> = self.world.graph.parents(*node).collect();
                let about = if desired.config.noop { " noop" } else { "" };
                let inputs = self.world.graph.inputs(*node);
                story.push(format!("{node}{about}: {state:?}, parents {parents:?}, receives {inputs:?}"));
            }
        }
        Breach { invariant, text, story }
    }

    pub fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            if story.len() == TOLD {
                story.pop_front();
            }
            story.push_back(format!("{:>10.3} ms  {}", self.now.0 as f64 / 1e6, text()));
        }
    }
}

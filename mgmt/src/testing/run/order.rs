//! Whether the operations on a host kept the order of the graph's edges.

use std::collections::HashMap;

use crate::id::ResourceId;
use crate::runtime::{Act, Deed, Ended, Stage};
use crate::testing::run::engine::Run;

impl Run {
    /// All operations on the host so far.
    pub(in crate::testing) fn deeds(&self) -> Vec<Deed> {
        self.host().part::<Stage>().deeds()
    }

    /// The first repair or refresh that began although a resource that comes first had not run, was at work, or had
    /// failed.
    pub(in crate::testing) fn breach_of_order(&self) -> Option<String> {
        let mut parents: HashMap<&ResourceId, Vec<&ResourceId>> = HashMap::new();
        self.edges().iter().for_each(|(from, to)| parents.entry(to).or_default().push(from));
        let deeds = self.deeds();
        let mut last: HashMap<(usize, &ResourceId), &Deed> = HashMap::new();
        for deed in &deeds {
            let repairs = deed.act != Act::Check;
            for parent in parents.get(&deed.id).into_iter().flatten().filter(|_| repairs) {
                let before = last.get(&(deed.process, *parent));
                let why = match before {
                    None => "had not been checked",
                    Some(before) if before.span.1 > deed.span.0 => "had not ended",
                    Some(before) if before.ended == Ended::Failed => "had failed",
                    Some(_) => continue,
                };
                let what = if deed.act == Act::Apply { "applied" } else { "refreshed" };
                return Some(format!("{} was {what} when {parent}, which comes first, {why}", deed.id));
            }
            last.insert((deed.process, &deed.id), deed);
        }
        None
    }
}

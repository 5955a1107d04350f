//! Numbers for names: a name that is in two successive graphs has the same number in both.

use std::collections::HashMap;

/// The names of the newest graph, and their numbers.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    known: HashMap<String, Numbered>,
    next: u32,
}

#[derive(Debug)]
struct Numbered {
    number: u32,
    /// The name is in the newest graph.
    used: bool,
}

impl Numbers {
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(known) = self.known.get_mut(name) {
            known.used = true;
            return known.number;
        }
        self.next += 1;
        self.known.insert(name.to_owned(), Numbered { number: self.next - 1, used: true });
        self.next - 1
    }

    /// All names of the graph have their numbers. `is_busy`: something may hold a number of an earlier graph, which is
    /// kept.
    pub(super) fn end_graph(&mut self, is_busy: bool) {
        self.known.retain(|_, known| std::mem::take(&mut known.used) || is_busy);
    }
}

//! The last events of an engine, for clients that ask why a resource is in its state. Bounded in number and in bytes,
//! whatever the size of the graph; checks that found nothing are kept apart, so that they do not displace repairs.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::id::{Node, ResourceId, Time};
use crate::resource::Change;
use crate::runtime::event::EventKind;
use crate::scheduler::Causes;

/// The most checks without a finding that are kept.
const LOOKS_MAX: usize = 2048;
/// The most other events that are kept.
const EVENTS_MAX: usize = 4096;
/// The most bytes that the texts of these may take.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// A longer text is shortened.
const TEXT_MAX: usize = 2048;
/// Of more changes in one event the rest is left out.
const CHANGES_MAX: usize = 16;

/// The last events.
#[derive(Debug, Default)]
pub(crate) struct History {
    looks: VecDeque<Look>,
    events: VecDeque<Kept>,
    bytes: usize,
    /// How many events there have been.
    count: u64,
}

/// A check that found the resource as declared.
#[derive(Debug)]
struct Look {
    number: u64,
    at: Time,
    node: Node,
    causes: Causes,
}

#[derive(Debug)]
struct Kept {
    bytes: usize,
    event: Remembered,
}

/// An event that is remembered.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    /// Counted over all events of the engine.
    pub(crate) number: u64,
    /// The time since the engine started.
    pub(crate) at: Duration,
    pub(crate) kind: Arc<EventKind>,
}

impl History {
    /// A check found the resource as declared. This costs a few nanoseconds: there can be millions.
    pub(crate) fn note_look(&mut self, at: Time, node: Node, causes: Causes) {
        if self.looks.len() >= LOOKS_MAX {
            self.looks.pop_front();
        }
        self.looks.push_back(Look { number: self.count, at, node, causes });
        self.count += 1;
    }

    /// Any other event.
    pub(crate) fn note(&mut self, at: Duration, mut kind: EventKind) {
        shorten(&mut kind);
        let bytes = bytes(&kind);
        self.bytes += bytes;
        while self.events.len() >= EVENTS_MAX || (self.bytes > TEXT_BYTES_MAX && !self.events.is_empty()) {
            let Some(first) = self.events.pop_front() else { break };
            self.bytes -= first.bytes;
        }
        let event = Remembered { number: self.count, at, kind: Arc::new(kind) };
        self.events.push_back(Kept { bytes, event });
        self.count += 1;
    }

    /// The numbers of these nodes become free for other resources.
    pub(crate) fn forget(&mut self, removed: &[Node]) {
        if !removed.is_empty() && !self.looks.is_empty() {
            let removed: HashSet<Node> = removed.iter().copied().collect();
            self.looks.retain(|look| !removed.contains(&look.node));
        }
    }

    /// All that is remembered, in its order. `id` names a node.
    pub(crate) fn recall(&self, id: impl Fn(Node) -> ResourceId) -> Vec<Remembered> {
        let looks = self.looks.iter().map(|look| Remembered {
            number: look.number,
            at: look.at.since(Time(0)),
            kind: Arc::new(EventKind::InSync { id: id(look.node), causes: look.causes, owed: false }),
        });
        let mut all: Vec<Remembered> = self.events.iter().map(|kept| kept.event.clone()).chain(looks).collect();
        all.sort_unstable_by_key(|event| event.number);
        all
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.looks.capacity() * size_of::<Look>() + self.events.capacity() * size_of::<Kept>() + self.bytes
    }
}

/// Cuts a long text.
pub(crate) fn shortened(text: &mut String) {
    if text.len() > TEXT_MAX {
        let end = (0..=TEXT_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
}

/// The first changes, with short texts.
pub(crate) fn shorten_changes(changes: &mut Vec<Change>) {
    changes.truncate(CHANGES_MAX);
    for change in changes {
        let Change { field, from, to, diff, .. } = change;
        [Some(field), Some(from), Some(to), diff.as_mut()].into_iter().flatten().for_each(shortened);
    }
}

/// An event with short texts.
pub(crate) fn shorten(kind: &mut EventKind) {
    match kind {
        EventKind::Drifted { changes, .. } | EventKind::Applied { changes, .. } => shorten_changes(changes),
        EventKind::Failed { error, .. } | EventKind::Waiting { error, .. } => shortened(error),
        EventKind::Left { error: Some(error), .. } => shortened(error),
        EventKind::Rejected { problems } => shortened(problems),
        EventKind::Kept { why, .. } => shortened(why),
        EventKind::Undone { done, .. } => {
            done.truncate(CHANGES_MAX);
            done.iter_mut().for_each(shortened);
        }
        EventKind::Warning { message } => shortened(message),
        _ => {}
    }
}

/// About how many bytes an event takes.
fn bytes(kind: &EventKind) -> usize {
    let of_change = |change: &Change| {
        size_of::<Change>()
            + change.field.len()
            + change.from.len()
            + change.to.len()
            + change.diff.as_ref().map_or(0, String::len)
    };
    let texts = match kind {
        EventKind::Drifted { changes, .. } | EventKind::Applied { changes, .. } => changes.iter().map(of_change).sum(),
        EventKind::Failed { error, .. } | EventKind::Waiting { error, .. } => error.len(),
        EventKind::Left { error: Some(error), .. } => error.len(),
        EventKind::Rejected { problems } => problems.len(),
        EventKind::Kept { why, record, .. } => why.len() + record.len(),
        EventKind::Undone { done, .. } => done.iter().map(String::len).sum(),
        EventKind::Warning { message } => message.len(),
        _ => 0,
    };
    size_of::<EventKind>() + kind.id().map_or(0, |id| id.name.len()) + texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(node: Node) -> ResourceId {
        ResourceId::new("noop", node.0.to_string())
    }

    fn drifted(text: &str) -> EventKind {
        let id = ResourceId::new("file", "/x");
        EventKind::Drifted {
            id,
            causes: Causes::NONE,
            changes: vec![Change::new("content", text, "b")],
            noop: false,
            alert: false,
        }
    }

    #[test]
    fn checks_that_found_nothing_displace_no_other_event_and_both_are_recalled_in_their_order() {
        let mut history = History::default();
        history.note(Duration::ZERO, drifted("a"));
        (0..3 * LOOKS_MAX as u32).for_each(|n| history.note_look(Time(1), Node(n), Causes::NONE));
        history.note(Duration::from_secs(1), EventKind::Converged);
        let all = history.recall(named);
        assert_eq!(all.len(), LOOKS_MAX + 2);
        assert!(matches!(*all[0].kind, EventKind::Drifted { .. }));
        assert!(matches!(&*all[1].kind, EventKind::InSync { id, .. } if id.name == (2 * LOOKS_MAX).to_string()));
        assert!(matches!(*all[all.len() - 1].kind, EventKind::Converged));
    }

    #[test]
    fn what_is_kept_has_bounded_memory_whatever_the_events_are() {
        let mut history = History::default();
        let long = "größe ".repeat(10_000);
        for n in 0..20_000 {
            history.note(Duration::from_secs(n), drifted(if n % 2 == 0 { &long } else { "a" }));
            history.note_look(Time(n), Node(0), Causes::NONE);
        }
        assert!(history.memory() < 2 << 20, "{}", history.memory());
        let all = history.recall(named);
        let last = all.iter().rev().find_map(|event| match &*event.kind {
            EventKind::Drifted { changes, .. } if changes[0].from.len() > 10 => Some(changes[0].from.clone()),
            _ => None,
        });
        let last = last.unwrap();
        assert!(last.len() < TEXT_MAX + 10 && last.ends_with('…'), "{}", last.len());
    }

    #[test]
    fn a_number_that_another_resource_gets_has_no_past() {
        let mut history = History::default();
        (0..4).for_each(|n| history.note_look(Time(1), Node(n), Causes::NONE));
        history.forget(&[Node(1), Node(3)]);
        let names: Vec<_> =
            history.recall(named).iter().filter_map(|event| Some(event.kind.id()?.name.clone())).collect();
        assert_eq!(names, ["0", "2"]);
    }
}

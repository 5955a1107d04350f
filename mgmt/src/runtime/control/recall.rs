//! What the remembered events tell about one resource: its own events, and which events of others have caused them.

use std::collections::HashSet;
use std::time::Duration;

use super::protocol::EventReport;
use crate::id::ResourceId;
use crate::runtime::event::EventKind;
use crate::runtime::history::Remembered;
use crate::scheduler::{Cause, Causes};

/// At most this many resources are named as the reason for a check.
const NAMED_MAX: usize = 5;

/// Whether the event is about this resource, or about what it does to another one.
pub(super) fn concerns(kind: &EventKind, id: &ResourceId) -> bool {
    kind.id() == Some(id) || matches!(kind, EventKind::Owed { from, .. } | EventKind::Sent { from, .. } if from == id)
}

/// Why the run began that the event belongs to.
fn causes(kind: &EventKind) -> Causes {
    match kind {
        EventKind::InSync { causes, .. }
        | EventKind::Drifted { causes, .. }
        | EventKind::Applied { causes, .. }
        | EventKind::Refreshed { causes, .. }
        | EventKind::Failed { causes, .. }
        | EventKind::Waiting { causes, .. } => *causes,
        _ => Causes::NONE,
    }
}

/// The event ends a run.
fn ends_run(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Drifted { noop: false, .. }) && !causes(kind).is_empty()
}

/// An event as a line of the protocol. `now` is the time since the engine started.
pub(super) fn report(event: &Remembered, now: Duration) -> EventReport {
    EventReport {
        at: event.at,
        ago: now.saturating_sub(event.at),
        text: event.kind.to_string(),
        why: reason(causes(&event.kind), &[], false),
        because: Vec::new(),
        asked: false,
        what: serde_json::to_value(&*event.kind).unwrap_or_default(),
    }
}

/// The last events of a resource, each with what has caused it. `parents`: the resources with an edge to it.
pub(super) fn story(
    events: &[Remembered],
    id: &ResourceId,
    parents: &HashSet<ResourceId>,
    now: Duration,
    count_max: usize,
) -> Vec<EventReport> {
    let own: Vec<usize> = (0..events.len()).filter(|at| concerns(&events[*at].kind, id)).collect();
    let first = own.len().saturating_sub(count_max);
    let mut all = Vec::new();
    for at in &own[first..] {
        let mut one = report(&events[*at], now);
        let causes = causes(&events[*at].kind);
        let is_end = |before: &&usize| **before < *at && ends_run(&events[**before].kind);
        let is_own = |before: &&usize| events[**before].kind.id() == Some(id);
        let from = own.iter().rev().filter(is_own).find(is_end).map_or(0, |end| end + 1);
        let (window, before) = (&events[from..*at], &events[..from]);
        one.because = senders(causes, id, parents, window, before);
        one.asked = window.iter().any(|event| matches!(&*event.kind, EventKind::Asked { id: of } if of == id))
            && (causes.contains(Cause::Watch) || causes.contains(Cause::Retry));
        one.why = reason(causes, &one.because, one.asked);
        all.push(one);
    }
    all
}

/// The resources by which a run was caused: those whose event came since the run before, or else the last one.
fn senders(
    causes: Causes,
    id: &ResourceId,
    parents: &HashSet<ResourceId>,
    window: &[Remembered],
    before: &[Remembered],
) -> Vec<ResourceId> {
    let is_change = |kind: &EventKind| {
        matches!(kind, EventKind::Applied { changed: true, .. } | EventKind::Refreshed { changed: true, .. })
    };
    let mut found = Vec::new();
    let mut look = |is: &dyn Fn(&EventKind) -> Option<ResourceId>| {
        let mut of: Vec<ResourceId> = window.iter().filter_map(|event| is(&event.kind)).collect();
        if of.is_empty() {
            of.extend(before.iter().rev().find_map(|event| is(&event.kind)));
        }
        for one in of {
            if !found.contains(&one) && found.len() < NAMED_MAX {
                found.push(one);
            }
        }
    };
    if causes.contains(Cause::Refresh) {
        look(&|kind| match kind {
            EventKind::Owed { from, to } if to == id => Some(from.clone()),
            _ => None,
        });
    }
    if causes.contains(Cause::Value) {
        look(&|kind| match kind {
            EventKind::Sent { from, to } if to == id => Some(from.clone()),
            _ => None,
        });
    }
    if causes.contains(Cause::Parent) || causes.contains(Cause::Tick) {
        look(&|kind| kind.id().filter(|of| is_change(kind) && parents.contains(of)).cloned());
    }
    found
}

/// The causes of a check in words.
fn reason(causes: Causes, by: &[ResourceId], asked: bool) -> String {
    let named = by.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    let or = |known: &str, unknown: &str| match by {
        [] => unknown.to_owned(),
        _ => format!("{named} {known}"),
    };
    let mut texts: Vec<String> = Vec::new();
    if asked {
        texts.push("a client asked for it".to_owned());
    }
    for cause in causes.iter() {
        let text = match cause {
            Cause::Start => "it was new in the graph, or the engine had just started".to_owned(),
            Cause::Watch | Cause::Retry if asked => continue,
            Cause::Watch => "its watch reported a change".to_owned(),
            Cause::Listening => "its watch began to listen".to_owned(),
            Cause::Poll => "its poll was due".to_owned(),
            Cause::Parent => or("changed", "a resource before it changed"),
            Cause::Value => or("sent a new value", "it received a new value"),
            Cause::Config => "a new graph changed it".to_owned(),
            Cause::Refresh => or("changed and notifies it", "it was owed a refresh"),
            Cause::Remake => "a receiver needs its values again".to_owned(),
            Cause::Retry => "an earlier try failed".to_owned(),
            Cause::Again => "the run before gave no result".to_owned(),
            Cause::Tick => or("ticked", "a resource before it ticked"),
        };
        // With a name, one reason is enough.
        if by.is_empty() || !texts.iter().any(|before| before.starts_with(&named)) {
            texts.push(text);
        }
    }
    texts.join("; ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::resource::Change;

    fn id(name: &str) -> ResourceId {
        ResourceId::new("file", name)
    }

    fn remembered(kinds: Vec<EventKind>) -> Vec<Remembered> {
        let numbered = (0..).zip(kinds);
        numbered.map(|(n, kind)| Remembered { number: n, at: Duration::from_secs(n), kind: Arc::new(kind) }).collect()
    }

    fn applied(name: &str, causes: Causes) -> EventKind {
        let (changes, took) = (vec![Change::new("content", "a", "b")], Duration::ZERO);
        EventKind::Applied { id: id(name), causes, changes, changed: true, refreshed: false, took }
    }

    fn in_sync(name: &str, causes: Causes) -> EventKind {
        EventKind::InSync { id: id(name), causes, owed: false }
    }

    fn told(events: Vec<EventKind>, of: &str, parents: &[&str]) -> Vec<String> {
        let parents = parents.iter().map(|name| id(name)).collect();
        let story = story(&remembered(events), &id(of), &parents, Duration::from_secs(10), 20);
        story.into_iter().map(|event| event.why).collect()
    }

    #[test]
    fn a_check_is_caused_by_the_parents_that_changed_since_the_one_before() {
        let events = vec![
            applied("/a", Cause::Start.into()),
            in_sync("/x", Cause::Start.into()),
            applied("/stranger", Cause::Watch.into()),
            applied("/b", Cause::Watch.into()),
            in_sync("/x", Cause::Parent.into()),
            // The change came while the check before was under way.
            in_sync("/x", Cause::Parent.into()),
        ];
        let start = "it was new in the graph, or the engine had just started";
        assert_eq!(told(events, "/x", &["/a", "/b"]), [start, "file[/b] changed", "file[/b] changed"]);
        let forgotten = told(vec![in_sync("/x", Cause::Parent.into())], "/x", &["/a"]);
        assert_eq!(forgotten, ["a resource before it changed"]);
    }

    #[test]
    fn a_refresh_and_a_value_name_the_resource_that_they_came_from_and_a_client_is_named_too() {
        let parent = || [Cause::Parent, Cause::Refresh].into_iter().collect::<Causes>();
        let events = vec![
            EventKind::Owed { from: id("/a"), to: id("/x") },
            applied("/a", Cause::Watch.into()),
            EventKind::Refreshed { id: id("/x"), causes: parent(), changed: true, took: Duration::ZERO },
            EventKind::Sent { from: id("/b"), to: id("/x") },
            in_sync("/x", Cause::Value.into()),
            EventKind::Asked { id: id("/x") },
            in_sync("/x", Cause::Watch.into()),
            in_sync("/x", Cause::Watch.into()),
        ];
        assert_eq!(
            told(events, "/x", &["/a", "/b"]),
            [
                "",
                "file[/a] changed",
                "",
                "file[/b] sent a new value",
                "",
                "a client asked for it",
                "its watch reported a change"
            ]
        );
    }
}

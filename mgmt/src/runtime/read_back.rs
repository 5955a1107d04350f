//! What an engine reports is read back from data as it was written.

use std::path::PathBuf;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::id::{Generation, ResourceId};
use crate::plan::{After, Outcome, Plan, PlanEntry, PlanUndo};
use crate::resource::{Change, Obstacle, ObstacleKind};
use crate::runtime::{Event, EventKind, Operation, Process, Progress, ResourceStatus, RunningStatus, Standing, Status};
use crate::scheduler::{Cause, Causes};

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let line = serde_json::to_string(value).unwrap();
    assert!(!line.contains('\n'));
    assert_eq!(&serde_json::from_str::<T>(&line).unwrap(), value, "{line}");
}

fn id() -> impl Strategy<Value = ResourceId> {
    ("[a-z:]{1,8}", "(?s).{1,20}").prop_map(|(kind, name)| ResourceId::new(&kind, name))
}

/// Less than about three months, of which a fraction in a number of seconds keeps each nanosecond.
fn time() -> impl Strategy<Value = Duration> {
    (0..1u64 << 22, 0..1_000_000_000u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

fn causes() -> impl Strategy<Value = Causes> {
    vec(proptest::sample::select(Cause::ALL), 0..4).prop_map(|causes| causes.into_iter().collect())
}

fn change() -> impl Strategy<Value = Change> {
    let text = || "(?s).{0,20}";
    (text(), text(), text(), option::of(text()), option::of(text()))
        .prop_map(|(field, from, to, diff, hidden)| Change { field, from, to, diff, hidden })
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    vec(change(), 0..3)
}

fn obstacle() -> impl Strategy<Value = Obstacle> {
    use ObstacleKind::*;
    let kinds = [Missing, InTheWay, Busy, NoSpace, NoPermission, ReadOnly, NoComponent, NoDescriptors, Changing];
    (proptest::sample::select(kinds.to_vec()), option::of("(?s).{1,20}"))
        .prop_map(|(kind, path)| Obstacle { kind, path: path.map(PathBuf::from) })
}

fn operation() -> impl Strategy<Value = Operation> {
    proptest::sample::select(&[Operation::Check, Operation::Apply, Operation::Refresh, Operation::Watch][..])
}

/// Parts of which events are made.
#[derive(Clone, Debug)]
struct Parts {
    id: ResourceId,
    other: ResourceId,
    causes: Causes,
    changes: Vec<Change>,
    flags: (bool, bool),
    took: Duration,
    text: String,
    error: Option<String>,
    retry_in: Option<Duration>,
    obstacle: Obstacle,
    operation: Operation,
    count: u32,
}

fn parts() -> impl Strategy<Value = Parts> {
    let first = (id(), id(), causes(), changes(), any::<(bool, bool)>(), time());
    let text = || "(?s).{0,40}";
    (first, text(), option::of(text()), option::of(time()), obstacle(), operation(), any::<u32>()).prop_map(
        |((id, other, causes, changes, flags, took), text, error, retry_in, obstacle, operation, count)| Parts {
            id,
            other,
            causes,
            changes,
            flags,
            took,
            text,
            error,
            retry_in,
            obstacle,
            operation,
            count,
        },
    )
}

/// One event of each kind.
fn all(parts: Parts) -> Vec<EventKind> {
    let Parts { id, other, causes, changes, flags, took, text, error, retry_in, obstacle, operation, count } = parts;
    let (id, other, changes, text) = (|| id.clone(), || other.clone(), || changes.clone(), || text.clone());
    let (program, user) = (Some(PathBuf::from(text())), error.clone());
    let by: Process = serde_json::from_value(json!({ "pid": count, "program": program, "user": user })).unwrap();
    let generation = Generation(u64::from(count) << 32);
    vec![
        EventKind::InSync { id: id(), causes, owed: flags.0 },
        EventKind::Drifted { id: id(), causes, changes: changes(), noop: flags.0, alert: flags.1 },
        EventKind::Applied { id: id(), causes, changes: changes(), changed: flags.0, refreshed: flags.1, took },
        EventKind::Refreshed { id: id(), causes, changed: flags.0, took },
        EventKind::Left { id: id(), error: error.clone(), retry_in },
        EventKind::Undoing { id: id() },
        EventKind::Undone { id: id(), done: vec![text(), text()] },
        EventKind::Kept { id: id(), why: text(), record: text() },
        EventKind::HandedOver { from: id(), to: other() },
        EventKind::Owed { from: id(), to: other() },
        EventKind::Sent { from: id(), to: other() },
        EventKind::Failed { id: id(), causes, operation, error: text(), retry_in },
        EventKind::Waiting { id: id(), causes, operation, error: text(), waits_for: obstacle, announced: flags.0 },
        EventKind::Blocked { id: id(), by: other() },
        EventKind::Unblocked { id: id() },
        EventKind::Flapping { id: id(), repairs: count, within: took, took, every: took },
        EventKind::Culprit { id: id(), path: text().into(), by },
        EventKind::Swapped { generation, added: count, changed: count, removed: count, kept: count },
        EventKind::Rejected { problems: text() },
        EventKind::Converged,
        EventKind::Unconverged,
        EventKind::Hopeless,
        EventKind::Hopeful,
        EventKind::Asked { id: id() },
        EventKind::Exit { id: id(), code: count as u8 },
        EventKind::Warning { message: text() },
        EventKind::Stopped,
        EventKind::Unknown,
    ]
}

fn standing() -> impl Strategy<Value = Standing> {
    let alone = [
        Standing::Settled,
        Standing::Noop,
        Standing::Alert,
        Standing::Hidden,
        Standing::WaitingForWatch,
        Standing::Ready,
        Standing::Spaced,
        Standing::Running,
        Standing::Retrying,
        Standing::Waiting,
        Standing::Failed,
    ];
    let ids = || vec(id(), 0..3);
    prop_oneof![
        proptest::sample::select(alone.to_vec()),
        ids().prop_map(Standing::WaitingForParents),
        ids().prop_map(Standing::WaitingForValue),
        ids().prop_map(Standing::Blocked),
        ids().prop_map(Standing::WaitingForPredecessor),
        ids().prop_map(Standing::WaitingForGroup),
    ]
}

proptest! {
    #[test]
    fn every_event_comes_back(parts in parts(), at in time()) {
        let mut words: Vec<&str> = Vec::new();
        for kind in all(parts) {
            words.push(kind.word());
            comes_back(&Event { at, kind });
        }
        words.sort_unstable();
        words.dedup();
        prop_assert_eq!(words.len(), 28);
    }

    #[test]
    fn every_status_comes_back(
        parts in parts(),
        resources in vec((id(), standing(), changes(), option::of(obstacle())), 0..4),
        owed in vec((id(), id()), 0..3),
    ) {
        let Parts { id, causes, took, text, error, flags, count, .. } = parts;
        let running = RunningStatus { id, operation: text.clone(), elapsed: took, causes };
        let notable = resources.into_iter().map(|(id, standing, changes, waits_for)| {
            ResourceStatus { id, standing, changes, error: error.clone(), waits_for }
        });
        let count = count as usize;
        comes_back(&Status {
            generation: Generation(7),
            graph: text,
            resources: count,
            settled: count,
            failed: count,
            converged: flags.0,
            hopeless: flags.1,
            cluster: error.clone(),
            alerts: count,
            notable: notable.collect(),
            running: vec![running.clone()],
            owed,
            memory: count,
        });
        let longest = Some(running);
        comes_back(&Progress { resources: count, settled: count, failed: 1, blocked: 2, running: 3, longest });
    }

    #[test]
    fn every_plan_comes_back(
        parts in parts(),
        lists in (vec(id(), 0..2), vec(id(), 0..2), vec(id(), 0..2), vec(id(), 0..2)),
        remarks in vec("(?s).{0,20}", 0..2),
    ) {
        let Parts { id, other, changes, flags, text, error, obstacle, .. } = parts;
        let (refreshed_by, refresh_owed_by, asked_by, owed_by) = lists;
        let outcomes = [
            Outcome::InSync,
            Outcome::Hidden,
            Outcome::Drifted { changes, noop: flags.0, alert: flags.1 },
            Outcome::Unknown { until: refreshed_by.clone(), now: error.clone() },
            Outcome::Blocked { by: asked_by.clone() },
            Outcome::Failed { error: text.clone(), waits_for: Some(obstacle) },
            Outcome::Failed { error: text.clone(), waits_for: None },
        ];
        let entry = |outcome| PlanEntry {
            id: id.clone(),
            origin: text.clone(),
            exported_by: error.clone(),
            after: vec![After::new(other.clone(), text.clone())],
            outcome,
            obstacle: error.clone(),
            refreshed_by: refreshed_by.clone(),
            refresh_owed_by: refresh_owed_by.clone(),
            asked_by: asked_by.clone(),
            owed_by: owed_by.clone(),
            irreversible: remarks.first().cloned(),
            remarks: remarks.clone(),
        };
        let plan = Plan::new(text.clone(), outcomes.into_iter().map(entry).collect());
        comes_back(&plan.with_undo(vec![PlanUndo::new(other.clone(), vec![text.clone()])]));
    }
}

#[test]
fn what_a_later_version_has_added_does_no_harm() {
    let read = |data| serde_json::from_value::<Event>(data).unwrap();
    let later = read(json!({ "at": 1, "event": "later", "id": "file[x]", "more": [1] }));
    assert_eq!((later.kind.word(), later.kind.id()), ("unknown", None));
    let more = read(json!({
        "at": 1, "event": "in_sync", "id": "noop[n]", "causes": ["watch", "of a later version"], "more": {},
    }));
    let EventKind::InSync { causes, owed, .. } = more.kind else { panic!("{more:?}") };
    assert_eq!((causes, owed), (Cause::Watch.into(), false));
}

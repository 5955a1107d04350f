//! The contract of a world, for any implementation: `contract!(Ground)` makes one test of each function below.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use crate::resource::{
    Condition, Keys, LeaseId, Member, Revision, Snapshot, Transaction, World, WorldError, WorldEvent, WorldWatch, Write,
};

/// A world under test, and the faults that can be brought about in it.
pub(super) trait Ground: Sized {
    fn begin() -> Self;
    fn world(&self) -> Arc<dyn World>;
    /// The host can't reach the world.
    fn cut(&self, host: &str);
    fn mend(&self, host: &str);
    /// The store forgets the changes before now.
    async fn compact(&self);
}

/// `contract!(Ground)`, or with attributes for each test. In a world in this process time is not waited for.
macro_rules! contract {
    ($ground:ty) => {
        crate::world::tests::contract::contract!($ground, #[tokio::test(start_paused = true)]);
    };
    ($ground:ty, $(#[$attribute:meta])+) => {
        crate::world::tests::contract::contract!($ground, [$(#[$attribute])+]:
            a_snapshot_has_what_was_written_and_its_revision,
            a_snapshot_has_no_other_keys,
            a_watch_continues_where_the_snapshot_ends,
            one_transaction_is_one_event,
            a_watch_is_not_woken_by_other_keys,
            a_condition_that_does_not_hold_prevents_all_writes,
            of_two_that_write_on_the_same_condition_one_succeeds,
            a_transaction_that_changes_nothing_makes_no_revision,
            forgotten_changes_are_reported,
            a_host_that_is_cut_off_takes_a_snapshot_and_misses_nothing,
            keys_of_a_lease_leave_together_when_it_is_not_renewed,
            a_lease_that_is_renewed_stays,
            revoking_a_lease_removes_its_keys,
            a_key_that_is_written_without_a_lease_outlives_it,
            any_bytes_are_kept,
        );
    };
    ($ground:ty, $attributes:tt: $($name:ident),+ $(,)?) => {
        $(crate::world::tests::contract::contract!(one $ground, $attributes, $name);)+
    };
    (one $ground:ty, [$($attribute:tt)+], $name:ident) => {
            $($attribute)+
            async fn $name() {
                crate::world::tests::contract::$name(<$ground as crate::world::tests::contract::Ground>::begin()).await;
            }
    };
}
pub(super) use contract;

/// The next event. Fails if none comes within a minute.
pub(super) async fn next(watch: &mut WorldWatch) -> WorldEvent {
    let event = tokio::time::timeout(Duration::from_secs(60), poll_fn(|cx| watch.as_mut().poll_next(cx)));
    event.await.expect("an event within a minute").expect("an event before the end")
}

/// Whether nothing comes for a second.
async fn is_quiet(watch: &mut WorldWatch) -> bool {
    tokio::time::timeout(Duration::from_secs(1), poll_fn(|cx| watch.as_mut().poll_next(cx))).await.is_err()
}

pub(super) async fn put(member: &dyn Member, key: &str, value: &str) -> Revision {
    commit(member, &[(key, Some(value))], None).await
}

/// Writes these values, and removes keys without one.
async fn commit(member: &dyn Member, writes: &[(&str, Option<&str>)], lease: Option<LeaseId>) -> Revision {
    let write = |value: &Option<&str>| match value {
        Some(value) => Write::Put(value.as_bytes().into(), lease),
        None => Write::Remove,
    };
    let writes = writes.iter().map(|(key, value)| ((*key).to_owned(), write(value))).collect();
    member.commit(Transaction { conditions: Vec::new(), writes }).await.unwrap().unwrap()
}

fn below(prefix: &str) -> Vec<Keys> {
    vec![Keys::Below(prefix.to_owned())]
}

fn texts(snapshot: &Snapshot) -> Vec<(&str, &str)> {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    snapshot.entries.iter().map(|(key, entry)| (key.as_str(), text(&*entry.value))).collect()
}

/// The keys and texts of the next event; a removed key has none.
async fn changed(watch: &mut WorldWatch) -> Vec<(String, Option<String>)> {
    match next(watch).await {
        WorldEvent::Changed(changes) => {
            let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
            let shown = |(key, entry): (String, Option<crate::resource::Entry>)| (key, entry.map(|e| text(&e.value)));
            changes.entries.into_iter().map(shown).collect()
        }
        WorldEvent::Lost(why) => panic!("lost: {why}"),
    }
}

fn some(key: &str, value: &str) -> (String, Option<String>) {
    (key.to_owned(), Some(value.to_owned()))
}

fn gone(key: &str) -> (String, Option<String>) {
    (key.to_owned(), None)
}

pub(super) async fn a_snapshot_has_what_was_written_and_its_revision(ground: impl Ground) {
    let member = ground.world().member("web1");
    let empty = member.get(below("t/")).await.unwrap();
    assert!(empty.entries.is_empty());
    let first = put(&*member, "t/a", "1").await;
    let second = put(&*ground.world().member("web2"), "t/b", "2").await;
    assert!(empty.revision < first && first < second);
    let snapshot = member.get(below("t/")).await.unwrap();
    assert_eq!(texts(&snapshot), [("t/a", "1"), ("t/b", "2")]);
    assert_eq!(snapshot.revision, second);
    assert_eq!([snapshot.entries["t/a"].written, snapshot.entries["t/b"].written], [first, second]);
}

pub(super) async fn a_snapshot_has_no_other_keys(ground: impl Ground) {
    let member = ground.world().member("web1");
    commit(&*member, &[("t/a", Some("1")), ("t/a/b", Some("2")), ("t", Some("3")), ("u", Some("4"))], None).await;
    assert_eq!(texts(&member.get(below("t/")).await.unwrap()), [("t/a", "1"), ("t/a/b", "2")]);
    let one = |key: &str| Keys::One(key.to_owned());
    assert_eq!(texts(&member.get(vec![one("t/a"), one("x")]).await.unwrap()), [("t/a", "1")]);
    let both = vec![one("t/a"), Keys::Below("t/a".to_owned()), one("u")];
    assert_eq!(texts(&member.get(both).await.unwrap()), [("t/a", "1"), ("t/a/b", "2"), ("u", "4")]);
}

pub(super) async fn a_watch_continues_where_the_snapshot_ends(ground: impl Ground) {
    let member = ground.world().member("web1");
    put(&*member, "t/a", "1").await;
    let mut state = member.get(below("t/")).await.unwrap();
    put(&*member, "t/a", "2").await;
    put(&*member, "t/b", "3").await;
    let mut watch = member.watch(below("t/"), state.revision);
    commit(&*member, &[("t/a", None)], None).await;
    assert_eq!(changed(&mut watch).await, [some("t/a", "2")]);
    assert_eq!(changed(&mut watch).await, [some("t/b", "3")]);
    assert_eq!(changed(&mut watch).await, [gone("t/a")]);
    assert!(is_quiet(&mut watch).await);
    // The changes applied to the snapshot give the next snapshot.
    let mut watch = member.watch(below("t/"), state.revision);
    for _ in 0..3 {
        let WorldEvent::Changed(changes) = next(&mut watch).await else { panic!("lost") };
        state.apply(changes);
    }
    assert_eq!(state, member.get(below("t/")).await.unwrap());
}

pub(super) async fn one_transaction_is_one_event(ground: impl Ground) {
    let member = ground.world().member("web1");
    let from = put(&*member, "t/b", "1").await;
    let mut watch = member.watch(vec![Keys::Below("t/".to_owned()), Keys::Below("u/".to_owned())], from);
    commit(&*member, &[("t/a", Some("2")), ("t/b", None), ("u/c", Some("3")), ("v/d", Some("4"))], None).await;
    assert_eq!(changed(&mut watch).await, [some("t/a", "2"), gone("t/b"), some("u/c", "3")]);
}

pub(super) async fn a_watch_is_not_woken_by_other_keys(ground: impl Ground) {
    let member = ground.world().member("web1");
    let from = member.get(Vec::new()).await.unwrap().revision;
    let mut watch = member.watch(below("t/"), from);
    put(&*member, "tt", "1").await;
    put(&*member, "u/a", "1").await;
    assert!(is_quiet(&mut watch).await);
    put(&*member, "t/", "1").await;
    assert_eq!(changed(&mut watch).await, [some("t/", "1")]);
}

fn when(key: &str, written: Option<Revision>, writes: &[(&str, &str)]) -> Transaction {
    let write = |(key, value): &(&str, &str)| ((*key).to_owned(), Write::Put(value.as_bytes().into(), None));
    let conditions = vec![Condition { key: key.to_owned(), written }];
    Transaction { conditions, writes: writes.iter().map(write).collect() }
}

pub(super) async fn a_condition_that_does_not_hold_prevents_all_writes(ground: impl Ground) {
    let member = ground.world().member("web1");
    let first = member.commit(when("t/a", None, &[("t/a", "1")])).await.unwrap().unwrap();
    // It exists; it was written by another revision; another key does not exist.
    assert_eq!(member.commit(when("t/a", None, &[("t/a", "2"), ("t/b", "2")])).await, Ok(None));
    assert_eq!(member.commit(when("t/a", Some(Revision(first.0 + 1)), &[("t/b", "2")])).await, Ok(None));
    assert_eq!(member.commit(when("t/b", Some(first), &[("t/b", "2")])).await, Ok(None));
    assert_eq!(texts(&member.get(below("t/")).await.unwrap()), [("t/a", "1")]);
    assert!(member.commit(when("t/a", Some(first), &[("t/a", "2")])).await.unwrap().is_some());
    // The same value again is another revision, so that no change in between goes unnoticed.
    assert_eq!(member.commit(when("t/a", Some(first), &[("t/a", "3")])).await, Ok(None));
    assert_eq!(texts(&member.get(below("t/")).await.unwrap()), [("t/a", "2")]);
}

pub(super) async fn of_two_that_write_on_the_same_condition_one_succeeds(ground: impl Ground) {
    let world = ground.world();
    let raced = (0..8).map(|n| {
        let member = world.member(&format!("web{n}"));
        tokio::spawn(async move { member.commit(when("t/lock", None, &[("t/lock", &n.to_string())])).await.unwrap() })
    });
    let mut won = 0;
    for race in raced.collect::<Vec<_>>() {
        won += usize::from(race.await.unwrap().is_some());
    }
    assert_eq!(won, 1);
}

pub(super) async fn a_transaction_that_changes_nothing_makes_no_revision(ground: impl Ground) {
    let member = ground.world().member("web1");
    let before = put(&*member, "t/a", "1").await;
    assert_eq!(commit(&*member, &[("t/none", None)], None).await, before);
    assert_eq!(member.get(below("t/")).await.unwrap().revision, before);
}

pub(super) async fn forgotten_changes_are_reported(ground: impl Ground) {
    let member = ground.world().member("web1");
    let old = put(&*member, "t/a", "1").await;
    put(&*member, "t/a", "2").await;
    let present = put(&*member, "t/a", "3").await;
    ground.compact().await;
    let mut watch = member.watch(below("t/"), old);
    assert!(matches!(next(&mut watch).await, WorldEvent::Lost(_)));
    assert!(poll_fn(|cx| watch.as_mut().poll_next(cx)).await.is_none(), "a lost watch ends");
    // From a snapshot it continues.
    let mut watch = member.watch(below("t/"), present);
    put(&*member, "t/a", "4").await;
    assert_eq!(changed(&mut watch).await, [some("t/a", "4")]);
}

pub(super) async fn a_host_that_is_cut_off_takes_a_snapshot_and_misses_nothing(ground: impl Ground) {
    let world = ground.world();
    let (cut, other) = (world.member("web1"), world.member("web2"));
    let from = put(&*cut, "t/a", "1").await;
    let mut watch = cut.watch(below("t/"), from);
    ground.cut("web1");
    assert!(matches!(next(&mut watch).await, WorldEvent::Lost(_)));
    assert!(matches!(cut.get(below("t/")).await, Err(WorldError::Unreachable(_))));
    assert!(matches!(cut.lease(Duration::from_secs(5)).await, Err(WorldError::Unreachable(_))));
    assert!(matches!(cut.commit(when("t/c", None, &[("t/c", "1")])).await, Err(WorldError::Unreachable(_))));
    put(&*other, "t/b", "2").await;
    assert!(matches!(next(&mut cut.watch(below("t/"), from)).await, WorldEvent::Lost(_)));
    ground.mend("web1");
    let snapshot = cut.get(below("t/")).await.unwrap();
    assert_eq!(texts(&snapshot), [("t/a", "1"), ("t/b", "2")]);
    let mut watch = cut.watch(below("t/"), snapshot.revision);
    put(&*other, "t/b", "3").await;
    assert_eq!(changed(&mut watch).await, [some("t/b", "3")]);
}

const TTL: Duration = Duration::from_secs(3);

pub(super) async fn keys_of_a_lease_leave_together_when_it_is_not_renewed(ground: impl Ground) {
    let member = ground.world().member("web1");
    let lease = member.lease(TTL).await.unwrap();
    let from = commit(&*member, &[("t/a", Some("1")), ("t/b", Some("2"))], Some(lease)).await;
    assert_eq!(member.get(below("t/")).await.unwrap().entries["t/a"].lease, Some(lease));
    // No question is asked meanwhile: the end of the lease alone wakes the watch.
    let mut watch = member.watch(below("t/"), from);
    assert_eq!(changed(&mut watch).await, [gone("t/a"), gone("t/b")]);
    assert_eq!(member.renew(lease).await, Err(WorldError::NoLease(lease)));
    let write = Write::Put(b"3"[..].into(), Some(lease));
    let late = Transaction { conditions: Vec::new(), writes: [("t/a".to_owned(), write)].into() };
    assert_eq!(member.commit(late).await, Err(WorldError::NoLease(lease)));
}

pub(super) async fn a_lease_that_is_renewed_stays(ground: impl Ground) {
    let member = ground.world().member("web1");
    let lease = member.lease(TTL).await.unwrap();
    commit(&*member, &[("t/a", Some("1"))], Some(lease)).await;
    for _ in 0..5 {
        tokio::time::sleep(TTL / 2).await;
        member.renew(lease).await.unwrap();
    }
    assert_eq!(texts(&member.get(below("t/")).await.unwrap()), [("t/a", "1")]);
    tokio::time::sleep(3 * TTL).await;
    assert_eq!(texts(&member.get(below("t/")).await.unwrap()), []);
}

pub(super) async fn revoking_a_lease_removes_its_keys(ground: impl Ground) {
    let member = ground.world().member("web1");
    let (lease, other) = (member.lease(TTL).await.unwrap(), member.lease(TTL).await.unwrap());
    assert_ne!(lease, other);
    commit(&*member, &[("t/a", Some("1"))], Some(lease)).await;
    let from = commit(&*member, &[("t/b", Some("1"))], Some(other)).await;
    let mut watch = member.watch(below("t/"), from);
    member.revoke(lease).await.unwrap();
    assert_eq!(changed(&mut watch).await, [gone("t/a")]);
    // Without effect the second time.
    member.revoke(lease).await.unwrap();
    assert_eq!(texts(&member.get(below("t/")).await.unwrap()), [("t/b", "1")]);
}

pub(super) async fn a_key_that_is_written_without_a_lease_outlives_it(ground: impl Ground) {
    let member = ground.world().member("web1");
    let lease = member.lease(TTL).await.unwrap();
    commit(&*member, &[("t/a", Some("1")), ("t/b", Some("1"))], Some(lease)).await;
    put(&*member, "t/a", "2").await;
    member.revoke(lease).await.unwrap();
    assert_eq!(texts(&member.get(below("t/")).await.unwrap()), [("t/a", "2")]);
}

pub(super) async fn any_bytes_are_kept(ground: impl Ground) {
    let member = ground.world().member("web1");
    let value: Arc<[u8]> = (0..=255).collect();
    let writes =
        [("t/%0A".to_owned(), Write::Put(Arc::clone(&value), None)), ("t/".to_owned(), Write::Put(Arc::new([]), None))];
    member.commit(Transaction { conditions: Vec::new(), writes: writes.into() }).await.unwrap();
    let entries = member.get(below("t/")).await.unwrap().entries;
    assert_eq!((&entries["t/%0A"].value, entries["t/"].value.len()), (&value, 0));
}

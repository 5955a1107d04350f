//! The source of notices about files: a hub of the engine's own, or a seat at a hub that engines share.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::poll_fn;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::id::Node;
use crate::runtime::watches::{Notice, Problem};
use crate::sys::fs::hub::{Error as HubError, Event, Extent, Hub, Listening, Options, Reason, Watched};
use crate::sys::task::give_way;

/// A source of notices about paths.
pub(crate) trait Files: Send + fmt::Debug {
    /// Watches a path for a node; a node may have several paths. If the watch does not listen yet, `Listens` is noticed
    /// when all paths of the node are listened to.
    fn subscribe(&mut self, node: Node, path: &Path, kind: Watched) -> Result<Listening, Problem>;
    /// Whether these are all paths of `subscribe` for a node.
    fn has_just(&self, node: Node, paths: &[(&Path, Watched)]) -> bool;
    /// Whether every change at this path is noticed for a node because of a path of `subscribe`: of its existence, its
    /// attributes, its content.
    fn listens_to(&self, node: Node, path: &Path) -> bool;
    /// Forgets all paths of a node, and events about them that were not taken.
    fn unsubscribe(&mut self, node: Node);
    /// Watches one more path for a node, until `neglect`.
    fn attend(&mut self, node: Node, path: &Path) -> Result<Listening, Problem>;
    /// Forgets the paths of `attend` for a node.
    fn neglect(&mut self, node: Node);
    /// The next events; never an empty batch.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Notice>>;
    /// The events so far, read from the kernel without waiting.
    fn take(&mut self) -> Vec<Notice>;
    /// A function that returns whether, at the time of its call, nothing has happened that was not handed over by now.
    /// May be called on any thread; returns false if it cannot be known.
    fn quiet(&self) -> Quietness;
    /// Ends all watches and returns the engine's own hub. The caller drops it, since that takes the kernel
    /// milliseconds.
    fn take_hub(&mut self) -> Option<Hub> {
        None
    }
}

/// See [`Files::quiet`].
pub(crate) type Quietness = Box<dyn Fn() -> bool + Send>;

fn quietness(hub: Option<&Hub>) -> Quietness {
    match hub.map(Hub::quiet) {
        // No path is watched.
        None => Box::new(|| true),
        Some(None) => Box::new(|| false),
        Some(Some(quiet)) => Box::new(move || quiet.is_quiet()),
    }
}

/// The notice of an event of the hub, for an engine that has subscribed with these keys.
fn meaning(event: Event, node: impl Fn(u64) -> Node) -> Notice {
    match event {
        // What changed while the path was not listened to was not noticed.
        Event::Ready(key) if key & ATTENDED != 0 => Notice::Changed(node(key), Extent::All),
        Event::Ready(key) => Notice::Listens(node(key)),
        Event::Changed(key, extent) => Notice::Changed(node(key), extent),
        Event::Rescan => Notice::Overflow,
        Event::Degraded(reason @ Reason::Depth { .. }) => Notice::Warning(reason.to_string()),
        Event::Degraded(reason) => {
            Notice::Warning(format!("{reason}; until then these paths are looked at every second"))
        }
        Event::Recovered => Notice::Warning("all paths are watched again".to_owned()),
        Event::Failed(key, error @ HubError::TreeTooLarge { .. }) => Notice::Failed(node(key), Problem::of(&error)),
        // The path stays subscribed; the check finds what is wrong with it.
        Event::Failed(key, _) => Notice::Changed(node(key), Extent::All),
    }
}

/// A hub of the engine's own, polled by its loop; made for the first path.
#[derive(Debug)]
pub(crate) struct OwnHub {
    hub: Option<Hub>,
    options: Options,
}

impl OwnHub {
    pub(crate) fn new(options: Options) -> OwnHub {
        OwnHub { hub: None, options }
    }
}

/// Keys with this bit belong to paths that a node waits for.
pub(crate) const ATTENDED: u64 = 1 << 63;

impl OwnHub {
    fn add(&mut self, key: u64, path: &Path, kind: Watched) -> Result<Listening, Problem> {
        let hub = self.hub.get_or_insert_with(|| Hub::new(self.options.clone()));
        hub.begin(key, path, kind).map_err(|error| Problem::of(&error))
    }

    fn remove(&mut self, key: u64) {
        if let Some(hub) = &mut self.hub {
            hub.unsubscribe(key);
        }
    }
}

impl Files for OwnHub {
    fn subscribe(&mut self, node: Node, path: &Path, kind: Watched) -> Result<Listening, Problem> {
        self.add(u64::from(node.0), path, kind)
    }

    fn has_just(&self, node: Node, paths: &[(&Path, Watched)]) -> bool {
        self.hub.as_ref().map_or(paths.is_empty(), |hub| hub.has_just(u64::from(node.0), paths))
    }

    fn listens_to(&self, node: Node, path: &Path) -> bool {
        self.hub.as_ref().is_some_and(|hub| hub.listens_to(u64::from(node.0), path))
    }

    fn unsubscribe(&mut self, node: Node) {
        self.remove(u64::from(node.0));
        self.neglect(node);
    }

    fn attend(&mut self, node: Node, path: &Path) -> Result<Listening, Problem> {
        self.add(u64::from(node.0) | ATTENDED, path, Watched::Path)
    }

    fn neglect(&mut self, node: Node) {
        self.remove(u64::from(node.0) | ATTENDED);
    }

    fn take_hub(&mut self) -> Option<Hub> {
        self.hub.take()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Notice>> {
        let Some(hub) = &mut self.hub else { return Poll::Pending };
        let events = std::task::ready!(hub.poll_next(cx));
        Poll::Ready(notices(events))
    }

    fn take(&mut self) -> Vec<Notice> {
        self.hub.as_mut().map(|hub| notices(hub.take())).unwrap_or_default()
    }

    fn quiet(&self) -> Quietness {
        quietness(self.hub.as_ref())
    }
}

/// The keys of an engine's own hub are the nodes.
fn notices(events: Vec<Event>) -> Vec<Notice> {
    let node = |key| Node(key as u32);
    events.into_iter().map(|event| meaning(event, node)).collect()
}

/// One hub for several engines. It has one thread, with a small runtime of its own, as long as anything is watched: so
/// it outlives the engine and the runtime that came first.
#[derive(Clone, Debug)]
pub(crate) struct SharedHub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    hub: Option<Hub>,
    /// Wakes the thread.
    driver: Option<Waker>,
    seats: HashMap<u32, Pending>,
    last_seat: u32,
}

/// Events that an engine has not taken yet. Bounded: each of its nodes is in it at most once, and warnings are rare.
#[derive(Debug, Default)]
struct Pending {
    notices: Vec<Notice>,
    changed: HashMap<Node, Extent>,
    waker: Option<Waker>,
    /// How many times events were taken.
    taken: u64,
}

/// The place of one engine at a shared hub. Its drop ends its own subscriptions and no others.
#[derive(Debug)]
pub(crate) struct Seat {
    shared: Arc<Shared>,
    number: u32,
    /// The keys that have subscribed.
    keys: HashSet<u64>,
}

fn key(seat: u32, node: Node) -> u64 {
    u64::from(seat) << 32 | u64::from(node.0)
}

fn place(key: u64) -> (u32, Node) {
    (((key & !ATTENDED) >> 32) as u32, Node(key as u32))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedHub {
    pub(crate) fn new(options: Options) -> SharedHub {
        SharedHub { shared: Arc::new(Shared { options, state: Mutex::default() }) }
    }

    /// Makes a seat for one more engine.
    pub(crate) fn seat(&self) -> Seat {
        let mut state = self.shared.lock();
        // The highest bit of a key is `ATTENDED`.
        state.last_seat = state.last_seat.wrapping_add(1) & (u32::MAX >> 1);
        let number = state.last_seat;
        state.seats.insert(number, Pending::default());
        Seat { shared: Arc::clone(&self.shared), number, keys: HashSet::new() }
    }
}

impl Pending {
    fn add(&mut self, notice: Notice) {
        match notice {
            Notice::Changed(node, extent) => self.changed.entry(node).or_insert_with(Extent::none).merge(extent),
            other => self.notices.push(other),
        }
    }

    fn is_empty(&self) -> bool {
        self.notices.is_empty() && self.changed.is_empty()
    }

    fn take(&mut self) -> Vec<Notice> {
        self.taken += u64::from(!self.is_empty());
        let mut notices = std::mem::take(&mut self.notices);
        notices.extend(self.changed.drain().map(|(node, extent)| Notice::Changed(node, extent)));
        notices
    }
}

impl State {
    /// Brings events to the engines that they are for, and events about the hub as a whole to all engines.
    fn route(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Ready(key) | Event::Changed(key, _) | Event::Failed(key, _) => {
                    if let Some(seat) = self.seats.get_mut(&place(key).0) {
                        seat.add(meaning(event, |key| place(key).1));
                    }
                }
                Event::Rescan | Event::Degraded(_) | Event::Recovered => {
                    let notice = meaning(event, |key| place(key).1);
                    self.seats.values_mut().for_each(|seat| seat.add(notice.clone()));
                }
            }
        }
        let wakers = self.seats.values_mut().filter(|seat| !seat.is_empty()).filter_map(|seat| seat.waker.take());
        wakers.for_each(Waker::wake);
    }

    fn wake_driver(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    /// The hub, and the thread that polls it.
    fn hub(&mut self, shared: &Arc<Shared>) -> Result<&mut Hub, Problem> {
        if self.hub.is_none() {
            let hub = Hub::new(shared.options.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Problem {
                text: format!("can't start to watch files: {error}"),
                ..Problem::of(&error)
            })?;
            let ours = Arc::clone(shared);
            std::thread::Builder::new()
                .name("mgmt-files".to_owned())
                .spawn(move || runtime.block_on(drive(ours)))
                .map_err(|error| Problem {
                    text: format!("can't start a thread to watch files: {error}"),
                    ..Problem::of(&error)
                })?;
            self.hub = Some(hub);
        }
        self.hub.as_mut().ok_or_else(|| "files are not watched any more".to_owned().into())
    }
}

/// Runs the thread of the hub until nothing is watched any more.
async fn drive(shared: Arc<Shared>) {
    loop {
        let goes_on = poll_fn(|cx| {
            let mut state = shared.lock();
            let state = &mut *state;
            if state.seats.is_empty() {
                // Dropped here, on the runtime on which it was polled.
                state.hub = None;
            }
            let Some(hub) = &mut state.hub else { return Poll::Ready(false) };
            state.driver = Some(cx.waker().clone());
            let events = std::task::ready!(hub.poll_next(cx));
            state.route(events);
            Poll::Ready(true)
        })
        .await;
        if !goes_on {
            return;
        }
        // Between two batches the engines can use the hub.
        give_way().await;
    }
}

impl Seat {
    fn add(&mut self, key: u64, path: &Path, kind: Watched) -> Result<Listening, Problem> {
        let mut state = self.shared.lock();
        let hub = state.hub(&self.shared)?;
        let listening = hub.begin(key, path, kind).map_err(|error| Problem::of(&error))?;
        self.keys.insert(key);
        // The hub may have found something that must be reported or polled, or has more to do.
        state.wake_driver();
        Ok(listening)
    }

    fn remove(&mut self, key: u64) {
        if !self.keys.remove(&key) {
            return;
        }
        let mut state = self.shared.lock();
        if let Some(hub) = &mut state.hub {
            hub.unsubscribe(key);
            // The hub may have more to do.
            state.wake_driver();
        }
    }
}

impl Files for Seat {
    fn subscribe(&mut self, node: Node, path: &Path, kind: Watched) -> Result<Listening, Problem> {
        self.add(key(self.number, node), path, kind)
    }

    fn has_just(&self, node: Node, paths: &[(&Path, Watched)]) -> bool {
        let state = self.shared.lock();
        state.hub.as_ref().map_or(paths.is_empty(), |hub| hub.has_just(key(self.number, node), paths))
    }

    fn listens_to(&self, node: Node, path: &Path) -> bool {
        let state = self.shared.lock();
        state.hub.as_ref().is_some_and(|hub| hub.listens_to(key(self.number, node), path))
    }

    fn unsubscribe(&mut self, node: Node) {
        let is_known = self.keys.contains(&key(self.number, node));
        self.remove(key(self.number, node));
        self.neglect(node);
        if let Some(seat) = self.shared.lock().seats.get_mut(&self.number).filter(|_| is_known) {
            seat.changed.remove(&node);
            seat.notices.retain(|notice| *notice != Notice::Listens(node));
        }
    }

    fn attend(&mut self, node: Node, path: &Path) -> Result<Listening, Problem> {
        self.add(key(self.number, node) | ATTENDED, path, Watched::Path)
    }

    fn neglect(&mut self, node: Node) {
        self.remove(key(self.number, node) | ATTENDED);
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Notice>> {
        let mut state = self.shared.lock();
        let Some(seat) = state.seats.get_mut(&self.number) else { return Poll::Pending };
        if seat.is_empty() {
            seat.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(seat.take())
    }

    fn take(&mut self) -> Vec<Notice> {
        let mut state = self.shared.lock();
        let state = &mut *state;
        let events = state.hub.as_mut().map(Hub::take).unwrap_or_default();
        let is_settled = state.hub.as_ref().is_none_or(Hub::is_settled);
        if !events.is_empty() || !is_settled {
            state.route(events);
            // The hub may have found something that must be polled or read further.
            state.wake_driver();
        }
        state.seats.get_mut(&self.number).map(Pending::take).unwrap_or_default()
    }

    fn quiet(&self) -> Quietness {
        let state = self.shared.lock();
        let (is_quiet, taken) = (quietness(state.hub.as_ref()), state.seats.get(&self.number).map(|seat| seat.taken));
        drop(state);
        let (shared, number) = (Arc::clone(&self.shared), self.number);
        Box::new(move || {
            let state = shared.lock();
            let seat = state.seats.get(&number);
            seat.is_some_and(|seat| seat.is_empty() && Some(seat.taken) == taken) && is_quiet()
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.seats.remove(&self.number);
        if let Some(hub) = &mut state.hub {
            self.keys.drain().for_each(|key| hub.unsubscribe(key));
        }
        state.wake_driver();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    fn changed(node: Node) -> Notice {
        Notice::Changed(node, Extent::All)
    }

    async fn next(seat: &mut Seat) -> Vec<Notice> {
        let next = poll_fn(|cx| seat.poll_next(cx));
        tokio::time::timeout(Duration::from_secs(60), next).await.expect("something is noticed")
    }

    /// Subscribes, and waits until that is listened to: on a busy machine, the hub may need more than one slice.
    async fn listen(seat: &mut Seat, node: Node, path: &Path) {
        if seat.subscribe(node, path, Watched::Path).unwrap() == Listening::Later {
            assert_eq!(next(seat).await, [Notice::Listens(node)]);
        }
    }

    /// What is noticed within a moment, for what must not be.
    async fn soon(seat: &mut Seat) -> Vec<Notice> {
        tokio::time::timeout(Duration::from_millis(100), poll_fn(|cx| seat.poll_next(cx))).await.unwrap_or_default()
    }

    /// Takes what is noticed until this node is among it. One write is several events of the kernel, so a node may be
    /// noticed once more; other nodes than these must not be.
    async fn until(seat: &mut Seat, node: Node, among: &[Node]) {
        loop {
            let notices = next(seat).await;
            let is_expected = |notice: &Notice| among.iter().any(|node| *notice == changed(*node));
            assert!(notices.iter().all(is_expected), "{notices:?}");
            if notices.contains(&changed(node)) {
                return;
            }
        }
    }

    #[tokio::test]
    async fn engines_at_one_hub_hear_of_their_own_paths_only() {
        let dir = tempfile::tempdir().unwrap();
        let hub = SharedHub::new(Options::default());
        let (mut one, mut two) = (hub.seat(), hub.seat());
        let path = |name: &str| dir.path().join(name);
        listen(&mut one, Node(7), &path("a")).await;
        listen(&mut two, Node(7), &path("b")).await;
        listen(&mut two, Node(8), &path("a")).await;
        fs::write(path("b"), "").unwrap();
        until(&mut two, Node(7), &[Node(7)]).await;
        assert_eq!(soon(&mut one).await, []);
        fs::write(path("a"), "").unwrap();
        until(&mut one, Node(7), &[Node(7)]).await;
        until(&mut two, Node(8), &[Node(7), Node(8)]).await;
        while !soon(&mut two).await.is_empty() {}
        // A seat that leaves takes only its own; what had happened to a path is not reported once it is unsubscribed.
        drop(one);
        fs::write(path("a"), "more").unwrap();
        until(&mut two, Node(8), &[Node(7), Node(8)]).await;
        fs::write(path("b"), "more").unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        two.unsubscribe(Node(7));
        loop {
            let notices = soon(&mut two).await;
            assert!(!notices.contains(&changed(Node(7))), "{notices:?}");
            if notices.is_empty() {
                return;
            }
        }
    }

    #[test]
    fn the_hub_outlives_the_runtime_of_the_engine_that_came_first_and_ends_with_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let hub = SharedHub::new(Options::default());
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let path = dir.path().join("a");
        let first = runtime();
        first.block_on(async {
            let mut seat = hub.seat();
            listen(&mut seat, Node(1), &path).await;
            fs::write(&path, "").unwrap();
            assert_eq!(next(&mut seat).await, [changed(Node(1))]);
        });
        let until_over = || {
            let begun = std::time::Instant::now();
            while hub.shared.lock().hub.is_some() {
                assert!(begun.elapsed() < Duration::from_secs(60), "the thread ends");
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        until_over();
        let seat = first.block_on(async {
            let mut seat = hub.seat();
            listen(&mut seat, Node(2), &path).await;
            seat
        });
        drop(first);
        runtime().block_on(async {
            let mut other = hub.seat();
            listen(&mut other, Node(3), &path).await;
            fs::write(&path, "more").unwrap();
            assert_eq!(next(&mut other).await, [changed(Node(3))]);
        });
        drop(seat);
        until_over();
    }

    /// Waits for the hub's thread, which looks into the queue once more after a subscription: during that look, it is
    /// not known whether something has happened.
    async fn once_quiet(seat: &Seat) -> Quietness {
        let found = async {
            loop {
                let quiet = seat.quiet();
                if quiet() {
                    return quiet;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), found).await.expect("it is quiet")
    }

    #[tokio::test]
    async fn a_seat_is_quiet_until_something_happens_be_it_handed_over_since_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let hub = SharedHub::new(Options::default());
        let (mut one, mut two) = (hub.seat(), hub.seat());
        assert!(one.quiet()(), "nothing is watched");
        for (seat, name) in [(&mut one, "a"), (&mut two, "b")] {
            listen(seat, Node(1), &dir.path().join(name)).await;
        }
        let quiet = once_quiet(&one).await;
        fs::write(dir.path().join("a"), "").unwrap();
        assert!(!quiet() && !one.quiet()(), "whether its thread has read it or not");
        until(&mut one, Node(1), &[Node(1)]).await;
        assert!(!quiet());
        while !soon(&mut one).await.is_empty() {}
        drop(once_quiet(&one).await);
    }

    #[test]
    fn what_concerns_the_whole_hub_reaches_all_and_nothing_is_reported_twice() {
        let hub = SharedHub::new(Options::default());
        let (mut one, mut two) = (hub.seat(), hub.seat());
        let event = |seat, node, path: &str| {
            Event::Changed(key(seat, Node(node)), Extent::Entries(BTreeSet::from([PathBuf::from(path)])))
        };
        hub.shared.lock().route(vec![Event::Rescan, event(one.number, 1, "a"), event(two.number, 2, "a")]);
        hub.shared.lock().route(vec![event(one.number, 1, "b"), event(two.number, 2, "b"), event(99, 1, "c")]);
        let mut cx = Context::from_waker(Waker::noop());
        for (seat, node) in [(&mut one, 1), (&mut two, 2)] {
            let Poll::Ready(notices) = seat.poll_next(&mut cx) else { panic!("nothing is noticed") };
            assert!(
                matches!(&notices[..], [Notice::Overflow, Notice::Changed(Node(n), Extent::Entries(entries))]
                    if *n == node && entries.iter().eq(["a", "b"].map(Path::new))),
                "{notices:?}"
            );
            assert!(seat.poll_next(&mut cx).is_pending());
        }
    }
}

//! Connections that resources share: opened at the first use, again after a loss, closed at the end.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::resource::any::BoxFuture;
use crate::resource::error::{Error, Result};
use crate::sys::task::{Attempt, all_within, attempt, caught, caught_async};

/// The time for closing all doors together.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// A connection that resources share: to a server, a bus, a library. There is one connection for each key, however many
/// resources use it, see [`CheckCx::door`](crate::resource::CheckCx::door).
///
/// ```
/// use mgmt::prelude::*;
/// use mgmt::resource::{Context, Door, Error};
/// use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
/// use tokio::net::TcpStream;
/// use tokio::sync::Mutex;
///
/// /// A server that answers each line with a line.
/// struct Line {
///     // `None` once a question has failed: the next answer might belong to it.
///     stream: Mutex<Option<BufReader<TcpStream>>>,
/// }
///
/// impl Door for Line {
///     type Key = String;
///
///     async fn open(address: &String) -> Result<Line> {
///         let stream = TcpStream::connect(address).await.context("the line")?;
///         Ok(Line { stream: Mutex::new(Some(BufReader::new(stream))) })
///     }
///
///     fn is_lost(&self) -> bool {
///         self.stream.try_lock().is_ok_and(|stream| stream.is_none())
///     }
/// }
///
/// impl Line {
///     async fn ask(&self, question: &str) -> Result<String> {
///         let mut held = self.stream.lock().await;
///         let Some(mut stream) = held.take() else { return Err(Error::new("the line is lost").outdated()) };
///         stream.write_all(format!("{question}\n").as_bytes()).await?;
///         let mut answer = String::new();
///         if stream.read_line(&mut answer).await? == 0 {
///             return Err(Error::new("the line was cut"));
///         }
///         *held = Some(stream);
///         Ok(answer.trim_end().to_owned())
///     }
/// }
///
/// /// A lamp is on, or will be.
/// #[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
/// #[resource(kind = "lamp", unwatched)]
/// struct Lamp {
///     #[resource(name)] name: String,
///     server: String,
/// }
///
/// impl Converge for Lamp {
///     type Drift = Change;
///     async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
///         let line = cx.door::<Line>(&self.server).await?;
///         let state = line.ask(&format!("state {}", self.name)).await?;
///         Ok((state != "on").then(|| Change::new("state", state, "on")))
///     }
///     async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
///         cx.door::<Line>(&self.server).await?.ask(&format!("on {}", self.name)).await.map(drop)
///     }
/// }
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let server = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let address = server.local_addr()?.to_string();
/// # let serve = tokio::spawn(async move {
/// #     let (stream, _) = server.accept().await.unwrap();
/// #     let mut stream = BufReader::new(stream);
/// #     let (mut on, mut lines, mut line) = (std::collections::HashSet::new(), 0, String::new());
/// #     while stream.read_line(&mut line).await.unwrap() > 0 {
/// #         let (what, lamp) = line.trim().split_once(' ').unwrap();
/// #         if what == "on" { on.insert(lamp.to_owned()); }
/// #         let answer = if on.contains(lamp) { "on\n" } else { "off\n" };
/// #         stream.write_all(answer.as_bytes()).await.unwrap();
/// #         lines += 1;
/// #         line.clear();
/// #     }
/// #     (on.len(), lines)
/// # });
/// # let mut g = Graph::new("lamps");
/// # for n in 0..20 { g.add(Lamp::new(format!("lamp-{n}"), address.clone())); }
/// # let engine = mgmt::Engine::builder().graph(g.finish()?).start().await?;
/// # engine.converged().await?;
/// # engine.stop().await?;
/// # assert_eq!(serve.await?, (20, 40), "all over one connection, which is closed at the end");
/// # Ok::<(), mgmt::Error>(())
/// # }).unwrap();
/// ```
pub trait Door: Sized + Send + Sync + 'static {
    /// The type that distinguishes connections of this type: an address, a name, `()`.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;

    /// Opens the connection. All concurrent requests wait for this one attempt; if it fails, all of them fail with its
    /// error, and the next request starts another attempt. The attempt continues even if the requests that wait for it
    /// are cancelled.
    ///
    /// # Errors
    /// The connection can't be opened.
    fn open(key: &Self::Key) -> impl Future<Output = Result<Self>> + Send;

    /// Whether the connection can no longer be used; the next request then opens another one. Called at each request,
    /// so it must be quick. Default: false.
    fn is_lost(&self) -> bool {
        false
    }

    /// Closes the connection at the end of the last engine that uses it. Resources may still hold it. All connections
    /// together have two seconds; after that, those left are dropped. Default: does nothing, so the connection is only
    /// dropped.
    fn close(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// The open connections. Clones share them.
#[derive(Clone, Default)]
pub struct Connections {
    registry: Arc<Mutex<Registry>>,
}

#[derive(Default)]
struct Registry {
    rooms: HashMap<TypeId, Arc<dyn AnyRoom>>,
    closed: bool,
    /// For tests of kinds: the text with which every request fails.
    refusal: Option<String>,
}

/// All doors of one type.
struct Room<D: Door> {
    doors: Mutex<Doors<D>>,
}

struct Doors<D: Door> {
    by_key: HashMap<D::Key, State<D>>,
    attempts: u64,
}

enum State<D: Door> {
    Opening(u64, Attempt<Opened<D>>),
    Open(Arc<D>),
}

type Opened<D> = Result<Arc<D>>;

/// A room whose type is erased.
trait AnyRoom: Any + Send + Sync {
    /// Removes all doors, and returns the futures that close them.
    fn clear(&self) -> Vec<BoxFuture<()>>;
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<D: Door> AnyRoom for Room<D> {
    fn clear(&self) -> Vec<BoxFuture<()>> {
        let doors = std::mem::take(&mut lock(&self.doors).by_key);
        // An attempt that is still running will find that its door is not wanted, and close it.
        let open = doors.into_values().filter_map(|state| match state {
            State::Open(door) => Some(door),
            State::Opening(..) => None,
        });
        open.map(|door| Box::pin(close(door)) as BoxFuture<()>).collect()
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

async fn close<D: Door>(door: Arc<D>) {
    if let Err(panic) = caught_async(door.close()).await {
        tracing::warn!("closing a {} {panic}", std::any::type_name::<D>());
    }
}

impl<D: Door> Room<D> {
    /// Starts to open a door. The caller must hold the lock of the doors from before this call until the result is
    /// used.
    fn begin(self: &Arc<Self>, doors: &mut Doors<D>, key: &D::Key) -> Attempt<Opened<D>> {
        doors.attempts += 1;
        let (number, room, its_key) = (doors.attempts, Arc::clone(self), key.clone());
        let attempt = attempt(async move {
            let opened = match caught_async(D::open(&its_key)).await {
                Ok(Ok(door)) => Ok(Arc::new(door)),
                Ok(Err(error)) => Err(error),
                Err(panic) => Err(Error::new(format!("opening it {panic}"))),
            };
            let unwanted = room.end(number, its_key, opened.clone());
            if let Some(door) = unwanted {
                close(door).await;
            }
            opened
        });
        doors.by_key.insert(key.clone(), State::Opening(number, attempt.clone()));
        attempt
    }

    /// Ends an attempt; returns the door if it is no longer wanted.
    fn end(&self, number: u64, key: D::Key, opened: Opened<D>) -> Option<Arc<D>> {
        let mut doors = lock(&self.doors);
        if !matches!(doors.by_key.get(&key), Some(State::Opening(own, _)) if *own == number) {
            return opened.ok();
        }
        match opened {
            Ok(door) => doors.by_key.insert(key, State::Open(door)),
            Err(_) => doors.by_key.remove(&key),
        };
        None
    }
}

impl Connections {
    /// The open door of this key, or a new one.
    ///
    /// # Errors
    /// The door can't be opened, or the engine is ending.
    pub async fn door<D: Door>(&self, key: &D::Key) -> Result<Arc<D>> {
        let room = self.room::<D>()?;
        let attempt = {
            let mut doors = lock(&room.doors);
            match doors.by_key.get(key) {
                Some(State::Open(door)) if !caught(|| door.is_lost()).unwrap_or(true) => return Ok(Arc::clone(door)),
                Some(State::Opening(_, attempt)) if !attempt.is_given_up() => attempt.clone(),
                _ => room.begin(&mut doors, key),
            }
        };
        match attempt.wait().await {
            Some(opened) => opened,
            None => Err(Error::new("opening it was given up: its runtime has ended")),
        }
    }

    /// Makes every later request fail with this text; `None`: requests work again.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn refuse(&self, error: Option<String>) {
        lock(&self.registry).refusal = error;
    }

    fn room<D: Door>(&self) -> Result<Arc<Room<D>>> {
        let mut registry = lock(&self.registry);
        if let Some(error) = &registry.refusal {
            return Err(Error::new(error.clone()));
        }
        if registry.closed {
            return Err(Error::new("the engine is ending: nothing is opened any more"));
        }
        let make = || -> Arc<dyn AnyRoom> {
            Arc::new(Room::<D> { doors: Mutex::new(Doors { by_key: HashMap::new(), attempts: 0 }) })
        };
        let room = Arc::clone(registry.rooms.entry(TypeId::of::<D>()).or_insert_with(make));
        room.into_any().downcast().map_err(|_| Error::new("a room's key is the type of its doors"))
    }

    /// Closes all doors within two seconds. From then on none is opened.
    pub async fn close(&self) {
        let rooms = {
            let mut registry = lock(&self.registry);
            registry.closed = true;
            std::mem::take(&mut registry.rooms)
        };
        let closing: Vec<_> = rooms.into_values().flat_map(|room| room.clear()).collect();
        let left = all_within(CLOSE_MAX, closing).await;
        if left > 0 {
            tracing::warn!(target: "mgmt", "{left} connections have not closed within {CLOSE_MAX:?}, and are dropped");
        }
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connections({})", lock(&self.registry).rooms.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use tokio::sync::{Semaphore, watch};

    use super::*;

    /// What a test observes of the doors of one key, and settings for their behaviour.
    #[derive(Debug)]
    struct Server {
        opened: AtomicU32,
        closed: AtomicU32,
        refuses: AtomicBool,
        is_lost: AtomicBool,
        /// Each attempt needs a permit.
        permits: Semaphore,
        closes: watch::Sender<bool>,
    }

    impl Server {
        fn key(permits: usize) -> Key {
            let permits = Semaphore::new(permits);
            let (opened, closed) = (AtomicU32::new(0), AtomicU32::new(0));
            let (refuses, is_lost) = (AtomicBool::new(false), AtomicBool::new(false));
            Key(Arc::new(Server { opened, closed, refuses, is_lost, permits, closes: watch::channel(true).0 }))
        }

        fn counts(&self) -> (u32, u32) {
            (self.opened.load(Ordering::SeqCst), self.closed.load(Ordering::SeqCst))
        }
    }

    #[derive(Clone, Debug)]
    struct Key(Arc<Server>);

    impl PartialEq for Key {
        fn eq(&self, other: &Key) -> bool {
            Arc::ptr_eq(&self.0, &other.0)
        }
    }

    impl Eq for Key {}

    impl Hash for Key {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            Arc::as_ptr(&self.0).hash(state);
        }
    }

    #[derive(Debug)]
    struct Line {
        server: Arc<Server>,
        number: u32,
    }

    impl Door for Line {
        type Key = Key;

        async fn open(Key(server): &Key) -> Result<Line> {
            server.permits.acquire().await?.forget();
            if server.refuses.load(Ordering::SeqCst) {
                return Err(Error::new("connection refused"));
            }
            let number = server.opened.fetch_add(1, Ordering::SeqCst) + 1;
            server.is_lost.store(false, Ordering::SeqCst);
            Ok(Line { server: Arc::clone(server), number })
        }

        fn is_lost(&self) -> bool {
            self.server.is_lost.load(Ordering::SeqCst)
        }

        async fn close(&self) {
            let _ = self.server.closes.subscribe().wait_for(|closes| *closes).await;
            self.server.closed.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Several callers at once.
    async fn together(doors: &Connections, key: &Key, callers: usize) -> Vec<std::result::Result<u32, String>> {
        let mut tasks = Vec::new();
        for _ in 0..callers {
            let (doors, key) = (doors.clone(), key.clone());
            tasks.push(tokio::spawn(async move {
                doors.door::<Line>(&key).await.map(|line| line.number).map_err(|error| error.to_string())
            }));
        }
        tokio::task::yield_now().await;
        key.0.permits.add_permits(1);
        let mut all = Vec::new();
        for task in tasks {
            all.push(task.await.unwrap());
        }
        all
    }

    #[tokio::test]
    async fn callers_share_one_attempt_and_what_it_came_to_and_the_next_one_tries_again() {
        let (doors, key) = (Connections::default(), Server::key(0));
        key.0.refuses.store(true, Ordering::SeqCst);
        assert_eq!(together(&doors, &key, 5).await, vec![Err("connection refused".to_owned()); 5]);
        key.0.refuses.store(false, Ordering::SeqCst);
        assert_eq!(together(&doors, &key, 100).await, vec![Ok(1); 100]);
        assert_eq!(together(&doors, &key, 3).await, [Ok(1), Ok(1), Ok(1)]);
        assert_eq!(key.0.permits.available_permits(), 1, "two attempts in all; the last permit was not needed");
        let other = Server::key(1);
        assert_eq!(doors.door::<Line>(&other).await.unwrap().number, 1, "another key is another door");
    }

    #[tokio::test]
    async fn all_that_shared_a_failed_attempt_have_its_cause_and_its_sort() {
        #[derive(Debug)]
        struct Refusing;
        impl Door for Refusing {
            type Key = bool;
            async fn open(outdated: &bool) -> Result<Refusing> {
                tokio::task::yield_now().await;
                let error = Error::from(std::io::Error::from_raw_os_error(111)).context("the desk");
                Err(if *outdated { error.outdated() } else { Error::needs_value("desk") })
            }
        }
        let doors = Connections::default();
        let (a, b) = tokio::join!(doors.door::<Refusing>(&true), doors.door::<Refusing>(&true));
        for error in [a.unwrap_err(), b.unwrap_err()] {
            assert_eq!(error.cause::<std::io::Error>().and_then(std::io::Error::raw_os_error), Some(111));
            assert!(error.is_outdated() && error.to_string().starts_with("the desk: Connection refused"), "{error}");
        }
        assert!(doors.door::<Refusing>(&false).await.unwrap_err().is_needs_value());
    }

    #[tokio::test]
    async fn a_lost_door_is_opened_again_once_for_all_that_ask() {
        let (doors, key) = (Connections::default(), Server::key(1));
        let first = doors.door::<Line>(&key).await.unwrap();
        key.0.is_lost.store(true, Ordering::SeqCst);
        assert_eq!(together(&doors, &key, 50).await, vec![Ok(2); 50]);
        assert_eq!(first.number, 1, "whoever holds the old one keeps it");
    }

    #[tokio::test]
    async fn an_attempt_goes_on_when_those_that_waited_are_gone() {
        let (doors, key) = (Connections::default(), Server::key(0));
        {
            let waiting = doors.door::<Line>(&key);
            assert!(tokio::time::timeout(Duration::from_millis(10), waiting).await.is_err());
        }
        key.0.permits.add_permits(1);
        assert_eq!(doors.door::<Line>(&key).await.unwrap().number, 1);
    }

    #[tokio::test]
    async fn the_end_closes_what_is_open_and_what_is_just_being_opened_and_opens_no_more() {
        let (doors, open, opening) = (Connections::default(), Server::key(1), Server::key(0));
        let held = doors.door::<Line>(&open).await.unwrap();
        let late = tokio::spawn({
            let (doors, opening) = (doors.clone(), opening.clone());
            async move { doors.door::<Line>(&opening).await.is_ok() }
        });
        tokio::task::yield_now().await;
        doors.close().await;
        assert_eq!((open.0.counts(), held.number), ((1, 1), 1));
        opening.0.permits.add_permits(1);
        late.await.unwrap();
        assert_eq!(opening.0.counts(), (1, 1));
        let error = doors.door::<Line>(&open).await.unwrap_err().to_string();
        assert_eq!(error, "the engine is ending: nothing is opened any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_door_that_does_not_close_costs_two_seconds_at_the_end() {
        let (doors, key) = (Connections::default(), Server::key(1));
        doors.door::<Line>(&key).await.unwrap();
        key.0.closes.send_replace(false);
        let begun = tokio::time::Instant::now();
        doors.close().await;
        assert_eq!((begun.elapsed().as_secs(), key.0.counts()), (2, (1, 0)));
    }

    #[tokio::test]
    async fn a_panic_while_it_is_opened_is_an_error() {
        #[derive(Debug)]
        struct Broken;
        impl Door for Broken {
            type Key = ();
            async fn open((): &()) -> Result<Broken> {
                panic!("no such library")
            }
        }
        let error = Connections::default().door::<Broken>(&()).await.unwrap_err().to_string();
        assert_eq!(error, "opening it panicked: no such library");
    }
}

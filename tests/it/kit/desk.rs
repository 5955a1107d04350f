//! A small world for resources of the kind `probe`: their real state, the operations on them, and the faults to inject.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use mgmt::resource::{CheckCx, Error, Result, WatchEvent};
use tokio::sync::{Semaphore, mpsc};

use super::probe::{Probe, ProbeBuilder};

/// Resources are data, so a probe names its desk by a key.
static DESKS: LazyLock<Mutex<HashMap<String, Arc<Shared>>>> = LazyLock::new(Mutex::default);

/// One thing that is asked of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Check,
    Apply,
    Refresh,
    Watch,
}

/// What happens in it, beside what is asked.
#[derive(Clone, Debug)]
pub enum Act {
    Fail(&'static str),
    /// The world is just changing.
    Outdated,
    Panic(&'static str),
    /// Takes so long.
    Sleep(Duration),
    /// Takes so long, and keeps its thread.
    Block(Duration),
    /// Waits at a gate.
    Hold(Gate),
    /// Waits at a gate, and keeps its thread.
    BlockAt(Gate),
    /// Waits at a gate, on a thread for work that blocks: it can't be cut short.
    Thread(Gate),
    /// Asks for a thread for work that blocks, and notes whether it is the thread that polls: `stays a` or `leaves a`.
    Look,
    /// Works on such a thread until it must stop.
    LookUntilStopped,
    /// Panics on such a thread.
    PanicThere(&'static str),
    /// Keeps its thread at a gate, at its second poll.
    BlockLater(Gate),
    /// Changes nothing after all.
    Unchanged,
    /// Sends nothing.
    Silent,
}

/// A place where an operation waits for the test.
#[derive(Clone, Debug)]
pub struct Gate {
    reached: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    pub fn new() -> Gate {
        Gate { reached: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }

    /// Returns when an operation waits there.
    pub async fn reached(&self) {
        super::within(self.reached.acquire()).await.unwrap().forget();
    }

    /// Lets one go on.
    pub fn open(&self) {
        self.open.add_permits(1);
    }

    async fn pass(&self) {
        self.reached.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }

    pub fn block(&self) {
        self.reached.add_permits(1);
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.open.try_acquire().map(|permit| permit.forget()).is_err() {
            assert!(Instant::now() < deadline, "nobody opens the gate");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

type Said = Result<WatchEvent, String>;

#[derive(Debug, Default)]
struct Books {
    real: HashMap<String, String>,
    log: Vec<String>,
    at: Vec<(String, Instant)>,
    once: HashMap<(String, Op), VecDeque<Act>>,
    always: HashMap<(String, Op), Act>,
    watchers: HashMap<String, mpsc::UnboundedSender<Said>>,
    held_watches: Vec<String>,
    running: Vec<String>,
    running_max: usize,
    overlaps: Vec<String>,
}

#[derive(Debug)]
pub struct Shared {
    books: Mutex<Books>,
}

/// The test's end of it.
#[derive(Debug)]
pub struct Desk {
    pub key: String,
    shared: Arc<Shared>,
}

impl Desk {
    pub fn new() -> Desk {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let key = format!("desk {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let shared = Arc::new(Shared { books: Mutex::default() });
        DESKS.lock().unwrap().insert(key.clone(), Arc::clone(&shared));
        Desk { key, shared }
    }

    /// A probe on this desk. Unless its desired state is set, it accepts any.
    #[track_caller]
    pub fn probe(&self, name: &str) -> ProbeBuilder {
        Probe::new(name, &self.key)
    }

    /// What is really there; empty: nothing.
    pub fn real(&self, name: &str) -> String {
        self.shared.real(name)
    }

    /// Changes it behind everybody's back.
    pub fn put(&self, name: &str, value: &str) {
        self.shared.books().real.insert(name.to_owned(), value.to_owned());
    }

    /// Changes it, seen by its watch.
    pub fn touch(&self, name: &str, value: &str) {
        self.put(name, value);
        self.wake(name);
    }

    /// Its watch speaks.
    pub fn wake(&self, name: &str) {
        let books = self.shared.books();
        let watcher = books.watchers.get(name).unwrap_or_else(|| panic!("{name} is not watched"));
        watcher.send(Ok(WatchEvent::Changed)).unwrap_or_else(|_| panic!("{name} is not watched any more"));
    }

    /// Its watch fails.
    pub fn break_watch(&self, name: &str, why: &str) {
        self.shared.books().watchers[name].send(Err(why.to_owned())).unwrap();
    }

    pub fn is_watched(&self, name: &str) -> bool {
        self.shared.books().watchers.get(name).is_some_and(|watcher| !watcher.is_closed())
    }

    /// Its watch does not say that it is ready until `ready`.
    pub fn hold_watch(&self, name: &str) {
        self.shared.books().held_watches.push(name.to_owned());
    }

    /// Its watch is ready; at once when it is asked for, if it was not yet.
    pub fn ready(&self, name: &str) {
        let mut books = self.shared.books();
        match books.watchers.get(name) {
            Some(watcher) => watcher.send(Ok(WatchEvent::Ready)).unwrap(),
            None => books.held_watches.retain(|held| held != name),
        }
    }

    /// In its next operation of that sort (for which nothing is planned yet), this happens.
    pub fn once(&self, name: &str, op: Op, act: Act) {
        self.shared.books().once.entry((name.to_owned(), op)).or_default().push_back(act);
    }

    /// The same in every one, unless something is planned for it.
    pub fn always(&self, name: &str, op: Op, act: Act) {
        self.shared.books().always.insert((name.to_owned(), op), act);
    }

    /// A gate at which its next operation of that sort waits.
    pub fn gate(&self, name: &str, op: Op) -> Gate {
        let gate = Gate::new();
        self.once(name, op, Act::Hold(gate.clone()));
        gate
    }

    /// What was done since it was asked last: `check a`, `apply a` …
    pub fn log(&self) -> Vec<String> {
        assert_eq!(self.shared.books().overlaps, Vec::<String>::new(), "two operations of one resource at once");
        std::mem::take(&mut self.shared.books().log)
    }

    /// How often that was done.
    pub fn count(&self, entry: &str) -> usize {
        self.shared.books().at.iter().filter(|(done, _)| done == entry).count()
    }

    /// When that was done.
    pub fn times(&self, entry: &str) -> Vec<Instant> {
        self.shared.books().at.iter().filter(|(done, _)| done == entry).map(|(_, at)| *at).collect()
    }

    /// How many operations there were at once.
    pub fn running_max(&self) -> usize {
        self.shared.books().running_max
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        DESKS.lock().unwrap().remove(&self.key);
    }
}

/// What follows from what was planned.
pub enum Then {
    GoOn,
    Unchanged,
    Silent,
}

/// An operation that is under way; if it is dropped before its end, it was cancelled.
struct Under<'a> {
    shared: &'a Shared,
    name: String,
    ended: bool,
}

impl Drop for Under<'_> {
    fn drop(&mut self) {
        let mut books = self.shared.books();
        books.running.retain(|name| *name != self.name);
        if !self.ended {
            let entry = format!("cut {}", self.name);
            books.log.push(entry);
        }
    }
}

impl Shared {
    pub fn of(key: &str) -> Arc<Shared> {
        Arc::clone(DESKS.lock().unwrap().get(key).expect("the test is over"))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    pub fn real(&self, name: &str) -> String {
        self.books().real.get(name).cloned().unwrap_or_default()
    }

    pub fn set(&self, name: &str, value: &str) {
        self.books().real.insert(name.to_owned(), value.to_owned());
    }

    fn plan(&self, name: &str, op: Op) -> Option<Act> {
        let mut books = self.books();
        let key = (name.to_owned(), op);
        books.once.get_mut(&key).and_then(VecDeque::pop_front).or_else(|| books.always.get(&key).cloned())
    }

    fn note(&self, entry: String) {
        let mut books = self.books();
        books.at.push((entry.clone(), Instant::now()));
        books.log.push(entry);
    }

    /// An operation: noted, and whatever is planned for it.
    pub async fn act(&self, cx: &CheckCx, name: &str, op: Op) -> Result<Then> {
        self.note(format!("{} {name}", format!("{op:?}").to_lowercase()));
        {
            let mut books = self.books();
            if books.running.iter().any(|other| other == name) {
                books.overlaps.push(name.to_owned());
            }
            books.running.push(name.to_owned());
            books.running_max = books.running_max.max(books.running.len());
        }
        let mut under = Under { shared: self, name: name.to_owned(), ended: false };
        let outcome = self.plan(name, op);
        let outcome = match outcome {
            None => Ok(Then::GoOn),
            Some(Act::Fail(why)) => Err(Error::new(why)),
            Some(Act::Outdated) => Err(Error::new("just changing").outdated()),
            Some(Act::Panic(why)) => {
                under.ended = true;
                panic!("{why}")
            }
            Some(Act::Sleep(time)) => {
                tokio::time::sleep(time).await;
                Ok(Then::GoOn)
            }
            Some(Act::Block(time)) => {
                std::thread::sleep(time);
                Ok(Then::GoOn)
            }
            Some(Act::Hold(gate)) => {
                gate.pass().await;
                Ok(Then::GoOn)
            }
            Some(Act::BlockAt(gate)) => {
                gate.block();
                Ok(Then::GoOn)
            }
            Some(Act::Thread(gate)) => {
                cx.look(move |_, _| gate.block()).await;
                Ok(Then::GoOn)
            }
            Some(Act::Look) => {
                let polled_by = std::thread::current().id();
                let stays = cx.look(move |_, _| std::thread::current().id() == polled_by).await;
                self.note(format!("{} {name}", if stays { "stays" } else { "leaves" }));
                Ok(Then::GoOn)
            }
            Some(Act::LookUntilStopped) => {
                cx.look(|_, stopping| {
                    while !stopping.is_stopped() {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                })
                .await;
                Ok(Then::GoOn)
            }
            Some(Act::PanicThere(why)) => {
                under.ended = true;
                cx.look(move |_, _| panic!("{why}")).await
            }
            Some(Act::BlockLater(gate)) => {
                tokio::task::yield_now().await;
                gate.block();
                Ok(Then::GoOn)
            }
            Some(Act::Unchanged) => Ok(Then::Unchanged),
            Some(Act::Silent) => Ok(Then::Silent),
        };
        under.ended = true;
        outcome
    }

    /// A watch begins.
    pub fn watch(&self, name: &str) -> mpsc::UnboundedReceiver<Said> {
        self.note(format!("watch {name}"));
        let (sender, receiver) = mpsc::unbounded_channel();
        let planned = self.plan(name, Op::Watch);
        let mut books = self.books();
        match planned {
            Some(Act::Panic(why)) => {
                drop(books);
                panic!("{why}")
            }
            Some(Act::Fail(why)) => sender.send(Err(why.to_owned())).unwrap(),
            _ if books.held_watches.iter().any(|held| held == name) => {}
            _ => sender.send(Ok(WatchEvent::Ready)).unwrap(),
        }
        books.watchers.insert(name.to_owned(), sender);
        drop(books);
        receiver
    }
}

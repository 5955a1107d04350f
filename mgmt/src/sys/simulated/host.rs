//! A simulated host, and the thread that is on it.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::commands::Commands;
use super::disk::Disk;
use super::file::File;
use super::life::Life;
use super::programs;
use super::seat::Seat;
use super::timeline::Timeline;

/// The name of a host that has got none.
const NAME: &str = "simulated";

/// A simulated host: files, programs, accounts and services, all in memory. Nothing of this machine is read or changed.
/// Clones are the same host.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    time: Arc<Timeline>,
    disk: Disk,
    commands: Mutex<Commands>,
    seed: u64,
    random: Mutex<u64>,
    /// The life of the process that runs on it.
    life: Mutex<Life>,
    /// How many lives have begun.
    lives: AtomicUsize,
    hostname: Mutex<String>,
    parts: Mutex<BTreeMap<TypeId, Arc<dyn AnyPart>>>,
}

/// A part of a simulated host that belongs to one door, such as the units of its service manager. A door that has a
/// simulated counterpart looks for it by [`here`] and [`Host::part`].
pub trait Part: Any + Send + Sync + Default {
    /// A copy with the same state, for another host.
    fn fork(&self) -> Self;

    /// What of its state must be the same after the same graph has converged, one line for each thing.
    fn state(&self, host: &Host) -> Vec<String>;
}

trait AnyPart: Send + Sync {
    fn fork(&self) -> Arc<dyn AnyPart>;
    fn state(&self, host: &Host) -> Vec<String>;
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<P: Part> AnyPart for P {
    fn fork(&self) -> Arc<dyn AnyPart> {
        Arc::new(Part::fork(self))
    }

    fn state(&self, host: &Host) -> Vec<String> {
        Part::state(self, host)
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

thread_local! {
    static HERE: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// Restores where the thread was.
struct Return(Option<Host>);

impl Drop for Return {
    fn drop(&mut self) {
        HERE.set(self.0.take());
    }
}

/// The simulated host that this thread is on; `None`: it is on the real one.
pub fn here() -> Option<Host> {
    HERE.with_borrow(Clone::clone)
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Host {
    /// A host with an empty file system (`/etc`, `/var/lib`, `/tmp` and the like exist), the accounts of a fresh
    /// system in `/etc/passwd`, `/etc/group` and `/etc/shadow`, and a few programs: `true`, `false`, `echo`, `cat`,
    /// `test`, `touch`, `mkdir`, `rm`, `systemctl`, and those that change accounts (`useradd`, `groupadd` and so on).
    pub fn new() -> Host {
        Host::seeded(0)
    }

    /// Like [`Host::new`]; what is random on it follows from this number.
    pub fn seeded(seed: u64) -> Host {
        let time = Arc::new(Timeline::default());
        let host = Host(Arc::new(Inner {
            disk: Disk::new(Arc::clone(&time)),
            time,
            commands: Mutex::default(),
            seed,
            random: Mutex::new(seed),
            life: Mutex::default(),
            lives: AtomicUsize::new(0),
            hostname: Mutex::new(NAME.to_owned()),
            parts: Mutex::default(),
        }));
        for dir in
            ["/dev", "/etc", "/home", "/opt", "/root", "/run", "/srv", "/tmp", "/usr/bin", "/usr/lib", "/usr/sbin"]
        {
            host.make_dir(dir);
        }
        for dir in ["/etc/systemd/system", "/usr/lib/systemd/system"] {
            host.make_dir(dir);
        }
        for dir in ["/usr/local/bin", "/usr/share", "/var/cache", "/var/lib", "/var/log", "/var/tmp"] {
            host.make_dir(dir);
        }
        host.chmod("/root", 0o700);
        host.chmod("/tmp", 0o1777);
        host.chmod("/var/tmp", 0o1777);
        host.add_usual_accounts();
        host.make_tables();
        programs::add(&host);
        host
    }

    /// A host of its own that is as this one is now. A graph that runs on one changes nothing on the other; closures of
    /// programs are shared.
    #[must_use]
    pub fn fork(&self) -> Host {
        let time = Arc::new(self.0.time.fork());
        let parts = lock(&self.0.parts).iter().map(|(id, part)| (*id, part.fork())).collect();
        Host(Arc::new(Inner {
            disk: self.0.disk.fork(Arc::clone(&time)),
            time,
            commands: Mutex::new(lock(&self.0.commands).fork()),
            seed: self.0.seed,
            random: Mutex::new(*lock(&self.0.random)),
            life: Mutex::default(),
            lives: AtomicUsize::new(0),
            hostname: Mutex::new(lock(&self.0.hostname).clone()),
            parts: Mutex::new(parts),
        }))
    }

    /// Runs code with this thread on this host.
    pub fn on<T>(&self, run: impl FnOnce() -> T) -> T {
        let _return = Return(HERE.replace(Some(self.clone())));
        run()
    }

    /// The part of this type, which is made at its first use.
    pub fn part<P: Part>(&self) -> Arc<P> {
        let part = Arc::clone(lock(&self.0.parts).entry(TypeId::of::<P>()).or_insert_with(|| Arc::new(P::default())));
        part.as_any().downcast().unwrap_or_default()
    }

    /// The state of all parts.
    pub(super) fn states_of_parts(&self) -> Vec<String> {
        let parts: Vec<_> = lock(&self.0.parts).values().cloned().collect();
        parts.iter().flat_map(|part| part.state(self)).collect()
    }

    /// The name of the host. Default: `simulated`.
    pub fn hostname(&self) -> String {
        lock(&self.0.hostname).clone()
    }

    /// Sets the name of the host.
    pub fn set_hostname(&self, name: &str) {
        name.clone_into(&mut lock(&self.0.hostname));
    }

    /// The time that has passed on the host.
    pub fn elapsed(&self) -> Duration {
        self.0.time.now()
    }

    /// The wall time, in time since 1970.
    pub(in crate::sys) fn wall(&self) -> Duration {
        self.0.time.wall()
    }

    /// From now on, time passes with the clock of this thread's runtime.
    pub(crate) fn begin_time(&self) {
        self.0.time.begin();
    }

    /// The time stands still until [`Host::begin_time`].
    pub(crate) fn pause_time(&self) {
        self.0.time.pause();
    }

    /// Begins the life of another process, which takes the place of the one before.
    pub(crate) fn new_life(&self) -> Life {
        let life = Life::default();
        self.0.lives.fetch_add(1, Ordering::SeqCst);
        std::mem::replace(&mut *lock(&self.0.life), life.clone()).end();
        life
    }

    /// How many processes have begun to run on the host.
    pub(crate) fn lives(&self) -> usize {
        self.0.lives.load(Ordering::SeqCst)
    }

    /// The life of the process that runs on the host.
    pub(crate) fn life(&self) -> Life {
        lock(&self.0.life).clone()
    }

    /// Lets time pass.
    pub(crate) async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.0.disk
    }

    /// The root directory, for the process that runs on the host.
    pub(in crate::sys) fn root(&self) -> File {
        File::root(&self.0.disk, &self.life())
    }

    /// The place of an engine's watches.
    pub(crate) fn seat(&self) -> Seat {
        Seat::new(&self.0.disk)
    }

    pub(super) fn commands(&self) -> MutexGuard<'_, Commands> {
        lock(&self.0.commands)
    }

    /// The beginning of random numbers that follow from the seed of the host and from this text.
    pub(crate) fn random_of(&self, text: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.0.seed, text).hash(&mut hasher);
        hasher.finish()
    }

    /// Runs code whose random numbers continue from these, and returns where they end.
    pub(crate) fn with_random<T>(&self, random: &mut u64, run: impl FnOnce() -> T) -> T {
        std::mem::swap(random, &mut *lock(&self.0.random));
        let value = run();
        std::mem::swap(random, &mut *lock(&self.0.random));
        value
    }

    /// Fills the buffer with numbers that follow from the seed.
    pub(in crate::sys) fn fill(&self, buffer: &mut [u8]) {
        let mut state = lock(&self.0.random);
        for chunk in buffer.chunks_mut(8) {
            // splitmix64
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = *state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

impl Default for Host {
    fn default() -> Host {
        Host::new()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("hostname", &self.hostname()).field("elapsed", &self.elapsed()).finish()
    }
}

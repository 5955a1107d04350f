//! The stream that all watches of one range share, of all hosts of this process that use one connection.
//!
//! A stream of its own for each watch would cost etcd more than the watch, and versions before 3.4.24 and 3.5.7 allow
//! 250 streams on an encrypted connection: further requests would wait for ever.
//!
//! All events of a revision in one range come in one response, so nothing has to be put together.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use etcd_client::{WatchOptions, WatchRequestSender, WatchResponse, WatchResponseStream};
use futures_core::Stream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::resource::{Changes, Keys, Revision, WorldEvent, WorldWatch};
use crate::world::etcd::Etcd;
use crate::world::etcd::member::{ANSWER_BYTES_MAX, words};
use crate::world::etcd::watch::{BEGIN_MAX, QUEUE_MAX, Range, changes, why_ended};

/// The way to the stream, as long as there is one.
#[derive(Clone, Default)]
pub(super) struct Line(Arc<Mutex<Option<UnboundedSender<Command>>>>);

enum Command {
    Add(i64, Watched),
    Drop(i64),
}

/// A watch of one range.
struct Watched {
    range: Range,
    /// What is passed on of the range.
    keys: Vec<Keys>,
    /// Up to here, all has been passed on.
    done: Revision,
    sender: mpsc::Sender<Changes>,
    why: Arc<OnceLock<String>>,
}

impl Watched {
    /// Its reader gets what has been passed on, and then this reason.
    fn lose(self, why: &str) {
        // No other one was set: a watch is lost once.
        let _ = self.why.set(why.to_owned());
    }

    fn options(&self, id: i64) -> WatchOptions {
        let from = self.done.0.cast_signed().saturating_add(1);
        WatchOptions::new().with_start_revision(from).with_range(self.range.1.clone()).with_watch_id(id)
    }
}

/// The events of a watch, which ends with this.
struct Events {
    changes: mpsc::Receiver<Changes>,
    why: Arc<OnceLock<String>>,
    is_over: bool,
    id: i64,
    commands: UnboundedSender<Command>,
}

impl Drop for Events {
    fn drop(&mut self) {
        // An error means that the stream has ended.
        let _ = self.commands.send(Command::Drop(self.id));
    }
}

impl Stream for Events {
    type Item = WorldEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WorldEvent>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Some(changes) = ready!(self.changes.poll_recv(cx)) {
            return Poll::Ready(Some(WorldEvent::Changed(changes)));
        }
        self.is_over = true;
        let why = self.why.get().cloned().unwrap_or_else(|| "the runtime of the world has ended".to_owned());
        Poll::Ready(Some(WorldEvent::Lost(why)))
    }
}

/// Each watch has a number of its own.
static NEXT: AtomicI64 = AtomicI64::new(1);

impl Line {
    fn lock(&self) -> MutexGuard<'_, Option<UnboundedSender<Command>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a range, and passes on what is in these keys. Begins the stream if there is none.
    pub(super) fn watch(&self, world: &Etcd, range: Range, keys: Vec<Keys>, after: Revision) -> WorldWatch {
        let (id, why) = (NEXT.fetch_add(1, Ordering::Relaxed), Arc::new(OnceLock::new()));
        let (sender, changes) = mpsc::channel(QUEUE_MAX);
        let watched = Watched { range, keys, done: after, sender, why: Arc::clone(&why) };
        let mut line = self.lock();
        let commands = match line.take().filter(|commands| !commands.is_closed()) {
            Some(commands) => commands,
            None => {
                let (commands, receiver) = mpsc::unbounded_channel();
                tokio::spawn(run(world.clone(), receiver));
                commands
            }
        };
        // A stream that ends closes the channel under the lock.
        let _ = commands.send(Command::Add(id, watched));
        *line = Some(commands.clone());
        Box::pin(Events { changes, why, is_over: false, id, commands })
    }
}

/// Carries the stream until no watch is left, or the connection is cut.
async fn run(world: Etcd, commands: UnboundedReceiver<Command>) {
    let mut carrying = Carrying { commands, watches: BTreeMap::new(), beginning: VecDeque::new() };
    let (why, number) = match world.client().await {
        Ok((client, number)) => {
            let mut client = client.watch_client().max_decoding_message_size(ANSWER_BYTES_MAX);
            let Some((id, range, options)) = carrying.first(&world) else { return };
            let begun = tokio::time::timeout(BEGIN_MAX, client.watch(range, Some(options))).await;
            let carried = match begun {
                Ok(Ok(stream)) => {
                    carrying.beginning.push_back(id);
                    let (requests, responses) = stream.split();
                    carrying.carry(&world, requests, responses).await
                }
                Ok(Err(error)) => Err(words(&error)),
                Err(_) => Err(format!("no answer within {BEGIN_MAX:?}")),
            };
            let Err(why) = carried else { return };
            (why, Some(number))
        }
        Err(why) => (why, None),
    };
    {
        // No watch is added from here on.
        let _line = world.line().lock();
        carrying.commands.close();
    }
    carrying.lose_all(&why);
    if let Some(number) = number {
        world.lose(number).await;
    }
}

/// What the task has in its hands.
struct Carrying {
    commands: UnboundedReceiver<Command>,
    watches: BTreeMap<i64, Watched>,
    /// The watches that etcd has not confirmed yet. It confirms them in the order in which they were asked for.
    beginning: VecDeque<i64>,
}

/// What etcd is asked for.
enum Asked {
    Begin(Vec<u8>, WatchOptions),
    End(i64),
}

impl Carrying {
    /// The watch with which the stream begins; `None`: there is none any more, and the channel is closed.
    fn first(&mut self, world: &Etcd) -> Option<(i64, String, WatchOptions)> {
        let _line = world.line().lock();
        while self.watches.is_empty()
            && let Ok(command) = self.commands.try_recv()
        {
            match command {
                Command::Add(id, watched) => _ = self.watches.insert(id, watched),
                Command::Drop(id) => _ = self.watches.remove(&id),
            }
        }
        let first = self.watches.first_key_value();
        let first = first.map(|(id, watched)| (*id, watched.range.0.clone(), watched.options(*id)));
        if first.is_none() {
            self.commands.close();
        }
        first
    }

    /// Returns when no watch is left. An error is one of the connection.
    async fn carry(
        &mut self,
        world: &Etcd,
        mut requests: WatchRequestSender,
        mut responses: WatchResponseStream,
    ) -> Result<(), String> {
        let (ask, mut asked) = mpsc::unbounded_channel();
        // A request may wait for room while etcd waits for a response to be taken: both go on at the same time.
        let sends = async {
            while let Some(asked) = asked.recv().await {
                match asked {
                    Asked::Begin(key, options) => requests.watch(key, Some(options)).await,
                    Asked::End(id) => requests.cancel(id).await,
                }
                .map_err(|error| words(&error))?;
            }
            std::future::pending::<Result<(), String>>().await
        };
        let takes = async {
            loop {
                tokio::select! {
                    command = self.commands.recv() => match command {
                        Some(Command::Add(id, watched)) => {
                            let begin = Asked::Begin(watched.range.0.clone().into_bytes(), watched.options(id));
                            // It is received in this function; the same below.
                            let _ = ask.send(begin);
                            self.beginning.push_back(id);
                            self.watches.insert(id, watched);
                        }
                        Some(Command::Drop(id)) => if self.watches.remove(&id).is_some() {
                            let _ = ask.send(Asked::End(id));
                        },
                        None => return Ok(()),
                    },
                    response = next(&mut responses) => if let Some(slow) = self.take(&response?) {
                        let _ = ask.send(Asked::End(slow));
                    },
                }
                if self.watches.is_empty() && self.ends(world) {
                    return Ok(());
                }
            }
        };
        tokio::select! {
            done = sends => done,
            done = takes => done,
        }
    }

    /// Ends the stream, if no watch is about to be added.
    fn ends(&mut self, world: &Etcd) -> bool {
        let _line = world.line().lock();
        let is_idle = self.commands.is_empty();
        if is_idle {
            self.commands.close();
        }
        is_idle
    }

    /// Passes a response on. Returns a watch whose reader is too slow, and which is lost therefore.
    fn take(&mut self, response: &WatchResponse) -> Option<i64> {
        let mut id = response.watch_id();
        if response.created() {
            // A watch that is refused has no number in the response.
            id = self.beginning.pop_front().unwrap_or(id);
        }
        if response.canceled() {
            if let Some(watched) = self.watches.remove(&id) {
                watched.lose(&why_ended(response));
            }
            return None;
        }
        let watched = self.watches.get_mut(&id)?;
        for changes in changes(response, &watched.keys, &mut watched.done) {
            if watched.sender.try_send(changes).is_err() {
                // Also if its reader has gone just now.
                self.watches.remove(&id)?.lose("its reader was too slow");
                return Some(id);
            }
        }
        None
    }

    fn lose_all(&mut self, why: &str) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Add(id, watched) => _ = self.watches.insert(id, watched),
                Command::Drop(id) => _ = self.watches.remove(&id),
            }
        }
        for watched in std::mem::take(&mut self.watches).into_values() {
            watched.lose(why);
        }
    }
}

async fn next(responses: &mut WatchResponseStream) -> Result<WatchResponse, String> {
    let next = std::future::poll_fn(|cx| Pin::new(&mut *responses).poll_next(cx)).await;
    next.ok_or("etcd has ended the watch")?.map_err(|error| words(&error))
}

//! The near ends of a run that stays: they come and go by a socket in the working directory of the engine. What the run
//! reports goes to all that are there, and is kept for those that come later; what they ask for goes to the run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::recall::Recall;
use super::record::{Detached, DetachedEnd, Place, SOCKET, now};
use super::start::Stays;
use crate::remote::error::Note;
use crate::remote::lines::{Cutter, Found};
use crate::remote::message::{End, HowEnded, SILENCE_MAX, ToFar, ToNear, line};
use crate::sys::local::{Listener, stranger};
use crate::sys::stdio::Conversation;
use crate::sys::task::blocking;

/// At most this many near ends are served at the same time.
const CLIENTS_MAX: usize = 16;
/// How many bytes are read at once.
const READ_BYTES: usize = 1 << 16;
/// The parts that wait for the run, as with standard input.
const PARTS_MAX: usize = 16;
/// How long nothing is accepted after an error: the system has no descriptor left, or the near end has gone.
const PAUSE: Duration = Duration::from_millis(100);
/// How long near ends may take to read the last lines.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often the use of the executable's directory is marked, and the log is looked at.
const CARE_EVERY: Duration = Duration::from_secs(3600);

/// How far the run has become independent of the near end that began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No near end has begun.
    Waits,
    /// It ends with this one.
    Begun(u64),
    /// It stays.
    Detached,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    recall: Recall,
    /// The latest progress, and its number.
    progress: (u64, Vec<u8>),
    /// The way to the run; `None`: it has ended, or must.
    to_run: Option<mpsc::Sender<io::Result<Vec<u8>>>>,
    /// The near ends, with the ways of answers that are of the moment.
    clients: BTreeMap<u64, mpsc::UnboundedSender<Vec<u8>>>,
    clients_so_far: u64,
    is_over: bool,
    record: Detached,
}

/// The near ends of the run of this process.
#[derive(Clone, Debug)]
pub(in crate::remote) struct Hub {
    state: Arc<Mutex<State>>,
    news: watch::Sender<()>,
    place: Place,
    /// The lock, which is held as long as the process lives.
    _lock: Arc<File>,
}

impl Hub {
    /// Serves the near ends of this run from now on: the conversation is the one that the run has with them.
    pub(in crate::remote) async fn begin(stays: &Stays) -> io::Result<(Hub, Conversation)> {
        let place = Place::of(&stays.prefix);
        let locking = place.clone();
        let lock = blocking(move || locking.lock()).await?;
        let lock = lock.ok_or_else(|| io::Error::other("another run was left in this working directory"))?;
        // The lock is ours, so nothing listens there any more.
        let listener = Listener::bind(place.dir(), SOCKET)?;
        let record = Detached {
            pid: std::process::id(),
            unit: stays.unit.clone(),
            prefix: stays.prefix.display().to_string(),
            started: now(),
            log: stays.log(&place),
            runs: true,
            ended: None,
        };
        let (to_run, input) = mpsc::channel(PARTS_MAX);
        let (output, reported) = mpsc::channel(1);
        let state = State {
            stage: Stage::Waits,
            recall: Recall::default(),
            progress: (0, Vec::new()),
            to_run: Some(to_run),
            clients: BTreeMap::new(),
            clients_so_far: 0,
            is_over: false,
            record,
        };
        let news = watch::Sender::new(());
        let hub = Hub { state: Arc::new(Mutex::new(state)), news, place, _lock: Arc::new(lock) };
        tokio::spawn(hub.clone().take(reported));
        tokio::spawn(hub.clone().accept(listener));
        tokio::spawn(hub.clone().care());
        Ok((hub, Conversation { input, output }))
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records how the run has ended, before the near ends learn it.
    pub(in crate::remote) async fn record_end(&self, end: &End) {
        let record = self.with(|state| {
            let (code, how, error) = (end.code, end.how, end.error.clone());
            state.record.ended = Some(DetachedEnd { at: now(), code, how, error });
            (state.stage == Stage::Detached).then(|| state.record.clone())
        });
        let Some(record) = record else { return };
        let place = self.place.clone();
        if let Err(error) = blocking(move || place.write(&record)).await {
            tracing::warn!(target: "mgmt", "the end of the run can't be recorded: {error}");
        }
    }

    /// Returns when all near ends have read the last lines, or take too long for it.
    pub(in crate::remote) async fn finish(&self) {
        self.with(|state| (state.is_over, state.to_run) = (true, None));
        self.news.send_replace(());
        let mut news = self.news.subscribe();
        let left = async {
            while self.with(|state| !state.clients.is_empty()) {
                if news.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = timeout(LAST_WORDS, left).await;
    }

    /// Takes the lines that the run reports.
    async fn take(self, mut reported: mpsc::Receiver<Vec<u8>>) {
        while let Some(lines) = reported.recv().await {
            self.with(|state| lines.split(|byte| *byte == b'\n').for_each(|line| state.take(line)));
            self.news.send_replace(());
        }
    }

    /// Takes care of what the run needs here.
    async fn care(self) {
        let mut hourly = interval(CARE_EVERY);
        hourly.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            hourly.tick().await;
            let place = self.place.clone();
            blocking(move || {
                place.shorten_log();
                if let Ok(program) = std::env::current_exe() {
                    mark_use(&program);
                }
            })
            .await;
        }
    }

    async fn accept(self, listener: Listener) {
        loop {
            match listener.accept().await {
                // Only our own user and root may steer the run.
                Ok(stream) if matches!(stranger(&stream), Ok(None)) => {
                    if self.with(|state| state.clients.len() < CLIENTS_MAX) {
                        tokio::spawn(self.clone().serve(stream));
                    }
                }
                Ok(_) => {}
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Serves one near end.
    async fn serve(self, stream: UnixStream) {
        let (mut from, mut to) = stream.into_split();
        let mut cutter = Cutter::default();
        let Ok(Some(first)) = timeout(SILENCE_MAX, message(&mut from, &mut cutter)).await else { return };
        let (answers, direct) = mpsc::unbounded_channel();
        let greeted = self.with(|state| state.greet(&first, answers));
        let (number, at) = match greeted {
            Ok(greeted) => greeted,
            Err(why) => {
                let end = ToNear::End(End { code: 1, error: Some(why), how: HowEnded::Failed });
                // It may be gone already.
                let _ = to.write_all(&line(&end).unwrap_or_default()).await;
                return;
            }
        };
        let writing = tokio::spawn(self.clone().write(to, number, at, direct));
        if matches!(first, ToFar::Begin(_)) {
            self.pass(&first).await;
        }
        while let Some(message) = message(&mut from, &mut cutter).await {
            self.asked(number, message).await;
        }
        self.with(|state| state.leave(number));
        self.news.send_replace(());
        // It ends when its way of answers does.
        let _ = writing.await;
    }

    /// What a near end asks for.
    async fn asked(&self, number: u64, message: ToFar) {
        let owns = self.with(|state| state.stage == Stage::Begun(number));
        match &message {
            // What was only written may be lost with the connection.
            ToFar::Seen(number) => self.with(|state| state.recall.seen(*number)),
            ToFar::Detach if owns => self.detach(number).await,
            ToFar::Stop(_) | ToFar::Status | ToFar::Reload => self.pass(&message).await,
            _ if owns => self.pass(&message).await,
            ToFar::Graph(sent) => {
                let why =
                    "a run that was left on its host takes no other graph: stop it, and leave one with the new graph";
                let refused = Some(vec![Note::new(why)]);
                self.with(|state| state.answer(number, &ToNear::Graph { number: sent.number, refused }));
            }
            _ => {}
        }
    }

    async fn detach(&self, number: u64) {
        let record = self.with(|state| state.record.clone());
        let (place, writing) = (self.place.clone(), record.clone());
        let written = blocking(move || place.write(&writing)).await;
        self.with(|state| match written {
            Ok(()) => {
                state.stage = Stage::Detached;
                state.answer(number, &ToNear::Left(Box::new(record)));
                // What the run reports from now on is for those who attach.
                state.clients.remove(&number);
            }
            Err(error) => {
                let why = format!("the run can't be left here, since that can't be recorded: {error}");
                let end = End { code: 1, error: Some(why), how: HowEnded::Failed };
                state.answer(number, &ToNear::End(end));
                state.to_run = None;
            }
        });
    }

    async fn pass(&self, message: &ToFar) {
        let to_run = self.with(|state| state.to_run.clone());
        if let (Some(to_run), Ok(line)) = (to_run, line(message)) {
            // An error means that the run has ended.
            let _ = to_run.send(Ok(line)).await;
        }
    }

    /// Writes to a near end what is due for it, until it leaves or all is over. `at`: the number of its first line.
    async fn write(
        self,
        mut to: OwnedWriteHalf,
        number: u64,
        mut at: u64,
        mut direct: mpsc::UnboundedReceiver<Vec<u8>>,
    ) {
        let (mut news, mut progress) = (self.news.subscribe(), 0);
        loop {
            news.borrow_and_update();
            let (due, is_over) = self.with(|state| {
                let is_served = state.clients.contains_key(&number);
                (if is_served { state.due(&mut at, &mut progress) } else { Vec::new() }, state.is_over)
            });
            let mut lines = Vec::new();
            while let Ok(answer) = direct.try_recv() {
                lines.extend(answer);
            }
            lines.extend(due);
            if !lines.is_empty() {
                match timeout(SILENCE_MAX, to.write_all(&lines)).await {
                    Ok(Ok(())) => {}
                    _ => break,
                }
                continue;
            }
            if is_over {
                break;
            }
            tokio::select! {
                _ = news.changed() => {}
                answer = direct.recv() => match answer {
                    Some(answer) => match timeout(SILENCE_MAX, to.write_all(&answer)).await {
                        Ok(Ok(())) => {}
                        _ => break,
                    },
                    None => break,
                },
            }
        }
        self.with(|state| state.leave(number));
        self.news.send_replace(());
    }
}

impl State {
    /// A line that the run reports.
    fn take(&mut self, line: &[u8]) {
        let word = line.strip_prefix(br#"{"m":""#).and_then(|rest| rest.split(|byte| *byte == b'"').next());
        match word.unwrap_or_default() {
            b"" | b"alive" => {}
            b"progress" => {
                self.progress.0 += 1;
                self.progress.1 = [line, b"\n"].concat();
            }
            b"event" | b"missed" | b"warning" | b"problem" | b"hopeless" | b"begun" | b"end" => self.recall.push(line),
            // Answers, and what the near end that begins is asked for.
            _ => {
                let line = [line, b"\n"].concat();
                self.clients.retain(|_, client| client.send(line.clone()).is_ok());
            }
        }
    }

    /// Lets a near end in. Returns its number, and that of the first line for it.
    fn greet(&mut self, first: &ToFar, answers: mpsc::UnboundedSender<Vec<u8>>) -> Result<(u64, u64), String> {
        let number = self.clients_so_far + 1;
        let at = match (first, self.stage) {
            (ToFar::Begin(_), Stage::Waits) => {
                self.stage = Stage::Begun(number);
                0
            }
            (ToFar::Attach, Stage::Detached) => self.recall.unseen(),
            (ToFar::Attach, _) => return Err("the run is only about to begin there: try again".to_owned()),
            _ => return Err("what came is not the beginning of a conversation with a run that stays".to_owned()),
        };
        self.clients_so_far = number;
        self.clients.insert(number, answers);
        if matches!(first, ToFar::Attach) {
            self.answer(number, &ToNear::Attached(Box::new(self.record.clone())));
            // So that it knows how far the run is.
            self.progress.0 += 1;
        }
        Ok((number, at))
    }

    fn answer(&mut self, number: u64, message: &impl Serialize) {
        if let (Some(client), Ok(line)) = (self.clients.get(&number), line(message)) {
            // It may be gone.
            let _ = client.send(line);
        }
    }

    fn leave(&mut self, number: u64) {
        self.clients.remove(&number);
        if self.stage == Stage::Begun(number) {
            self.to_run = None;
        }
    }

    /// The next lines for a near end that has the lines before `at`, and the progress with this number.
    fn due(&mut self, at: &mut u64, progress: &mut u64) -> Vec<u8> {
        let mut lines = Vec::new();
        if let Some(due) = self.recall.due(*at) {
            if due.missed > 0 {
                lines = line(&ToNear::Missed(due.missed)).unwrap_or_default();
            }
            lines.extend_from_slice(&due.lines);
            *at = due.next;
            lines.extend(line(&ToNear::Upto(due.next)).unwrap_or_default());
        }
        if *progress != self.progress.0 && *at == self.recall.end() && !self.is_over {
            *progress = self.progress.0;
            lines.extend_from_slice(&self.progress.1);
        }
        lines
    }
}

/// The next message of a near end. `None`: it is gone, or what comes is no message.
async fn message(from: &mut OwnedReadHalf, cutter: &mut Cutter) -> Option<ToFar> {
    let mut part = vec![0; READ_BYTES];
    loop {
        match cutter.next() {
            Some(Found::Line(line)) => return serde_json::from_slice(&line).ok(),
            Some(Found::TooLong(_)) => return None,
            None => {}
        }
        match from.read(&mut part).await {
            Ok(count) if count > 0 => cutter.push(&part[..count]),
            _ => return None,
        }
    }
}

/// Marks the use of the executable, if it is in a directory of those that were sent: others that were not used for long
/// are removed there. Blocks.
fn mark_use(program: &Path) {
    let Some(dir) = program.parent() else { return };
    let is_digest = dir.file_name().is_some_and(|name| {
        let name = name.as_encoded_bytes();
        name.len() == 64 && name.iter().all(u8::is_ascii_hexdigit)
    });
    if is_digest {
        let marked = File::open(dir).and_then(|dir| dir.set_modified(crate::sys::clock::wall()));
        if let Err(error) = marked {
            tracing::debug!("the use of {} can't be marked: {error}", dir.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn the_use_of_an_executable_that_was_sent_is_marked_and_no_other_directory_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        for (name, is_marked) in [("0a".repeat(32), true), ("bin".to_owned(), false), ("x".repeat(64), false)] {
            let place = dir.path().join(name);
            std::fs::create_dir(&place).unwrap();
            std::fs::write(place.join("mgmt"), "").unwrap();
            File::open(&place).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
            mark_use(&place.join("mgmt"));
            let marked = std::fs::metadata(&place).unwrap().modified().unwrap() > SystemTime::UNIX_EPOCH;
            assert_eq!(marked, is_marked, "{}", place.display());
        }
    }
}

//! A process between a near end and a run that stays on this machine: it passes on what the two send each other.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep, timeout};

use super::record::{Place, SOCKET};
use crate::remote::far::Failed;
use crate::remote::far_link::{Inbound, Inbox, Outbox};
use crate::remote::lines::{Cutter, Found};
use crate::remote::message::{End, HowEnded, SILENCE_MAX, ToFar, ToNear, line};
use crate::sys::local::{connect, stranger};
use crate::sys::task::blocking;

/// How many bytes are read at once.
const READ_BYTES: usize = 1 << 16;
/// How long the process of a run may take to end after its last message.
const EXIT_MAX: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(20);

/// What the near end wants of the run.
#[derive(Debug)]
pub(in crate::remote) enum Manner {
    /// Begin it, and leave it here: the connection to it, and the first messages.
    Leave(UnixStream, Vec<ToFar>),
    /// See what it reports.
    Attach,
    /// End it.
    Stop,
}

/// Passes on, until the run has ended or the near end leaves it.
pub(in crate::remote) async fn relay(
    place: &Place,
    manner: Manner,
    inbox: &mut Inbox,
    out: &Outbox,
) -> Result<End, Failed> {
    let (stream, first, mut stops) = match manner {
        Manner::Leave(stream, first) => (stream, first, None),
        Manner::Attach => (reach(place).await?, vec![ToFar::Attach], None),
        Manner::Stop => (reach(place).await?, vec![ToFar::Attach, ToFar::Stop(1)], Some(1)),
    };
    let only_looks = matches!(first[..], [ToFar::Attach]);
    let (mut from, mut to) = stream.into_split();
    for message in &first {
        pass(&mut to, message, place).await?;
    }
    let (mut cutter, mut has_answered) = (Cutter::default(), false);
    let silent = sleep(SILENCE_MAX);
    let mut silent = std::pin::pin!(silent);
    let mut part = vec![0; READ_BYTES];
    loop {
        tokio::select! {
            count = from.read(&mut part) => {
                let count = count.unwrap_or(0);
                if count == 0 {
                    return Err(Failed::Other(gone(place).await));
                }
                has_answered = true;
                cutter.push(&part[..count]);
                if let Some(end) = report(&mut cutter, &mut from, out, place).await? {
                    return Ok(end);
                }
            }
            () = &mut silent, if !has_answered => return Err(Failed::Other(silence(place).await)),
            inbound = inbox.next() => match (inbound, &mut stops) {
                // A near end that only looks leaves the run.
                (Inbound::Message(ToFar::Stop(_)), None) if only_looks => {
                    return Ok(End { code: 0, error: None, how: HowEnded::Detached });
                }
                // The run was asked to end before the first signal here.
                (Inbound::Message(ToFar::Stop(_)), Some(step)) => {
                    *step += 1;
                    pass(&mut to, &ToFar::Stop(*step), place).await?;
                }
                (Inbound::Message(message), _) => pass(&mut to, &message, place).await?,
                (Inbound::Lost(_), _) => return Err(Failed::Stopped(HowEnded::StoppedThere)),
            },
        }
    }
}

/// Connects to the run that was left here.
async fn reach(place: &Place) -> Result<UnixStream, Failed> {
    let stream = match timeout(SILENCE_MAX, connect(place.dir(), SOCKET)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Err(Failed::Other(absent(place).await));
        }
        Ok(Err(error)) => return Err(Failed::Other(format!("the run that was left here can't be reached: {error}"))),
        Err(_) => return Err(Failed::Other(silence(place).await)),
    };
    match stranger(&stream) {
        Ok(None) => Ok(stream),
        _ => Err(Failed::Other(format!("another user listens at {}", place.dir().join(SOCKET).display()))),
    }
}

/// Why there is no run to attach to.
async fn absent(place: &Place) -> String {
    let (reading, dir) = (place.clone(), place.prefix().display().to_string());
    let last = blocking(move || reading.read()).await;
    let last = match last {
        None => String::new(),
        Some(run) => match run.ended {
            Some(end) => {
                let why = end.error.map(|error| format!(": {error}")).unwrap_or_default();
                format!("; the last one has ended at {} with exit code {}{why}", end.at, end.code)
            }
            None => {
                let (started, log) = (run.started, run.log);
                format!("; the one that began at {started} was killed, or ended by a reboot; its log: {log}")
            }
        },
    };
    format!("no run that was left here has the working directory {dir} (`--prefix` gives another one){last}")
}

async fn silence(place: &Place) -> String {
    let reading = place.clone();
    let (after, run) = (SILENCE_MAX.as_secs(), blocking(move || reading.read()).await);
    let which = run.map(|run| format!(" ({run})")).unwrap_or_default();
    format!(
        "the run that was left here does not answer within {after} s{which}: it may be stopped or hang; `kill -KILL` ends \
         its process on that host"
    )
}

/// What has become of a run whose connection was closed before its last message.
async fn gone(place: &Place) -> String {
    let _ = timeout(EXIT_MAX, ended(place)).await;
    let reading = place.clone();
    let log = blocking(move || reading.read()).await.map(|run| format!("; its log: {}", run.log));
    format!("the run that was left here was killed{}", log.unwrap_or_default())
}

/// Returns when the process of the run has ended.
async fn ended(place: &Place) {
    loop {
        let looking = place.clone();
        if !blocking(move || looking.is_held() || looking.is_ending()).await {
            return;
        }
        sleep(PAUSE).await;
    }
}

async fn pass(to: &mut OwnedWriteHalf, message: &ToFar, place: &Place) -> Result<(), Failed> {
    let bytes = line(message).map_err(|error| Failed::Other(format!("a message has no form as data: {error}")))?;
    match timeout(SILENCE_MAX, to.write_all(&bytes)).await {
        Ok(Ok(())) => Ok(()),
        // What it has sent before it ended shows why.
        Ok(Err(_)) => Ok(()),
        Err(_) => Err(Failed::Other(silence(place).await)),
    }
}

/// Passes whole lines on. Returns the end, if it has come: the run has ended, or stays without this near end.
async fn report(
    cutter: &mut Cutter,
    from: &mut OwnedReadHalf,
    out: &Outbox,
    place: &Place,
) -> Result<Option<End>, Failed> {
    while let Some(found) = cutter.next() {
        let Found::Line(mut text) = found else { continue };
        let is = |word: &str| text.starts_with(format!(r#"{{"m":"{word}""#).as_bytes());
        if is("end")
            && let Ok(ToNear::End(end)) = serde_json::from_slice(&text)
        {
            // It closes the connection, and then its process ends.
            let deadline = Instant::now() + EXIT_MAX;
            let rest = async {
                let mut rest = [0; 64];
                while from.read(&mut rest).await.unwrap_or(0) > 0 {}
                ended(place).await;
            };
            if tokio::time::timeout_at(deadline, rest).await.is_err() {
                let after = EXIT_MAX.as_secs();
                return Err(Failed::Other(format!("the run has ended, but its process still runs after {after} s")));
            }
            return Ok(Some(end));
        }
        let is_left = is("left");
        text.push(b'\n');
        out.send_line(text).await.map_err(|_| Failed::Stopped(HowEnded::StoppedThere))?;
        if is_left {
            return Ok(Some(End { code: 0, error: None, how: HowEnded::Detached }));
        }
    }
    Ok(None)
}

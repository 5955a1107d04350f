//! What the two ends tell each other: one JSON object in a line. What is large travels as content, in parts.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::graph::{ContentId, ContentRef};
use crate::plan::Plan;
use crate::remote::detached::Detached;
use crate::remote::error::Note;
use crate::remote::trail::Trail;
use crate::remote::tunnel::Frame;
use crate::resource::Seconds;
use crate::runtime::{Event, Progress, Status};

/// The version of the protocol. Both ends must have the same.
pub(super) const VERSION: u32 = 1;
/// How often each end gives a sign of life, and how long the other one waits for it.
pub(super) const ALIVE_EVERY: Duration = Duration::from_secs(2);
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(10);
/// The bytes of a part of a content. On a slow line, one part must arrive within the time of `SILENCE_MAX`.
pub(super) const PART_BYTES: usize = 48 << 10;
/// Less than this is not deflated: it fits into a packet or two.
const DEFLATED_BYTES_MIN: usize = 1 << 10;

/// The line with which the far end begins, without the nonce.
pub(super) const MARK: &str = "mgmt far end ";

/// What the near end sends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "m", content = "v", rename_all = "snake_case")]
pub(super) enum ToFar {
    Begin(Box<Begin>),
    Part(Part),
    /// Another graph.
    Graph(Sent),
    /// Make the graph again.
    Reload,
    /// The state of the engine is wanted.
    Status,
    Alive,
    /// The run is confirmed, by another connection.
    Confirmed,
    /// A step of the ladder, from 1 to 3.
    Stop(u8),
    /// A stream to a server of the world.
    Stream(Frame),
    /// The certificates of the host in the world, or why it gets none.
    Certified(Result<Json, String>),
    /// Where the servers of the world are from now on.
    Servers(Vec<String>),
    /// The run stays when this near end leaves. Only if it was begun so.
    Detach,
    /// The reports of a run that has stayed are wanted.
    Attach,
    /// The lines before this number of a run that has stayed have arrived.
    Seen(u64),
}

/// What the far end sends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "m", content = "v", rename_all = "snake_case")]
pub(super) enum ToNear {
    Hello(Hello),
    /// The contents that are not there yet.
    Want(Vec<ContentId>),
    Warning(Note),
    Problem(Note),
    /// A part of the plan, which is one content.
    Plan(Part),
    /// A part of a file that was packed.
    Packed(Part),
    /// The files that were packed: the name of the graph, and the list.
    Cargo {
        name: String,
        resources: usize,
        carried: Option<ContentRef>,
    },
    /// The engine has started.
    Begun,
    /// The run stays when this near end leaves.
    Left(Box<Detached>),
    /// The reports of this run come, which has stayed: first those that no near end has seen.
    Attached(Box<Detached>),
    /// The lines before this number of a run that has stayed were sent: to be answered.
    Upto(u64),
    /// The run that has stayed, or that was the last one to do so.
    Found(Option<Box<Detached>>),
    Event(Event),
    /// How many events were left out, because they came faster than they could be sent.
    Missed(u64),
    Progress(Progress),
    Status(Box<Status>),
    /// The state in which the run ends, because its graph can't converge.
    Hopeless(Box<Status>),
    /// What the run has changed is put back from now on.
    PuttingBack,
    /// Whether the graph with this number is in force; and if not, why.
    Graph {
        number: u64,
        refused: Option<Vec<Note>>,
    },
    Alive,
    End(End),
    /// A stream to a server of the world.
    Stream(Frame),
    /// The host asks for certificates in the world, with this request.
    Certify(String),
}

/// What the far end is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hello {
    /// The version of mgmt.
    pub version: String,
    /// The number of the process.
    pub pid: u32,
    /// The name of the machine, as its system has it.
    pub hostname: String,
    /// The processor, for example `x86_64`.
    pub arch: String,
    /// Whether it runs as root.
    pub root: bool,
}

/// What the far end does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Task {
    Plan,
    Run,
    /// Confirm the run with this id, as soon as it has converged.
    Confirm {
        id: String,
    },
    /// The run stays when the near end leaves. The process that stays gets these variables of the job.
    Detach {
        variables: Vec<String>,
    },
    /// Show the run that has stayed.
    Attach,
    /// End it.
    Stop,
    /// Find it.
    Find,
    /// Pack the files that the graph reads, which the executable makes for this host name: on the machine of the near
    /// end itself.
    Pack {
        on_hosts: Vec<PathBuf>,
    },
}

/// The first message of the near end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Begin {
    pub(super) version: u32,
    pub(super) task: Task,
    pub(super) settings: JobSettings,
    /// The graph; without one, the executable makes its own.
    pub(super) graph: Option<Sent>,
    /// The world that the near end shares; without one, the executable uses its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) world: Option<Json>,
}

/// How the graph runs there, in addition to what the command line there contains.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct JobSettings {
    pub(super) hostname: Option<String>,
    pub(super) prefix: Option<PathBuf>,
    pub(super) noop: bool,
    pub(super) alert_only: bool,
    pub(super) no_watch: bool,
    pub(super) converged_timeout: Option<Seconds>,
    pub(super) max_runtime: Option<Seconds>,
    /// The converged timeout does not end the run.
    #[serde(default)]
    pub(super) stays: bool,
    /// The machine is that of the near end by intention: systemd is not asked to look after anything there.
    #[serde(default)]
    pub(super) is_here: bool,
    /// What the run changes is put back unless it is confirmed.
    #[serde(default)]
    pub(super) trial: Option<JobTrial>,
    /// The hosts before, and how many levels may follow.
    #[serde(default)]
    pub(super) trail: Trail,
}

/// A run whose changes are put back unless it is confirmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct JobTrial {
    /// How long it may take from the convergence to the confirmation.
    pub(super) within: Seconds,
    /// Whether changes are made that can't be put back.
    pub(super) is_partial: bool,
    /// Which run it is; empty before it is started.
    pub(super) id: String,
}

/// A graph that is sent: its content, and the files that it reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sent {
    /// Counted from 1.
    pub(super) number: u64,
    /// The graph as data; without it, the executable makes the graph by itself, and only its files come.
    pub(super) graph: Option<ContentRef>,
    /// The list of the files.
    pub(super) carried: Option<ContentRef>,
    /// The files that are on that machine already.
    pub(super) on_hosts: Vec<PathBuf>,
}

/// A part of a content.
#[derive(Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) of: ContentRef,
    /// Whether the data is deflated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_deflated: bool,
    /// In base64.
    data: String,
}

/// Without the content, which may be secret.
impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("of", &self.of).finish_non_exhaustive()
    }
}

impl Part {
    /// All parts of a content. They are deflated if that saves a tenth of the first one.
    pub(super) fn all(of: ContentRef, bytes: &[u8]) -> impl Iterator<Item = Part> + '_ {
        let mut saves = bytes.len() >= DEFLATED_BYTES_MIN;
        pieces(bytes).enumerate().map(move |(n, plain)| {
            let deflated = saves.then(|| deflated(plain)).filter(|short| n > 0 || short.len() < plain.len() / 10 * 9);
            saves = deflated.is_some();
            Part { of, is_deflated: saves, data: STANDARD.encode(deflated.as_deref().unwrap_or(plain)) }
        })
    }

    /// The same for a way within this machine, where nothing is saved.
    pub(super) fn all_plain(of: ContentRef, bytes: &[u8]) -> impl Iterator<Item = Part> + '_ {
        let data = pieces(bytes).map(|plain| STANDARD.encode(plain));
        data.map(move |data| Part { of, is_deflated: false, data })
    }

    /// The bytes of the part.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, String> {
        let bytes = STANDARD.decode(&self.data);
        let bytes = bytes.map_err(|error| format!("a part of a content is no base64: {error}"))?;
        if !self.is_deflated {
            return Ok(bytes);
        }
        let mut inflated = Vec::new();
        DeflateDecoder::new(bytes.as_slice())
            .take(PART_BYTES as u64 + 1)
            .read_to_end(&mut inflated)
            .map_err(|error| format!("a part of a content can't be inflated: {error}"))?;
        if inflated.len() > PART_BYTES {
            return Err(format!("a part of a content has more than {PART_BYTES} bytes"));
        }
        Ok(inflated)
    }
}

/// What fits into a part each; nothing is one piece.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let nothing = bytes.is_empty().then_some(bytes);
    nothing.into_iter().chain(bytes.chunks(PART_BYTES))
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut deflated = Vec::new();
    // From memory to memory: nothing fails.
    let _ = DeflateEncoder::new(bytes, Compression::fast()).read_to_end(&mut deflated);
    deflated
}

/// The last message of the far end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct End {
    /// The exit code, as a run there would have it.
    pub(super) code: u8,
    /// Why it has failed, unless problems were sent.
    pub(super) error: Option<String>,
    /// The state in which the run ends.
    pub(super) how: HowEnded,
}

/// How a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HowEnded {
    /// It was stopped from here.
    Stopped,
    /// Its graph has been converged for the converged timeout.
    Converged,
    /// Its graph can't converge.
    Hopeless,
    /// Its maximum runtime is over.
    MaxRuntime,
    /// A resource of the kind `exit` has ended it.
    Exit,
    /// It was stopped on that machine: by a signal, or because the connection was lost.
    StoppedThere,
    /// It has failed.
    Failed,
    /// A plan was made.
    Planned,
    /// The files of a graph were packed.
    Packed,
    /// It was confirmed by another connection, after that of the run was lost.
    Confirmed,
    /// It has not: it stays there without this end.
    Detached,
    /// The run that has stayed there was looked for.
    Found,
}

/// A plan is a content of its own.
pub(super) fn plan_parts(plan: &Plan) -> Result<Vec<Part>, serde_json::Error> {
    let bytes = serde_json::to_vec(plan)?;
    Ok(Part::all(ContentRef::of(&bytes), &bytes).collect())
}

/// A message as a line.
pub(super) fn line(message: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Parts of contents that are on their way.
#[derive(Debug, Default)]
pub(super) struct Arriving {
    contents: BTreeMap<ContentId, Vec<u8>>,
    /// The bytes of all of them so far.
    bytes: u64,
}

impl Arriving {
    /// Adds a part. Returns the content if that was the last one. `most`: the bytes that all of them may have together.
    pub(super) fn add(&mut self, part: &Part, most: u64) -> Result<Option<Vec<u8>>, String> {
        let (of, new) = (part.of, part.bytes()?);
        self.bytes += new.len() as u64;
        if of.bytes > most || self.bytes > most {
            return Err(format!("the contents have more than {most} bytes, which is the limit"));
        }
        let bytes = self.contents.entry(of.sha256).or_default();
        bytes.extend_from_slice(&new);
        if (bytes.len() as u64) < of.bytes {
            return Ok(None);
        }
        let bytes = self.contents.remove(&of.sha256).unwrap_or_default();
        self.bytes = self.bytes.saturating_sub(bytes.len() as u64);
        if ContentRef::of(&bytes) != of {
            return Err("a content was damaged on its way".to_owned());
        }
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(bytes: &[u8]) -> (Vec<u8>, usize) {
        let (of, mut arriving) = (ContentRef::of(bytes), Arriving::default());
        let lines: Vec<Vec<u8>> = Part::all(of, bytes).map(|part| line(&part).unwrap()).collect();
        let parts = lines.iter().map(|line| serde_json::from_slice::<Part>(line).unwrap());
        let whole = parts.filter_map(|part| arriving.add(&part, 1 << 20).unwrap()).next();
        (whole.unwrap(), lines.iter().map(Vec::len).sum())
    }

    #[test]
    fn parts_of_all_sizes_arrive_and_what_repeats_is_short() {
        for size in [0, 1, DEFLATED_BYTES_MIN - 1, DEFLATED_BYTES_MIN, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES] {
            let text: Vec<u8> = b"a line like many others\n".iter().copied().cycle().take(size).collect();
            // Each number depends on all before, so that nothing repeats.
            let noise = (0..size).scan(1u32, |state, _| {
                *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                Some((*state >> 24) as u8)
            });
            let noise: Vec<u8> = noise.collect();
            for bytes in [&text, &noise] {
                assert_eq!(arrived(bytes).0, *bytes, "{size}");
            }
            assert!(size < PART_BYTES || arrived(&text).1 < size / 20, "{size}");
            // A third for base64.
            assert!(arrived(&noise).1 <= size * 4 / 3 + 200 * (size / PART_BYTES + 1), "{size}");
        }
    }

    #[test]
    fn a_part_that_inflates_without_an_end_is_refused() {
        let of = ContentRef::of(b"");
        let bomb = Part { of, is_deflated: true, data: STANDARD.encode(deflated(&vec![0; 100 << 20])) };
        assert!(bomb.bytes().unwrap_err().contains("more than"), "{bomb:?}");
        let broken = Part { of, is_deflated: true, data: STANDARD.encode(b"\xff\xff\xff") };
        assert!(broken.bytes().is_err());
    }
}

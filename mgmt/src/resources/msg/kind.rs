//! The kind itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Digest, FieldProblem, Known, Refresh, Result, digest_of, every,
};
use crate::resources::msg::deliver::Sockets;
use crate::resources::msg::priority::Priority;
use mgmt_macros::Resource;

/// Says something: once in the life of the process, again when it is another text, and at each refresh.
///
/// It goes to the log (as `tracing` events of the target `mgmt::msg`), and where asked to the journal and to syslog. If one of these fails, the
/// others are not said again by the next try. A secret can't be its text.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "msg", unwatched, inline)]
pub struct Msg {
    /// What it is called.
    #[resource(name)]
    pub(super) name: String,
    /// The text. Default: the name.
    body: Option<String>,
    /// How urgent it is. Default: `notice`.
    #[resource(default)]
    pub(super) priority: Priority,
    /// More about it, by keys of letters, digits and `_`. In the journal the keys are in upper case.
    #[resource(default)]
    pub(super) fields: BTreeMap<String, String>,
    /// Also to the journal of systemd. Default: false.
    #[resource(default)]
    journal: bool,
    /// Also to syslog. Default: false.
    #[resource(default)]
    syslog: bool,
}

/// One way of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Log,
    Journal,
    Syslog,
}

impl Way {
    fn field(self) -> &'static str {
        match self {
            Way::Log => "body",
            Way::Journal => "journal",
            Way::Syslog => "syslog",
        }
    }
}

/// What has been said already, on which way.
#[derive(Debug, Default)]
struct State(Mutex<BTreeMap<Way, Digest>>);

impl State {
    fn said(&self) -> MutexGuard<'_, BTreeMap<Way, Digest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a noop message has said.
#[derive(Debug, Default)]
struct Noop(Mutex<Option<Digest>>);

impl Converge for Msg {
    type Drift = Vec<Change>;

    fn validate(&self, _: &Known<'_>) -> Vec<FieldProblem> {
        const KEY_BYTES_MAX: usize = 64;
        let mut seen = BTreeSet::new();
        every(self.fields.keys().map(|key| {
            let upper = key.to_ascii_uppercase();
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let start = key.starts_with(|c: char| c.is_ascii_alphabetic());
            let (problem, remedy) = if !start || !key.chars().all(word) || key.len() > KEY_BYTES_MAX {
                ("is no key", "give a letter and up to 63 letters, digits and `_`")
            } else if ["MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "MGMT_RESOURCE"].contains(&upper.as_str()) {
                ("is set already", "take another key")
            } else if !seen.insert(upper) {
                ("is there twice, but for its case", "take another key")
            } else {
                return None;
            };
            Some(FieldProblem::new("fields", format_args!(": `{}` {problem}", key.escape_debug()), remedy))
        }))
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Vec<Change>>> {
        let digest = self.digest();
        let state = cx.local::<State>();
        let mut changes = Vec::new();
        for way in self.ways() {
            if state.said().get(&way) != Some(&digest) {
                changes.push(Change::new(way.field(), "not said yet", format_args!("say `{}`", shown(self.body()))));
            }
        }
        // Nothing will be applied; that it would be said is said here, and marked so.
        if cx.is_noop() && !changes.is_empty() {
            let noop = cx.local::<Noop>();
            let before = noop.0.lock().unwrap_or_else(PoisonError::into_inner).replace(digest);
            if before != Some(digest) {
                self.print(true);
            }
        }
        Ok((!changes.is_empty()).then_some(changes))
    }

    async fn apply(&self, cx: &ApplyCx, _: Vec<Change>) -> Result<()> {
        self.say(cx, &Sockets::default()).await
    }
}

impl Refresh for Msg {
    async fn refresh(&self, cx: &ApplyCx) -> Result<bool> {
        cx.local::<State>().said().clear();
        self.say(cx, &Sockets::default()).await?;
        Ok(true)
    }
}

impl Msg {
    pub(super) fn body(&self) -> &str {
        self.body.as_deref().unwrap_or(&self.name)
    }

    fn digest(&self) -> Digest {
        digest_of(&(self.body(), self.priority, &self.fields))
    }

    fn ways(&self) -> impl Iterator<Item = Way> {
        let wanted = [(Way::Log, true), (Way::Journal, self.journal), (Way::Syslog, self.syslog)];
        wanted.into_iter().filter_map(|(way, wanted)| wanted.then_some(way))
    }

    /// Says it on all ways on which it has not been said; what fails does not keep the others from it.
    pub(super) async fn say(&self, cx: &ApplyCx, sockets: &Sockets) -> Result<()> {
        let digest = self.digest();
        let state = cx.local::<State>();
        let mut outcome = Ok(());
        for way in self.ways() {
            if state.said().get(&way) == Some(&digest) {
                continue;
            }
            let said = match way {
                Way::Log => {
                    self.print(false);
                    Ok(())
                }
                Way::Journal => self.to_journal(sockets).await,
                Way::Syslog => self.to_syslog(sockets).await,
            };
            match said {
                Ok(()) => drop(state.said().insert(way, digest)),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }
}

/// The beginning of the text, on one line.
fn shown(body: &str) -> String {
    const CHARS_MAX: usize = 100;
    let line: String = body.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
    if body.chars().nth(CHARS_MAX).is_some() { format!("{line}…") } else { line }
}

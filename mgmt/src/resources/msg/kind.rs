//! The kind `msg`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::shortened;
use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Digest, FieldProblem, Known, Refresh, Result, digest_of, every,
};
use crate::resources::msg::deliver::Sockets;
use crate::resources::msg::priority::Priority;
use mgmt_macros::Resource;

/// Logs a message: once in the life of the process, again when its text changes, and at each refresh.
///
/// The message goes to the log, and if asked also to the systemd journal and to syslog. If one of these fails, the next
/// try does not repeat it on the others. The text can't be a secret.
///
/// # In Rust
/// The log entries are events of `tracing` with the target `mgmt::msg`.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "msg", unwatched, inline)]
pub struct Msg {
    /// The name of the resource.
    #[resource(name)]
    pub(super) name: String,
    /// The text of the message. Default: the name.
    body: Option<String>,
    /// How urgent the message is. Default: `notice`.
    #[resource(default)]
    pub(super) priority: Priority,
    /// Further data of the message, by keys of letters, digits and `_`. The journal shows the keys in upper case.
    #[resource(default)]
    pub(super) fields: BTreeMap<String, String>,
    /// Whether the message also goes to the systemd journal. Default: false.
    #[resource(default)]
    journal: bool,
    /// Whether the message also goes to syslog. Default: false.
    #[resource(default)]
    syslog: bool,
}

/// A destination of messages.
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

/// What has been logged already, by destination.
#[derive(Debug, Default)]
struct State(Mutex<BTreeMap<Way, Digest>>);

impl State {
    fn said(&self) -> MutexGuard<'_, BTreeMap<Way, Digest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The message that was logged in noop.
#[derive(Debug, Default)]
struct Noop(Mutex<Option<Digest>>);

impl Converge for Msg {
    type Drift = Vec<Change>;

    const STANDS_ALONE: bool = true;
    const LASTS: bool = false;

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
                ("occurs twice, except for upper and lower case", "take another key")
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
                changes.push(Change::new(
                    way.field(),
                    "not reported yet",
                    format_args!("say `{}`", shown(self.body())),
                ));
            }
        }
        // Nothing will be applied: the message is logged here, marked as noop.
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

    /// Logs the message at all destinations that lack it; a failure of one does not affect the others.
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
    shortened(body, CHARS_MAX)
}

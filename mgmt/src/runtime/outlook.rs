//! What convergence means for an engine: its own graph has converged, and if all hosts count, the others have too. And
//! what other hosts see of this one, which is its own graph alone: so hosts that wait for one another do not wait for
//! ever.

use tokio::sync::watch;

use crate::id::{Node, in_one_line, shortened};
use crate::resource::HostTrouble;
use crate::runtime::core::Core;
use crate::runtime::event::EventKind;
use crate::scheduler::{Event, State};

/// At most this many resources are reported, each with an error of at most this many characters.
const TROUBLES_MAX: usize = 5;
const CHARS_MAX: usize = 300;

/// How far the other hosts have got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// The world has not answered yet.
    Unknown,
    /// All have converged, for the timeout.
    Converged,
    /// All have converged, and the timeout is not over.
    Settling,
    /// Some have not, for this reason.
    Moving(String),
    /// None of those that have not converged can by itself, or the world is away, for this reason.
    Stuck(String),
}

impl Others {
    /// Why they have not converged.
    fn obstacle(&self) -> Option<&str> {
        match self {
            Others::Unknown => Some("the state of the other hosts is not known yet"),
            Others::Converged => None,
            Others::Settling => Some("the other hosts have converged only just now"),
            Others::Moving(why) | Others::Stuck(why) => Some(why),
        }
    }
}

/// What an engine reports of its convergence.
#[derive(Debug)]
pub(crate) struct Outlook {
    /// The other hosts, if they count.
    others: Option<Others>,
    /// The graph of this engine has converged, or can't.
    is_own_converged: bool,
    is_own_hopeless: bool,
    /// The same for all that counts, as the last events have reported it.
    is_converged: bool,
    is_hopeless: bool,
    /// How often the graph of this engine has converged, and has ceased to.
    turns: u64,
    /// That this engine waits for others is logged.
    is_logged: bool,
    /// The last report has named a resource.
    has_troubles: bool,
    /// Counts what may change the report of this host; `None`: no report is wanted.
    news: Option<watch::Sender<u64>>,
}

impl Outlook {
    /// `counts_all`: the other hosts count. `reports`: other hosts see the state of this one.
    pub(crate) fn new(counts_all: bool, reports: bool) -> Outlook {
        Outlook {
            others: counts_all.then_some(Others::Unknown),
            is_own_converged: false,
            is_own_hopeless: false,
            is_converged: false,
            is_hopeless: false,
            turns: 0,
            is_logged: false,
            has_troubles: false,
            news: reports.then(|| watch::Sender::new(0)),
        }
    }

    /// Wakes when the report of this host may have changed.
    pub(crate) fn news(&self) -> Option<watch::Receiver<u64>> {
        self.news.as_ref().map(watch::Sender::subscribe)
    }

    /// Why the other hosts keep this engine from converging.
    pub(crate) fn obstacle(&self) -> Option<&str> {
        self.others.as_ref().and_then(Others::obstacle)
    }

    fn is_stuck(&self) -> bool {
        matches!(self.others, Some(Others::Stuck(_)))
    }

    /// An event that may change the report of this host.
    fn note(&self, event: &Event) {
        let Some(news) = &self.news else { return };
        let is_news = match event {
            Event::Converged | Event::Unconverged | Event::Hopeless | Event::Hopeful | Event::Swapped { .. } => true,
            Event::Failed { .. } | Event::Waits { .. } => true,
            Event::Left { well, .. } => !well,
            Event::InSync { .. } | Event::Applied { .. } | Event::Refreshed { .. } | Event::Unblocked(_) => {
                self.has_troubles
            }
            _ => false,
        };
        if is_news {
            news.send_modify(|count| *count += 1);
        }
    }
}

/// What an engine reports of itself to other hosts.
#[derive(Debug)]
pub(crate) struct HostReport {
    pub(crate) graph: String,
    pub(crate) generation: u64,
    pub(crate) converged: bool,
    pub(crate) hopeless: bool,
    /// How often it has converged, and has ceased to.
    pub(crate) turns: u64,
    pub(crate) resources: usize,
    pub(crate) failed: usize,
    pub(crate) waiting: usize,
    pub(crate) troubles: Vec<HostTrouble>,
}

impl Core {
    /// Whether all that counts has converged.
    pub(crate) fn is_converged(&self) -> bool {
        self.scheduler.is_converged() && self.outlook.obstacle().is_none()
    }

    /// Whether all that counts can't converge by itself.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.scheduler.is_hopeless() || self.scheduler.is_converged() && self.outlook.is_stuck()
    }

    /// Takes notice of an event of the scheduler. Events about convergence are published as those of all that counts.
    pub(super) fn note_outlook(&mut self, event: &Event) {
        self.outlook.note(event);
        match event {
            Event::Converged | Event::Unconverged => {
                self.outlook.is_own_converged = *event == Event::Converged;
                self.outlook.turns += 1;
            }
            Event::Hopeless | Event::Hopeful => self.outlook.is_own_hopeless = *event == Event::Hopeless,
            _ => return,
        }
        self.review_outlook();
    }

    /// The other hosts have got this far.
    pub(crate) fn set_others(&mut self, others: Others) {
        if self.outlook.others.is_none() {
            return;
        }
        self.outlook.others = Some(others);
        self.review_outlook();
    }

    /// Publishes whether all that counts has converged, or can't, if that has changed.
    fn review_outlook(&mut self) {
        let Outlook { is_own_converged, is_own_hopeless, .. } = self.outlook;
        let converged = is_own_converged && self.outlook.obstacle().is_none();
        if let Some(Others::Moving(why) | Others::Stuck(why)) = &self.outlook.others
            && is_own_converged
            && !self.outlook.is_logged
        {
            tracing::info!(target: "mgmt", "this host has converged, and waits for others: {why}");
            self.outlook.is_logged = true;
        }
        self.outlook.is_logged &= !converged;
        let hopeless = is_own_hopeless || is_own_converged && self.outlook.is_stuck();
        if std::mem::replace(&mut self.outlook.is_hopeless, hopeless) != hopeless {
            self.emit(if hopeless { EventKind::Hopeless } else { EventKind::Hopeful });
        }
        if std::mem::replace(&mut self.outlook.is_converged, converged) != converged {
            self.converged.send_replace(converged);
            self.emit(if converged { EventKind::Converged } else { EventKind::Unconverged });
        }
    }

    /// The state of this engine as other hosts see it.
    pub(crate) fn host_report(&mut self) -> HostReport {
        let (mut waiting, mut troubles) = (0, Vec::<(u8, Node, &str, Option<&String>)>::new());
        for (node, slot) in self.slots.iter() {
            let Some(trouble) = slot.trouble.as_deref().filter(|_| !self.running.is_ghost(node)) else { continue };
            let (rank, state) = match self.scheduler.state(node) {
                State::Failed => (0, "failed"),
                State::Waiting => (1, "waiting"),
                State::Retrying => (2, "retrying"),
                _ => continue,
            };
            waiting += usize::from(rank == 1);
            if troubles.len() < TROUBLES_MAX || troubles.last().is_some_and(|(last, ..)| rank < *last) {
                let error = trouble.error.as_ref().or(trouble.watch_error.as_ref());
                troubles.push((rank, node, state, error));
                troubles.sort_by_key(|(rank, node, ..)| (*rank, *node));
                troubles.truncate(TROUBLES_MAX);
            }
        }
        let short = |text: &str| shortened(&in_one_line(text), CHARS_MAX);
        let trouble = |(_, node, state, error): (u8, _, &str, Option<&String>)| {
            let error = error.or(self.journal_problem.as_ref()).map_or("without a reason", String::as_str);
            let resource = short(&self.running.id(node).to_string());
            HostTrouble { resource, state: state.to_owned(), error: short(error) }
        };
        let troubles: Vec<HostTrouble> = troubles.into_iter().map(trouble).collect();
        let failed = self.scheduler.failed();
        self.outlook.has_troubles = !troubles.is_empty() || failed > 0;
        HostReport {
            graph: shortened(&self.running.config.name, CHARS_MAX),
            generation: self.running.generation.0,
            converged: self.scheduler.is_converged(),
            hopeless: self.scheduler.is_hopeless(),
            turns: self.outlook.turns,
            resources: self.running.len(),
            failed,
            waiting,
            troubles,
        }
    }
}

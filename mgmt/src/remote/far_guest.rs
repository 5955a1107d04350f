//! The identity of a far end in a world that it uses through the near end.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::gapi::Gapi;
use crate::remote::error::Note;
use crate::remote::far::Failed;
use crate::remote::far_link::{Inbound, Inbox, Outbox};
use crate::remote::far_resident;
use crate::remote::far_world::{FarOrder, FarStreams};
use crate::remote::message::{HowEnded, ToFar, ToNear};
use crate::remote::tunnel::Streams;
use crate::resource::BoxFuture;
use crate::runtime::Builder;
use crate::world::{Connection, Etcd, Guest, ManagedEtcd, Offer, TrustError, Way};

/// How long an answer about certificates may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How often it is looked whether certificates must be renewed, and the pause after that has failed.
const LOOK: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(5);

impl Way for Streams {
    fn connect(&self, address: &str) -> BoxFuture<io::Result<Connection>> {
        let (streams, address) = (self.clone(), address.to_owned());
        Box::pin(async move { Ok(Box::new(streams.open(&address).await?) as Connection) })
    }
}

/// The world of a far end, which lasts as long as this.
#[derive(Debug)]
pub(super) enum FarWorld {
    /// Through the near end.
    Led { etcd: Etcd, work: JoinHandle<()> },
    /// Reached by this host itself.
    Own(ManagedEtcd),
}

impl FarWorld {
    /// The engine uses this world.
    pub(super) fn give<G: Gapi>(&self, builder: Builder<G>) -> Builder<G> {
        match self {
            FarWorld::Led { etcd, .. } => builder.world(etcd.clone()),
            FarWorld::Own(managed) => builder.world(managed.world()),
        }
    }
}

impl Drop for FarWorld {
    fn drop(&mut self) {
        if let FarWorld::Led { work, .. } = self {
            work.abort();
        }
    }
}

/// Enters the world that is offered, as the host with this name; its key and certificates are below this prefix. If
/// it is not known there yet, it is let in, unless nothing may be changed (`looks`): then there is no world. If the run
/// `stays` when the near end leaves, the host reaches the servers by itself.
pub(super) async fn enter(
    offer: Json,
    (prefix, host): (Option<PathBuf>, Option<String>),
    (looks, stays): (bool, bool),
    inbox: &mut Inbox,
    out: &Outbox,
) -> Result<Option<FarWorld>, Failed> {
    let why = "a host that uses the world through this run needs a working directory and a name (`Job::prefix`, `Job::hostname`)";
    let (prefix, host) = prefix.zip(host).ok_or_else(|| Failed::Other(why.to_owned()))?;
    let failed = |error: TrustError| Failed::Other(in_words(error));
    let offer: Offer =
        serde_json::from_value(offer).map_err(|error| Failed::Other(format!("the offered world: {error}")))?;
    let (way, mut orders) = if stays {
        // Those that come later to see the run lead nowhere.
        (None, mpsc::unbounded_channel().1)
    } else {
        let (streams, way, orders) = FarStreams::new(out.clone());
        inbox.lead(streams);
        (Some(way), orders)
    };
    let known = Guest::known(&prefix, &host, &offer.authority).map_err(failed)?;
    let is_user = |guest: &Guest| offer.users.as_ref().is_none_or(|users| users.contains(&guest.user()));
    let guest = match known {
        Some(guest) if is_user(&guest) && (looks || !guest.renewal_in().is_zero()) => guest,
        _ if looks => {
            let why = format!(
                "{host} has no certificate of the cluster yet, and gets none from a plan or in noop: this is without what \
                 other hosts share"
            );
            // If the near end is gone, that is found out by itself.
            let _ = out.send(&ToNear::Warning(Note::new(why))).await;
            return Ok(None);
        }
        _ => {
            let request = Guest::request(&prefix).map_err(failed)?;
            let certificates = asked(request, inbox, out, &mut orders).await?;
            Guest::admitted(&prefix, &host, &offer.authority, certificates).map_err(failed)?
        }
    };
    let Some(way) = way else {
        return far_resident::reached(offer, guest, (&prefix, &host), looks, out).await.map(FarWorld::Own).map(Some);
    };
    let etcd = guest.world(offer.servers, Arc::new(way)).map_err(failed)?;
    let keeper =
        Keeper { guest, prefix, host, authority: offer.authority, etcd: etcd.clone(), out: out.clone(), looks };
    Ok(Some(FarWorld::Led { etcd, work: tokio::spawn(keeper.keep(orders)) }))
}

/// What the errors of identities mean for a run on another host.
pub(super) fn in_words(error: TrustError) -> String {
    match error {
        TrustError::OtherHost { was, is, dir } => format!(
            "this host has joined the cluster as {was}, not as {is}: name it `{was}=ADDRESS`, move {} away there, or give \
             `--no-world`",
            dir.display()
        ),
        TrustError::OtherCluster(dir) => format!(
            "this host belongs to another cluster: give it another `--prefix`, move {} away there, or give `--no-world`",
            dir.display()
        ),
        error => error.to_string(),
    }
}

/// Asks for certificates. What comes meanwhile is kept for later.
async fn asked(
    request: String,
    inbox: &mut Inbox,
    out: &Outbox,
    orders: &mut mpsc::UnboundedReceiver<FarOrder>,
) -> Result<Json, Failed> {
    let gone = |_| Failed::Stopped(HowEnded::StoppedThere);
    out.send(&ToNear::Certify(request)).await.map_err(gone)?;
    let admitted = |answer: Result<Json, String>| {
        answer.map_err(|why| Failed::Other(format!("the cluster does not let this host in: {why}")))
    };
    let mut others = Vec::new();
    let waiting = async {
        loop {
            tokio::select! {
                Some(order) = orders.recv() => if let FarOrder::Certified(answer) = order {
                    return admitted(answer);
                },
                inbound = inbox.next() => match inbound {
                    Inbound::Message(ToFar::Stop(_)) => return Err(Failed::Stopped(HowEnded::Stopped)),
                    Inbound::Message(ToFar::Certified(answer)) => return admitted(answer),
                    Inbound::Message(message) => others.push(message),
                    Inbound::Lost(_) => return Err(Failed::Stopped(HowEnded::StoppedThere)),
                },
            }
        }
    };
    let answer = timeout(ANSWER_MAX, waiting).await;
    inbox.put_back(others);
    answer.unwrap_or_else(|_| Err(Failed::Other(format!("no certificates came within {ANSWER_MAX:?}"))))
}

/// Keeps the world usable.
struct Keeper {
    guest: Guest,
    prefix: PathBuf,
    host: String,
    authority: String,
    etcd: Etcd,
    out: Outbox,
    looks: bool,
}

impl Keeper {
    /// Renews certificates in time, and follows the servers.
    async fn keep(mut self, mut orders: mpsc::UnboundedReceiver<FarOrder>) {
        let mut trouble = None;
        loop {
            let due = if trouble.is_some() { AGAIN } else { self.guest.renewal_in().min(LOOK) };
            tokio::select! {
                () = sleep(due) => if !self.looks && self.guest.renewal_in().is_zero() {
                    let asked = self.ask().await;
                    self.note(asked, &mut trouble);
                    // The answer is awaited for that long at least.
                    trouble.get_or_insert_with(String::new);
                },
                order = orders.recv() => match order {
                    Some(FarOrder::Servers(servers)) => self.etcd.follow(servers).await,
                    Some(FarOrder::Certified(answer)) => {
                        let renewed = match answer {
                            Ok(certificates) => self.renew(certificates).await,
                            Err(why) => Err(why),
                        };
                        self.note(renewed, &mut trouble);
                    }
                    None => return,
                },
            }
        }
    }

    async fn ask(&self) -> Result<(), String> {
        let request = Guest::request(&self.prefix).map_err(|error| error.to_string())?;
        let lost = |_| "the connection is lost".to_owned();
        self.out.send(&ToNear::Certify(request)).await.map_err(lost)
    }

    async fn renew(&mut self, certificates: Json) -> Result<(), String> {
        let words = |error: TrustError| error.to_string();
        self.guest = Guest::admitted(&self.prefix, &self.host, &self.authority, certificates).map_err(words)?;
        self.guest.renew(&self.etcd).await.map_err(words)
    }

    fn note(&self, outcome: Result<(), String>, trouble: &mut Option<String>) {
        match outcome {
            Ok(()) => *trouble = None,
            Err(why) => {
                if trouble.as_ref() != Some(&why) {
                    tracing::warn!(target: "mgmt", "the certificates of this host can't be renewed: {why}");
                }
                *trouble = Some(why);
            }
        }
    }
}

//! The world of a run that stays when the near end leaves: its host reaches the servers by itself.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use crate::remote::error::Note;
use crate::remote::far::Failed;
use crate::remote::far_guest::in_words;
use crate::remote::far_link::Outbox;
use crate::remote::message::ToNear;
use crate::resource::{ETCD_DIR, Keys, World as _};
use crate::world::{Direct, Guest, Managed, ManagedEtcd, Offer, Way as _};

/// How long a server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The world that is offered, as this host reaches it by itself with its own certificates, which it renews.
///
/// # Errors
/// No server of it answers this host.
pub(super) async fn reached(
    offer: Offer,
    guest: Guest,
    (prefix, host): (&Path, &str),
    looks: bool,
    out: &Outbox,
) -> Result<ManagedEtcd, Failed> {
    let guest =
        guest.served_at(offer.service.as_deref().filter(|_| !looks)).map_err(|error| Failed::Other(in_words(error)))?;
    let servers = offer.servers.join(", ");
    let managed = Managed::new(prefix.join(ETCD_DIR), host).trust(prefix).seeds(offer.servers).noop(looks);
    let managed = managed.start().await.map_err(|error| Failed::Other(error.to_string()))?;
    let asked = managed.world().member(host).get(vec![Keys::One("/mgmt".to_owned())]);
    let why = match timeout(ANSWER_MAX, asked).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {} s", ANSWER_MAX.as_secs())),
    };
    if let Some(why) = why {
        return Err(Failed::Other(format!(
            "a run that stays must reach the servers of the cluster by itself, and {host} does not reach {servers} ({why}): \
             let them listen where that host reaches them (`--client-urls`, `--advertise-client-urls`), run it without \
             --detach, or give --no-world, and it shares nothing"
        )));
    }
    let renews = match guest.service() {
        None => Err("no host of it has let others join yet".to_owned()),
        Some(url) => match timeout(ANSWER_MAX, Direct.connect(url)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("{url}: {error}")),
            Err(_) => Err(format!("{url}: no answer within {} s", ANSWER_MAX.as_secs())),
        },
    };
    if let (Err(why), false) = (renews, looks) {
        let hours = guest.life().as_secs_f64() / 3600.0;
        let note = format!(
            "the certificates of {host} hold for {hours:.0} hours at most, and a run that stays can't renew them now, since it \
             does not reach the join service of the cluster ({why}): afterwards it shares nothing any more. Let `mgmt run` \
             serve the cluster where its authority is (`--join-url`), or leave the run there again before"
        );
        // If the near end is gone, that is found out by itself.
        let _ = out.send(&ToNear::Warning(Note::new(note))).await;
    }
    Ok(managed)
}

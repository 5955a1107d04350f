//! Grants hosts what they ask for, on the host that is elected among those that serve.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::id::in_one_line;
use crate::resource::{Keys, Member, World as _, WorldError, WorldEvent, WorldWatch};
use crate::world::etcd::Etcd;
use crate::world::trust::access::{Grant, all_grants, grant_of, of_host};
use crate::world::trust::error::TrustError;

/// Which host grants: the one that decides about the servers.
const ELECTION: &str = "/mgmt/servers/election";
/// The most grants of a host.
const GRANTS_MAX: usize = 4096;
/// How long to wait until everything is looked at again, with and without trouble.
const AGAIN: Duration = Duration::from_secs(60);
const TROUBLE: Duration = Duration::from_secs(2);
/// How long the pause is between two looks, so that many hosts that ask at once cost few of them.
const PAUSE: Duration = Duration::from_millis(50);

/// Grants what hosts ask for as long as this host is elected. Never ends.
pub(in crate::world) async fn keep_grants(etcd: Etcd, host: String) {
    let member = etcd.member(&host);
    let mut keeper = Keeper { etcd, host, done: BTreeSet::new(), refused: BTreeSet::new() };
    loop {
        let pause = match keeper.look(&*member).await {
            Ok(mut watch) => {
                // Whether something has changed or nothing did for so long: it is looked at.
                let _ = timeout(AGAIN, next(&mut watch)).await;
                PAUSE
            }
            Err(error) => {
                tracing::debug!(target: "mgmt", "grants: {error}");
                TROUBLE
            }
        };
        sleep(pause).await;
    }
}

async fn next(watch: &mut WorldWatch) -> Option<WorldEvent> {
    std::future::poll_fn(|cx| Pin::as_mut(watch).poll_next(cx)).await
}

struct Keeper {
    etcd: Etcd,
    host: String,
    /// What was granted, by user.
    done: BTreeSet<(String, Grant)>,
    /// The hosts that were reported for asking too much.
    refused: BTreeSet<String>,
}

impl Keeper {
    /// Grants all that is asked for. Returns a watch of what is asked for next.
    async fn look(&mut self, member: &dyn Member) -> Result<WorldWatch, TrustError> {
        let failed = |error: WorldError| TrustError::Users(error.to_string());
        let keys = vec![all_grants(), Keys::One(ELECTION.to_owned())];
        let seen = member.get(keys.clone()).await.map_err(failed)?;
        if seen.entries.get(ELECTION).is_some_and(|entry| *entry.value == *self.host.as_bytes()) {
            let mut asked: BTreeMap<String, Vec<Grant>> = BTreeMap::new();
            for (host, grant) in seen.entries.keys().filter_map(|key| grant_of(key)) {
                asked.entry(host).or_default().push(grant);
            }
            self.grant(asked).await?;
        } else {
            // Another host grants, and takes back.
            self.done.clear();
        }
        Ok(member.watch(keys, seen.revision))
    }

    async fn grant(&mut self, asked: BTreeMap<String, Vec<Grant>>) -> Result<(), TrustError> {
        let users = self.etcd.users().await.map_err(TrustError::Users)?;
        self.done.retain(|(user, _)| users.contains(user));
        for (host, grants) in asked {
            if grants.len() > GRANTS_MAX && self.refused.insert(host.clone()) {
                tracing::warn!(
                    target: "mgmt",
                    "{} asks for more than {GRANTS_MAX} groups of keys to write: it does not get the others",
                    in_one_line(&host)
                );
            }
            // One that was forgotten has none.
            let Some(user) = users.iter().find(|user| user.starts_with(&of_host(&host))) else { continue };
            let news: Vec<Grant> = grants.into_iter().take(GRANTS_MAX).filter(|grant| !self.has(user, grant)).collect();
            if news.is_empty() {
                continue;
            }
            let permitted = self.etcd.permissions(user).await.map_err(TrustError::Users)?;
            for grant in news {
                for access in grant.access(&host) {
                    if !permitted.contains(&(access.keys.clone(), access.writes)) {
                        self.etcd.permit(user, &access.keys, access.writes).await.map_err(TrustError::Users)?;
                    }
                }
                tracing::debug!(target: "mgmt", "{} may write {grant:?}", in_one_line(&host));
                self.done.insert((user.clone(), grant));
            }
        }
        Ok(())
    }

    fn has(&self, user: &str, grant: &Grant) -> bool {
        self.done.contains(&(user.to_owned(), grant.clone()))
    }
}

//! The users that may run a server, as the host with the authority remembers them. To look at the users of etcd, most
//! servers must answer; and when the certificates of most servers have ended, these do not answer one another until
//! they have new ones.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::world::etcd::Etcd;
use crate::world::trust::authority::{Authority, json, keep_json};
use crate::world::trust::error::TrustError;
use crate::world::trust::users::serving;

const FILE: &str = "serving.json";
/// How often the users are looked at, and the pause after that has failed. A host that was forgotten a shorter time
/// before most servers stopped answering is still remembered.
const LOOK: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Serving {
    users: BTreeSet<String>,
}

impl Authority {
    /// Remembers the users that may run a server now.
    pub(super) async fn remember_serving(&self, etcd: &Etcd) -> Result<(), TrustError> {
        self.keep_serving(serving(etcd).await?)
    }

    fn keep_serving(&self, users: BTreeSet<String>) -> Result<(), TrustError> {
        let (path, now) = (self.dir.join(FILE), Serving { users });
        // One that can't be read is replaced.
        if json::<Serving>(&path).ok().flatten().as_ref() == Some(&now) {
            return Ok(());
        }
        keep_json(&path, &now)
    }

    /// Whether this user might run a server when the users were looked at last.
    pub(super) fn remembers_serving(&self, user: &str) -> Result<bool, TrustError> {
        Ok(json::<Serving>(&self.dir.join(FILE))?.is_some_and(|serving| serving.users.contains(user)))
    }

    /// Keeps what is remembered true. Never ends.
    pub(super) async fn follow_serving(&self, etcd: &Etcd) {
        loop {
            let pause = match self.remember_serving(etcd).await {
                Ok(()) => LOOK,
                Err(error) => {
                    tracing::debug!(target: "mgmt", "the users that may run a server: {error}");
                    AGAIN
                }
            };
            sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_last_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::builder().create(dir.path()).unwrap();
        assert!(!authority.remembers_serving("web1/x").unwrap());
        let users = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        authority.keep_serving(users(&["web1/x", "web2/y"])).unwrap();
        let again = Authority::open(dir.path()).unwrap().unwrap();
        assert!(again.remembers_serving("web2/y").unwrap() && !again.remembers_serving("web2/z").unwrap());
        // One that was forgotten.
        authority.keep_serving(users(&["web1/x"])).unwrap();
        assert!(!again.remembers_serving("web2/y").unwrap());
        std::fs::write(authority.dir.join(FILE), "{").unwrap();
        assert!(again.remembers_serving("web1/x").is_err());
        authority.keep_serving(users(&["web1/x"])).unwrap();
        assert!(again.remembers_serving("web1/x").unwrap());
    }
}

//! The join tokens that an authority has issued: files with the hash of their secret.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::sys::{ours, rng};
use crate::world::etcd::{EtcdError, check};
use crate::world::trust::authority::{Authority, json, keep_json};
use crate::world::trust::error::TrustError;
use crate::world::trust::token::{JoinToken, hex, is_id, sha256};

/// The default of [`Invitation::ttl`].
const TTL: Duration = Duration::from_secs(3600);
/// What is known of a token is removed that long after its end.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3600);
const DIR: &str = "tokens";
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// 62 letters to choose from: 44 of them are more than 256 bits.
const SECRET_LETTERS: usize = 44;
const ID_LETTERS: usize = 16;

/// What a join token lets a host do.
#[derive(Clone, Debug)]
#[must_use]
pub struct Invitation {
    ttl: Duration,
    url: Option<String>,
    serves: bool,
    deploys: bool,
    label: Option<String>,
}

impl Default for Invitation {
    fn default() -> Invitation {
        Invitation { ttl: TTL, url: None, serves: false, deploys: false, label: None }
    }
}

impl Invitation {
    /// How long the token can be used. Default: an hour.
    pub fn ttl(mut self, ttl: Duration) -> Invitation {
        self.ttl = ttl;
        self
    }

    /// The host may run a server of etcd. A server has all data and decides who is let in: it is trusted as the cluster
    /// itself. Default: no.
    pub fn server(mut self, serves: bool) -> Invitation {
        self.serves = serves;
        self
    }

    /// The host may deploy. Default: no.
    pub fn deploy(mut self, deploys: bool) -> Invitation {
        self.deploys = deploys;
        self
    }

    /// What the token is for: shown in the log when a host joins with it.
    pub fn label(mut self, label: impl Into<String>) -> Invitation {
        self.label = Some(label.into());
        self
    }

    /// The address of the join service. Default: the one at which the host with the authority listened last.
    pub fn url(mut self, url: impl Into<String>) -> Invitation {
        self.url = Some(url.into());
        self
    }

    /// Makes a token for one host: a word, which is a secret.
    ///
    /// # Errors
    /// The address is not known or can't be used, or the token can't be kept.
    pub fn token(self, authority: &Authority) -> Result<String, TrustError> {
        let url = self.url.or(authority.service()?).ok_or(TrustError::NoService)?;
        if !check(&url)? {
            return Err(EtcdError::NoCertificates(url).into());
        }
        let dir = ours::make_dir(&authority.dir.join(DIR))?;
        let letters = |count| rng::letters(count, LETTERS).map_err(|error| TrustError::file(&dir, error));
        let (id, secret) = (letters(ID_LETTERS)?.as_str().to_owned(), letters(SECRET_LETTERS)?.as_str().to_owned());
        authority.remove_old_tokens();
        let issued = Issued {
            hash: hex(&sha256(secret.as_bytes())),
            expires: seconds(SystemTime::now() + self.ttl),
            serves: self.serves,
            deploys: self.deploys,
            label: self.label,
            used_by: None,
        };
        keep_json(&authority.token_file(&id), &issued)?;
        Ok(JoinToken { url, authority: authority.fingerprint(), id, secret }.line())
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Issued {
    /// SHA-256 of the secret, which is random and long enough that this tells nothing about it.
    hash: String,
    /// Seconds since 1970.
    expires: u64,
    pub(super) serves: bool,
    pub(super) deploys: bool,
    pub(super) label: Option<String>,
    /// The user that has used it.
    used_by: Option<String>,
}

/// Why a token does not let a host in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    Unknown,
    Used,
    Expired,
}

impl Issued {
    /// Whether this user may use it with that secret now. One that has used it may do so again: the answer may have
    /// been lost.
    pub(super) fn examine(&self, secret: &str, user: &str, now: u64) -> Result<(), Unusable> {
        match &self.used_by {
            _ if hex(&sha256(secret.as_bytes())) != self.hash => Err(Unusable::Unknown),
            Some(by) if by == user => Ok(()),
            Some(_) => Err(Unusable::Used),
            None if now >= self.expires => Err(Unusable::Expired),
            None => Ok(()),
        }
    }
}

impl Authority {
    fn token_file(&self, id: &str) -> PathBuf {
        self.dir.join(DIR).join(format!("{id}.json"))
    }

    /// Looks whether this user may use the token, without using it.
    pub(super) fn look_at_token(
        &self,
        id: &str,
        secret: &str,
        user: &str,
    ) -> Result<Result<Issued, Unusable>, TrustError> {
        let issued = if is_id(id) { json::<Issued>(&self.token_file(id))? } else { None };
        let Some(issued) = issued else { return Ok(Err(Unusable::Unknown)) };
        Ok(issued.examine(secret, user, seconds(SystemTime::now())).map(|()| issued))
    }

    /// No other user can use the token from now on, also after a crash.
    pub(super) fn use_token(&self, id: &str, issued: Issued, user: &str) -> Result<(), TrustError> {
        keep_json(&self.token_file(id), &Issued { used_by: Some(user.to_owned()), ..issued })
    }

    /// Of old tokens nothing is needed.
    fn remove_old_tokens(&self) {
        let now = seconds(SystemTime::now());
        let files = std::fs::read_dir(self.dir.join(DIR)).into_iter().flatten().flatten();
        for path in files.map(|file| file.path()) {
            if let Ok(Some(issued)) = json::<Issued>(&path)
                && issued.expires.saturating_add(REMEMBERED.as_secs()) < now
            {
                // It stays useless.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_used_once_in_its_time_with_its_secret() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::builder().create(dir.path()).unwrap();
        assert!(matches!(Invitation::default().token(&authority), Err(TrustError::NoService)));
        let plain = Invitation::default().url("http://127.0.0.1:1").token(&authority);
        assert!(matches!(plain, Err(TrustError::Address(_))), "{plain:?}");
        let of = |invitation: Invitation| {
            invitation.url("https://10.0.0.1:2378").token(&authority).unwrap().parse::<JoinToken>().unwrap()
        };
        let token = of(Invitation::default().server(true));
        assert_eq!(token.authority, authority.fingerprint());
        let kept = std::fs::read_to_string(authority.token_file(&token.id)).unwrap();
        assert!(!kept.contains(&token.secret));
        let look =
            |token: &JoinToken, secret: &str, user: &str| authority.look_at_token(&token.id, secret, user).unwrap();
        let issued = look(&token, &token.secret, "a@1").unwrap();
        assert!(issued.serves && !issued.deploys);
        assert_eq!(look(&token, "wrong", "a@1"), Err(Unusable::Unknown));
        authority.use_token(&token.id, issued, "a@1").unwrap();
        // The same one, whose answer was lost, and another one.
        assert!(look(&token, &token.secret, "a@1").is_ok());
        assert_eq!(look(&token, &token.secret, "b@2"), Err(Unusable::Used));
        assert_eq!(look(&token, "wrong", "a@1"), Err(Unusable::Unknown));
        let late = of(Invitation::default().ttl(Duration::ZERO));
        assert_eq!(look(&late, &late.secret, "a@1"), Err(Unusable::Expired));
        for id in ["", "../settings", "unknown"] {
            assert_eq!(authority.look_at_token(id, "", "a@1").unwrap(), Err(Unusable::Unknown), "{id}");
        }
    }
}

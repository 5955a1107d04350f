//! Access to protected paths: Basic authentication against a bcrypt hash.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::resource::Secret;
use crate::sys::rng;
use crate::sys::task::blocking;

/// At most this many passwords are tried at the same time: each costs tens of milliseconds of a processor.
const TRIES_AT_ONCE: usize = 2;
/// The longest header that is read.
const HEADER_BYTES_MAX: usize = 1024;

/// A protected path and the user who may read it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Protected {
    /// The path, with everything below it, in normal form.
    pub(super) path: PathBuf,
    pub(super) user: String,
    /// The bcrypt hash of the password.
    pub(super) hash: Secret<String>,
}

/// The check of access to a protected path.
#[derive(Debug)]
pub(super) struct Auth {
    pub(super) protected: Protected,
    /// The key of this process, so that the digests are of no use elsewhere.
    key: [u8; 32],
    /// A digest of the last correct credentials.
    right: Mutex<Option<[u8; 32]>>,
    tries: Semaphore,
}

impl Auth {
    pub(super) fn new(protected: Protected) -> std::io::Result<Auth> {
        let mut key = [0; 32];
        rng::fill(&mut key)?;
        Ok(Auth { protected, key, right: Mutex::default(), tries: Semaphore::new(TRIES_AT_ONCE) })
    }

    /// Whether a request with this `Authorization` may pass.
    pub(super) async fn allows(&self, header: Option<&[u8]>) -> bool {
        let Some((user, password)) = header.and_then(credentials) else { return false };
        let digest: [u8; 32] = Sha256::new()
            .chain_update(self.key)
            .chain_update(&*user)
            .chain_update([0])
            .chain_update(&*password)
            .finalize()
            .into();
        let known = *self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_some_and(|known| same(&known, &digest)) {
            return true;
        }
        let Ok(_turn) = self.tries.acquire().await else { return false };
        let hash = self.protected.hash.clone();
        // Also for another user name, so that the duration does not reveal which one is right.
        let verified = blocking(move || bcrypt::verify(&*password, hash.declassify()).unwrap_or(false)).await;
        let right = verified & same(user.as_slice(), self.protected.user.as_bytes());
        if right {
            *self.right.lock().unwrap_or_else(PoisonError::into_inner) = Some(digest);
        }
        right
    }
}

/// Whether the texts are equal, in a time that does not depend on where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

type Text = Zeroizing<Vec<u8>>;

/// The user and the password of a header.
fn credentials(header: &[u8]) -> Option<(Text, Text)> {
    if header.len() > HEADER_BYTES_MAX {
        return None;
    }
    let (scheme, text) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = decode(text.trim_ascii())?;
    let colon = decoded.iter().position(|b| *b == b':')?;
    Some((Zeroizing::new(decoded[..colon].to_vec()), Zeroizing::new(decoded[colon + 1..].to_vec())))
}

/// Base64 with or without its padding.
fn decode(text: &[u8]) -> Option<Text> {
    const EITHER: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&STANDARD, EITHER);
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let count = engine.decode_slice(text, &mut bytes).ok()?;
    bytes.truncate(count);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(header: &str) -> Option<(String, String)> {
        let (user, password) = credentials(header.as_bytes())?;
        Some((String::from_utf8(user.to_vec()).unwrap(), String::from_utf8(password.to_vec()).unwrap()))
    }

    #[test]
    fn credentials_are_read_as_the_standard_has_them() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(text("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"));
        assert_eq!(text("basic  dGVzdDoxMjPCow=="), pair("test", "123£"));
        assert_eq!(text("BASIC dTphOmI"), pair("u", "a:b"));
        assert_eq!(text("Basic Og=="), pair("", ""));
        for bad in [
            "",
            "Basic",
            "Basic ",
            "Basic dXNlcg==",
            "Bearer dTphOmI",
            "Basic dTph=OmI",
            "Basic dTphOm=====",
            "Basic \u{e9}",
        ] {
            assert_eq!(text(bad), None, "{bad}");
        }
        assert_eq!(text(&format!("Basic {}", "QQ".repeat(1000))), None);
    }

    #[tokio::test]
    async fn only_the_right_pair_passes_and_is_remembered() {
        let hash = Secret::new(bcrypt::hash("open sesame", 4).unwrap());
        let auth = Auth::new(Protected { path: "/".into(), user: "Aladdin".into(), hash }).unwrap();
        let right: Option<&[u8]> = Some(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(!auth.allows(None).await);
        assert!(!auth.allows(Some(b"Basic QWxhZGRpbjpvcGVu")).await);
        assert!(!auth.allows(Some(b"Basic YWxhZGRpbjpvcGVuIHNlc2FtZQ==")).await, "another user");
        assert!(auth.right.lock().unwrap().is_none());
        assert!(auth.allows(right).await);
        let remembered = auth.right.lock().unwrap().unwrap();
        assert!(auth.allows(right).await);
        assert!(!auth.allows(Some(b"Basic QWxhZGRpbjpvcGVu")).await);
        assert_eq!(auth.right.lock().unwrap().unwrap(), remembered);
    }
}

//! A join token: one word that a new host needs to find its cluster, to know it again, and to be let in once.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::world::etcd::check;
use crate::world::trust::error::TrustError;

/// What each token begins with.
const BEGINNING: &str = "mgmt1_";
/// The longest token.
const BYTES_MAX: usize = 4096;

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// What a token holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::world) struct JoinToken {
    /// The address of the join service.
    pub(super) url: String,
    /// SHA-256 of the certificate of the authority, in hexadecimal digits.
    pub(super) authority: String,
    pub(super) id: String,
    pub(super) secret: String,
}

/// Without its secret.
impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("url", &self.url).field("id", &self.id).finish_non_exhaustive()
    }
}

impl JoinToken {
    /// Whether it is for the cluster whose authority has this fingerprint.
    pub(in crate::world) fn is_of(&self, authority: &str) -> bool {
        self.authority == authority
    }

    /// The line for people. It holds the secret.
    pub(super) fn line(&self) -> String {
        // Texts have a form as JSON.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        format!("{BEGINNING}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for JoinToken {
    type Err = TrustError;

    fn from_str(text: &str) -> Result<JoinToken, TrustError> {
        let wrong = |why: &str| TrustError::NoToken(why.to_owned());
        let text = text.trim();
        if text.len() > BYTES_MAX {
            return Err(wrong("it is too long"));
        }
        let rest = text.strip_prefix(BEGINNING).ok_or_else(|| wrong("it does not begin with `mgmt1_`"))?;
        let bytes = URL_SAFE_NO_PAD.decode(rest).map_err(|_| wrong("it is damaged"))?;
        let token: JoinToken = serde_json::from_slice(&bytes).map_err(|_| wrong("it is damaged"))?;
        let is_digest = token.authority.len() == 64 && token.authority.bytes().all(|c| c.is_ascii_hexdigit());
        if !is_digest || !is_id(&token.id) || token.secret.is_empty() {
            return Err(wrong("it is damaged"));
        }
        match check(&token.url) {
            Ok(true) => Ok(token),
            _ => Err(wrong("its address is not encrypted")),
        }
    }
}

/// Whether it can be the number of a token, which is the name of a file.
pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 64 && id.bytes().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            url: "https://10.0.0.1:2378".to_owned(),
            authority: "ab".repeat(32),
            id: "abc1".to_owned(),
            secret: "s3cret".to_owned(),
        }
    }

    #[test]
    fn a_token_is_one_word_and_read_again() {
        let line = token().line();
        assert!(line.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-'), "{line}");
        assert_eq!(format!("  {line}\n").parse::<JoinToken>().unwrap(), token());
        assert!(!format!("{:?}", token()).contains("s3cret"));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let line = token().line();
        let with = |change: &dyn Fn(&mut JoinToken)| {
            let mut token = token();
            change(&mut token);
            token.line()
        };
        for wrong in [
            String::new(),
            "mgmt1_".to_owned(),
            line[..line.len() - 1].to_owned(),
            line[1..].to_owned(),
            format!("{line}{line}"),
            "x".repeat(BYTES_MAX + 1),
            with(&|token| token.url = "http://127.0.0.1:1".to_owned()),
            with(&|token| token.url = "https://x".to_owned()),
            with(&|token| token.authority.truncate(63)),
            with(&|token| token.id = "../x".to_owned()),
            with(&|token| token.secret.clear()),
        ] {
            assert!(matches!(wrong.parse::<JoinToken>(), Err(TrustError::NoToken(_))), "{wrong}");
        }
    }
}

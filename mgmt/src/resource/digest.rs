//! Digests, which show whether a value has changed without keeping the value.

use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::{Digest as _, Sha256};

/// SHA-256 of a value.
pub type Digest = [u8; 32];

/// The digest of a value without a salt: not for secrets whose digest is stored.
pub fn digest_of<T: Hash>(value: &T) -> Digest {
    feed(Sha256::new(), value)
}

fn feed<T: Hash>(hasher: Sha256, value: &T) -> Digest {
    struct Feed(Sha256);
    impl Hasher for Feed {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut feed = Feed(hasher);
    value.hash(&mut feed);
    feed.0.finalize().into()
}

/// A random number that is mixed into digests, so that they can't be looked up in a table, and so that two hosts with
/// the same value have different digests. Each journal has its own salt.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl Salt {
    /// The salted digest of a value.
    pub fn digest_of<T: Hash>(&self, value: &T) -> Digest {
        feed(Sha256::new_with_prefix(self.0), value)
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

/// A digest under a salt: a value can be compared with it, but not computed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salted {
    salt: Salt,
    digest: Digest,
}

impl Salted {
    /// The salted form of that digest.
    pub fn new(salt: Salt, digest: Digest) -> Salted {
        Salted { salt, digest: salt.digest_of(&digest) }
    }

    /// A salted digest that was stored before, see [`digest`](Salted::digest).
    pub fn known(salt: Salt, digest: Digest) -> Salted {
        Salted { salt, digest }
    }

    /// Whether this was made from that digest.
    pub fn is_of(&self, digest: &Digest) -> bool {
        *self == Salted::new(self.salt, *digest)
    }

    /// The salted digest, in the form for storage.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_salt_makes_another_digest_and_the_same_one_the_same() {
        let (one, other) = (Salt([1; 32]), Salt([2; 32]));
        assert_eq!(one.digest_of(&"1234"), one.digest_of(&"1234".to_owned()));
        assert_ne!(one.digest_of(&"1234"), one.digest_of(&"1235"));
        assert_ne!(one.digest_of(&"1234"), other.digest_of(&"1234"));
        assert_ne!(one.digest_of(&"1234"), digest_of(&"1234"));
    }

    #[test]
    fn what_is_salted_knows_what_it_is_of_and_does_not_hold_it() {
        let (salt, digest) = (Salt([1; 32]), digest_of(&"1234"));
        let salted = Salted::new(salt, digest);
        assert!(salted.is_of(&digest));
        assert!(!salted.is_of(&digest_of(&"1235")));
        assert_ne!(salted.digest(), digest);
        assert!(Salted::known(salt, salted.digest()).is_of(&digest));
        assert!(!Salted::known(Salt([2; 32]), salted.digest()).is_of(&digest));
        assert_eq!(format!("{salt:?}"), "Salt(…)");
    }
}

//! Seals bytes for the holder of a key, in the format of [age](https://age-encryption.org/v1): without a key for them,
//! only their length can be known. Needs the feature `etcd`.

use std::fmt;

#[cfg(feature = "etcd")]
use age::secrecy::ExposeSecret as _;

/// Whether this build can seal.
pub const CAN_SEAL: bool = cfg!(feature = "etcd");

/// A key that opens what was sealed for it.
#[cfg(feature = "etcd")]
pub struct SealKey(age::x25519::Identity);

/// A build without the feature has none.
#[cfg(not(feature = "etcd"))]
pub enum SealKey {}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey")
    }
}

#[cfg(feature = "etcd")]
impl SealKey {
    /// A new one. A build without the feature makes none.
    pub fn make() -> Option<SealKey> {
        Some(SealKey(age::x25519::Identity::generate()))
    }

    /// From its text, or why that is none.
    pub fn read(text: &str) -> Result<SealKey, &'static str> {
        text.trim().parse().map(SealKey)
    }

    /// Its text, which is kept secret, as a line of a file.
    pub fn line(&self) -> zeroize::Zeroizing<String> {
        format!("{}\n", self.0.to_string().expose_secret()).into()
    }

    /// What others need to seal something for it. It is no secret.
    pub fn public(&self) -> String {
        self.0.to_public().to_string()
    }

    /// Opens what was sealed for this key, or explains why it can't be opened.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, String> {
        age::decrypt(&self.0, sealed).map_err(|error| error.to_string())
    }
}

#[cfg(not(feature = "etcd"))]
impl SealKey {
    /// A new one. A build without the feature makes none.
    pub fn make() -> Option<SealKey> {
        None
    }

    /// From its text, or why that is none.
    pub fn read(_: &str) -> Result<SealKey, &'static str> {
        Err("this program was built without the feature `etcd`")
    }

    /// Its text, which is kept secret, as a line of a file.
    pub fn line(&self) -> zeroize::Zeroizing<String> {
        match *self {}
    }

    /// What others need to seal something for it. It is no secret.
    pub fn public(&self) -> String {
        match *self {}
    }

    /// Opens what was sealed for this key, or explains why it can't be opened.
    pub fn open(&self, _: &[u8]) -> Result<Vec<u8>, String> {
        match *self {}
    }
}

/// Seals bytes for the holders of these keys, each given by [`SealKey::public`].
#[cfg(feature = "etcd")]
pub fn seal(plain: &[u8], keys: &[&str]) -> Result<Vec<u8>, String> {
    use std::io::Write as _;

    let read = |key: &&str| {
        key.parse::<age::x25519::Recipient>().map_err(|why| format!("{key:?} is no key to seal something for: {why}"))
    };
    let keys = keys.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let holders = keys.iter().map(|key| key as &dyn age::Recipient);
    let mut sealed = Vec::with_capacity(plain.len() + 512);
    let encryptor = age::Encryptor::with_recipients(holders).map_err(|error| error.to_string())?;
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(|error| error.to_string())?;
    writer.write_all(plain).and_then(|()| writer.finish().map(drop)).map_err(|error| error.to_string())?;
    Ok(sealed)
}

/// A build without the feature seals nothing.
#[cfg(not(feature = "etcd"))]
pub fn seal(_: &[u8], _: &[&str]) -> Result<Vec<u8>, String> {
    Err("this program was built without the feature `etcd`, and can't seal anything".to_owned())
}

#[cfg(all(test, feature = "etcd"))]
mod tests {
    use super::*;

    fn key() -> SealKey {
        SealKey::make().unwrap()
    }

    #[test]
    fn each_holder_of_a_key_opens_what_is_sealed_for_it_and_no_other_one_does() {
        let (one, two, other) = (key(), key(), key());
        let sealed = seal(b"canary-3f9a", &[&one.public(), &two.public()]).unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"canary"), "{sealed:?}");
        assert_eq!(one.open(&sealed).unwrap(), b"canary-3f9a");
        assert_eq!(SealKey::read(&two.line()).unwrap().open(&sealed).unwrap(), b"canary-3f9a");
        other.open(&sealed).unwrap_err();
        for n in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[n] ^= 1;
            assert!(one.open(&damaged).is_err(), "byte {n}");
            assert!(one.open(&sealed[..n]).is_err(), "the first {n} bytes");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(seal(b"x", &["age1x"]).unwrap_err().contains("\"age1x\" is no key"));
        SealKey::read("AGE-SECRET-KEY-1").unwrap_err();
        assert!(!format!("{:?}", key()).contains("AGE"));
    }
}

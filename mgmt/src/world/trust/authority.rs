//! The authority of a cluster: two keys that sign certificates, one for hosts as clients of etcd (and for what answers
//! them), one for its servers among one another. So no certificate of a host is one of a server.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose as Usage, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};

use crate::resource::TRUST_DIR;
use crate::sys::fs::{WriteFs, WriteOptions};
use crate::sys::{ours, rng};
use crate::world::trust::error::TrustError;
use crate::world::trust::token::{hex, sha256};

/// The default of [`NewAuthority::certificate_life`].
const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// A certificate is renewed at half of its life, which must leave time for that.
const LIFE_MIN: Duration = Duration::from_secs(2);
/// The certificates of the authority itself hold for that long.
const AUTHORITY_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// A certificate holds that long before it is made, for hosts whose clock is behind.
const CLOCKS_DIFFER_MAX: Duration = Duration::from_secs(3600);

pub(super) const DIR: &str = "authority";
/// A directory that is not complete yet has a name that begins with this.
const UNFINISHED: &str = "authority.new-";
const HOSTS: &str = "hosts";
const SERVERS: &str = "servers";
const SETTINGS: &str = "settings.json";
const SERVICE: &str = "service.json";

#[derive(Serialize, Deserialize)]
struct Settings {
    life_millis: u64,
}

#[derive(Serialize, Deserialize)]
struct JoinAddress {
    url: String,
}

/// What a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// A client of etcd: this user.
    User(String),
    /// What answers hosts at these names.
    Answering(Vec<String>),
    /// A server of etcd at these names, for the other servers.
    Peer(Vec<String>),
    /// The first server before its users are set up: only it and the program that starts it can have this.
    Beginning,
}

/// How an authority is made.
#[derive(Clone, Debug)]
#[must_use]
pub struct NewAuthority {
    life: Duration,
}

impl Default for NewAuthority {
    fn default() -> NewAuthority {
        NewAuthority { life: LIFE }
    }
}

impl NewAuthority {
    /// How long the certificates of hosts hold; they are renewed at half of it. At least 2 seconds. Default: 7 days.
    pub fn certificate_life(mut self, life: Duration) -> NewAuthority {
        self.life = life.max(LIFE_MIN);
        self
    }

    /// Makes the authority below this working directory (the prefix of a host), where this user alone can read it.
    /// Either it is there as a whole or not at all, whatever happens.
    ///
    /// # Errors
    /// There is one already, or the directory can't be used.
    pub fn create(self, prefix: impl AsRef<Path>) -> Result<Authority, TrustError> {
        let trust = ours::make_dir(prefix.as_ref()).and_then(|prefix| ours::make_dir(&prefix.join(TRUST_DIR)))?;
        let dir = trust.join(DIR);
        if dir.symlink_metadata().is_ok() {
            return Err(TrustError::Exists(dir));
        }
        remove_unfinished(&trust)?;
        let letters =
            rng::letters(16, "abcdefghijklmnopqrstuvwxyz").map_err(|error| TrustError::file(&trust, error))?;
        let unfinished = ours::make_dir(&trust.join(format!("{UNFINISHED}{}", letters.as_str())))?;
        for name in [HOSTS, SERVERS] {
            let (certificate, key) = root(name)?;
            keep(&unfinished.join(format!("{name}.key")), key.as_bytes())?;
            keep(&unfinished.join(format!("{name}.pem")), certificate.as_bytes())?;
        }
        let life_millis = u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX);
        keep_json(&unfinished.join(SETTINGS), &Settings { life_millis })?;
        // A directory that is not empty is not replaced.
        std::fs::rename(&unfinished, &dir).map_err(|error| match error.kind() {
            std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists => {
                TrustError::Exists(dir.clone())
            }
            _ => TrustError::file(&dir, error),
        })?;
        WriteFs::new().sync_dir(&trust).map_err(|error| TrustError::file(&trust, error))?;
        Authority::open(prefix)?.ok_or(TrustError::NoAuthority(dir))
    }
}

/// What an earlier program has begun and not completed.
fn remove_unfinished(trust: &Path) -> Result<(), TrustError> {
    let failed = |error: std::io::Error| TrustError::file(trust, error);
    for entry in std::fs::read_dir(trust).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            std::fs::remove_dir_all(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

pub(super) fn keep(path: &Path, bytes: &[u8]) -> Result<(), TrustError> {
    let written = WriteFs::new().write_file(path, bytes, &WriteOptions::new().mode(0o600));
    written.map(drop).map_err(|error| TrustError::file(path, error))
}

pub(super) fn keep_json(path: &Path, data: &impl Serialize) -> Result<(), TrustError> {
    let bytes = serde_json::to_vec_pretty(data).map_err(|error| TrustError::file(path, error))?;
    keep(path, &bytes)
}

/// The directory of this name in the one for trust of a prefix; `None`: there is none. Then the prefix is not examined:
/// what uses it does that, and names the remedy.
pub(super) fn existing(prefix: &Path, name: &str) -> Result<Option<PathBuf>, TrustError> {
    let dir = prefix.join(TRUST_DIR).join(name);
    if std::fs::symlink_metadata(&dir).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return Ok(None);
    }
    Ok(ours::look_at_dir(&dir)?)
}

pub(super) fn text(path: &Path) -> Result<String, TrustError> {
    std::fs::read_to_string(path).map_err(|error| TrustError::file(path, error))
}

/// What a file holds; `None`: there is no file.
pub(super) fn json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Option<T>, TrustError> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| TrustError::file(path, error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TrustError::file(path, error)),
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}

fn holds_for(life: Duration) -> CertificateParams {
    let (mut params, now) = (CertificateParams::default(), SystemTime::now());
    (params.not_before, params.not_after) = ((now - CLOCKS_DIFFER_MAX).into(), (now + life).into());
    params.distinguished_name = DistinguishedName::new();
    params
}

/// A certificate that signs others, and its key, as PEM.
fn root(name: &str) -> Result<(String, String), TrustError> {
    let key = KeyPair::generate()?;
    let mut params = holds_for(AUTHORITY_LIFE);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let short: String = hex(&sha256(key.public_key_raw())).chars().take(16).collect();
    // Two authorities with one name would be taken for one another when a certificate is checked.
    params.distinguished_name = named(&format!("mgmt {name} {short}"));
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// The authority of a cluster. The host that has it lets other hosts in.
pub struct Authority {
    pub(super) dir: PathBuf,
    hosts: (Issuer<'static, KeyPair>, String),
    servers: (Issuer<'static, KeyPair>, String),
    pub(super) life: Duration,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Authority {
    /// A new authority, which [`NewAuthority::create`] makes.
    pub fn builder() -> NewAuthority {
        NewAuthority::default()
    }

    /// The authority below this working directory; `None`: it has none.
    ///
    /// # Errors
    /// It can't be read, or other users could have planted it.
    pub fn open(prefix: impl AsRef<Path>) -> Result<Option<Authority>, TrustError> {
        let Some(dir) = existing(prefix.as_ref(), DIR)? else { return Ok(None) };
        let issuer = |name: &str| -> Result<_, TrustError> {
            let (key, pem) = (text(&dir.join(format!("{name}.key")))?, text(&dir.join(format!("{name}.pem")))?);
            Ok((Issuer::from_ca_cert_pem(&pem, KeyPair::from_pem(&key)?)?, pem))
        };
        let settings: Option<Settings> = json(&dir.join(SETTINGS))?;
        let life = settings.map_or(LIFE, |settings| Duration::from_millis(settings.life_millis)).max(LIFE_MIN);
        let (hosts, servers) = (issuer(HOSTS)?, issuer(SERVERS)?);
        Ok(Some(Authority { dir, hosts, servers, life }))
    }

    /// SHA-256 of the certificate that signs those of hosts, in hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.hosts.1).unwrap_or_default()
    }

    pub(super) fn hosts_pem(&self) -> &str {
        &self.hosts.1
    }

    pub(super) fn servers_pem(&self) -> &str {
        &self.servers.1
    }

    /// Signs a certificate for this key, as PEM.
    pub(super) fn sign(&self, key: &impl PublicKeyData, what: For) -> Result<String, TrustError> {
        let mut params = holds_for(self.life);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let (issuer, usages, names) = match what {
            For::User(user) => {
                params.distinguished_name = named(&user);
                (&self.hosts.0, vec![Usage::ClientAuth], Vec::new())
            }
            For::Answering(names) => (&self.hosts.0, vec![Usage::ServerAuth], names),
            For::Peer(names) => (&self.servers.0, vec![Usage::ServerAuth, Usage::ClientAuth], names),
            For::Beginning => {
                params.distinguished_name = named(super::users::ROOT);
                (&self.servers.0, vec![Usage::ClientAuth], Vec::new())
            }
        };
        params.extended_key_usages = usages;
        params.subject_alt_names = names.into_iter().map(alternative).collect::<Result<_, _>>()?;
        Ok(params.signed_by(key, issuer)?.pem())
    }

    /// Where hosts join, as it was last.
    pub(in crate::world) fn service(&self) -> Result<Option<String>, TrustError> {
        Ok(json::<JoinAddress>(&self.dir.join(SERVICE))?.map(|service| service.url))
    }

    pub(super) fn keep_service(&self, url: &str) -> Result<(), TrustError> {
        keep_json(&self.dir.join(SERVICE), &JoinAddress { url: url.to_owned() })
    }
}

fn alternative(name: String) -> Result<SanType, TrustError> {
    Ok(match name.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into()?),
    })
}

/// SHA-256 of a certificate in this form.
pub(super) fn fingerprint(pem: &str) -> Result<String, TrustError> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes());
    der.map(|der| hex(&sha256(&der))).map_err(|error| TrustError::Certificate(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_authority_is_made_once_for_its_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Authority::open(dir.path()).unwrap().is_none());
        // What a program has left that was killed.
        let left = dir.path().join("trust").join(format!("{UNFINISHED}x"));
        std::fs::create_dir_all(&left).unwrap();
        std::fs::write(left.join("hosts.key"), "half").unwrap();
        let life = Duration::from_secs(60);
        let made = Authority::builder().certificate_life(life).create(dir.path()).unwrap();
        assert!(!left.exists());
        let again = Authority::open(dir.path()).unwrap().unwrap();
        assert_eq!((again.fingerprint(), again.life), (made.fingerprint(), life));
        assert!(matches!(Authority::builder().create(dir.path()), Err(TrustError::Exists(_))));
        assert_eq!(made.fingerprint(), Authority::open(dir.path()).unwrap().unwrap().fingerprint());
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&made.dir), 0o700);
        for entry in std::fs::read_dir(&made.dir).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}

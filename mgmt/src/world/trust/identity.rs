//! The key of a host and its certificates, below its prefix.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, KeyPair};
use serde::{Deserialize, Serialize};

use crate::resource::TRUST_DIR;
use crate::sys::ours;
use crate::world::trust::access::user;
use crate::world::trust::authority::{self, Authority, For, existing, fingerprint, json, keep, keep_json, text};
use crate::world::trust::error::TrustError;
use crate::world::trust::protocol::{Certificates, ServerCertificates, is_host, key_digest};
use crate::world::trust::users::root_of;

const DIR: &str = "identity";
const KEY: &str = "key.pem";
/// Written last: with it, the host has joined.
const FILE: &str = "identity.json";
const HOST: &str = "host.pem";
const AUTHORITY: &str = "authority.pem";
const ANSWERING: &str = "server.pem";
const PEER: &str = "peer.pem";
const SERVERS: &str = "servers.pem";
const ROOT: &str = "root.pem";
const BEGINNING: &str = "beginning.pem";

/// What is remembered besides keys and certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    host: String,
    /// The address of the join service.
    url: String,
    /// SHA-256 of the certificate of the authority.
    authority: String,
    serves: bool,
    /// The names in the certificates of its server.
    names: Vec<String>,
    /// The addresses of the servers for clients, as they were when it joined or renewed.
    endpoints: Vec<String>,
    /// When the certificates were made and when they end: milliseconds since 1970, by the clock of this host.
    issued: u64,
    expires: u64,
}

/// The files with which a server of etcd answers: authority, certificate, key.
#[derive(Clone, Debug)]
pub(in crate::world) struct ServerFiles {
    pub(in crate::world) clients: [PathBuf; 3],
    pub(in crate::world) peers: [PathBuf; 3],
}

/// The identity of a host that has joined a cluster.
pub(in crate::world) struct Identity {
    dir: PathBuf,
    key: KeyPair,
    kept: Kept,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("dir", &self.dir).field("kept", &self.kept).finish_non_exhaustive()
    }
}

/// Whether this prefix has an authority or an identity.
pub(in crate::world) fn is_there(prefix: &Path) -> bool {
    let trust = prefix.join(TRUST_DIR);
    trust.join(authority::DIR).exists() || trust.join(DIR).join(FILE).exists()
}

pub(super) fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).ok().and_then(|time| u64::try_from(time.as_millis()).ok()).unwrap_or_default()
}

/// The directory of the identity below this prefix, which is made.
pub(super) fn dir(prefix: &Path) -> Result<PathBuf, TrustError> {
    let trust = ours::make_dir(prefix).and_then(|prefix| ours::make_dir(&prefix.join(TRUST_DIR)))?;
    Ok(ours::make_dir(&trust.join(DIR))?)
}

/// The key of this host, which is made once: it is on disk before any other host hears of it, so that what was asked
/// before a crash can be asked again.
pub(super) fn key(dir: &Path) -> Result<KeyPair, TrustError> {
    let path = dir.join(KEY);
    if !path.exists() {
        keep(&path, KeyPair::generate()?.serialize_pem().as_bytes())?;
    }
    Ok(KeyPair::from_pem(&text(&path)?)?)
}

/// A request for certificates, signed by the key.
pub(super) fn request(key: &KeyPair) -> Result<String, TrustError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params.serialize_request(key)?.pem()?)
}

/// Issues the certificates of a user.
pub(super) fn issue(
    authority: &Authority,
    key: &impl rcgen::PublicKeyData,
    user: &str,
    server: Option<&[String]>,
    endpoints: Vec<String>,
) -> Result<Certificates, TrustError> {
    let server = match server {
        None => None,
        Some(names) => Some(ServerCertificates {
            answering: authority.sign(key, For::Answering(names.to_vec()))?,
            peer: authority.sign(key, For::Peer(names.to_vec()))?,
            authority: authority.servers_pem().to_owned(),
            root: authority.sign(key, For::User(root_of(user)))?,
        }),
    };
    Ok(Certificates {
        host: authority.sign(key, For::User(user.to_owned()))?,
        authority: authority.hosts_pem().to_owned(),
        server,
        life_millis: u64::try_from(authority.life.as_millis()).unwrap_or(u64::MAX),
        endpoints,
    })
}

impl Identity {
    /// The identity below this prefix; `None`: this host has not joined.
    pub(in crate::world) fn open(prefix: &Path) -> Result<Option<Identity>, TrustError> {
        let Some(dir) = existing(prefix, DIR)? else { return Ok(None) };
        let Some(kept) = json::<Kept>(&dir.join(FILE))? else { return Ok(None) };
        let key = KeyPair::from_pem(&text(&dir.join(KEY))?)?;
        Ok(Some(Identity { dir, key, kept }))
    }

    /// The identity of the host that has the authority, which needs no other host for it.
    pub(in crate::world) fn own(
        prefix: &Path,
        authority: &Authority,
        host: &str,
        names: &[String],
    ) -> Result<Identity, TrustError> {
        if !is_host(host) {
            return Err(TrustError::NoName(host.to_owned()));
        }
        let dir = dir(prefix)?;
        let key = key(&dir)?;
        let endpoints = Identity::open(prefix)?.map(|identity| identity.kept.endpoints).unwrap_or_default();
        let certificates = issue(authority, &key, &user(host, &key_digest(&key)), Some(names), endpoints)?;
        keep(&dir.join(BEGINNING), authority.sign(&key, For::Beginning)?.as_bytes())?;
        let url = authority.service()?.unwrap_or_default();
        Identity::take(dir, key, host, &url, &certificates, names)
    }

    /// Keeps what was issued.
    pub(super) fn take(
        dir: PathBuf,
        key: KeyPair,
        host: &str,
        url: &str,
        certificates: &Certificates,
        names: &[String],
    ) -> Result<Identity, TrustError> {
        let mut files = vec![(HOST, &certificates.host), (AUTHORITY, &certificates.authority)];
        if let Some(server) = &certificates.server {
            files.extend([(ANSWERING, &server.answering), (PEER, &server.peer)]);
            files.extend([(SERVERS, &server.authority), (ROOT, &server.root)]);
        }
        for (name, pem) in files {
            keep(&dir.join(name), pem.as_bytes())?;
        }
        let issued = millis(SystemTime::now());
        let kept = Kept {
            host: host.to_owned(),
            url: url.to_owned(),
            authority: fingerprint(&certificates.authority)?,
            serves: certificates.server.is_some(),
            names: names.to_vec(),
            endpoints: certificates.endpoints.clone(),
            issued,
            expires: issued.saturating_add(certificates.life_millis),
        };
        keep_json(&dir.join(FILE), &kept)?;
        Ok(Identity { dir, key, kept })
    }

    /// The same host with new certificates.
    pub(super) fn renewed(&self, certificates: &Certificates, names: &[String]) -> Result<Identity, TrustError> {
        if fingerprint(&certificates.authority)? != self.kept.authority {
            return Err(TrustError::OtherCluster(self.dir.clone()));
        }
        let (Kept { host, url, .. }, key) = (&self.kept, key(&self.dir)?);
        Identity::take(self.dir.clone(), key, host, url, certificates, names)
    }

    pub(in crate::world) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(in crate::world) fn host(&self) -> &str {
        &self.kept.host
    }

    /// The user of etcd that this host is.
    pub(in crate::world) fn user(&self) -> String {
        user(&self.kept.host, &key_digest(&self.key))
    }

    pub(super) fn key(&self) -> &KeyPair {
        &self.key
    }

    pub(super) fn url(&self) -> &str {
        &self.kept.url
    }

    /// The same, which renews its certificates at this join service from now on.
    #[cfg(feature = "ssh")]
    pub(super) fn served_at(mut self, url: &str) -> Result<Identity, TrustError> {
        if self.kept.url != url {
            url.clone_into(&mut self.kept.url);
            keep_json(&self.dir.join(FILE), &self.kept)?;
        }
        Ok(self)
    }

    pub(in crate::world) fn names(&self) -> &[String] {
        &self.kept.names
    }

    pub(in crate::world) fn authority(&self) -> &str {
        &self.kept.authority
    }

    /// Whether this host may run a server.
    pub(in crate::world) fn serves(&self) -> bool {
        self.kept.serves
    }

    /// Where the servers were for clients.
    pub(in crate::world) fn endpoints(&self) -> &[String] {
        &self.kept.endpoints
    }

    /// How long its certificates are left as they are; zero: they need new ones now. `lives` is their whole time. The
    /// clock of this host may have been set.
    pub(in crate::world) fn renewal_in(&self) -> Duration {
        let Kept { issued, expires, .. } = self.kept;
        let (now, half) = (millis(SystemTime::now()), expires.saturating_sub(issued) / 2);
        if now < issued { Duration::ZERO } else { Duration::from_millis((issued + half).saturating_sub(now)) }
    }

    /// How long its certificates hold when they are new.
    pub(super) fn life(&self) -> Duration {
        Duration::from_millis(self.kept.expires.saturating_sub(self.kept.issued))
    }

    /// With this, a client of etcd is this host.
    pub(in crate::world) fn client(&self) -> Result<[Vec<u8>; 3], TrustError> {
        self.client_as(HOST)
    }

    /// With this, a client of etcd has all rights.
    pub(in crate::world) fn root(&self) -> Result<[Vec<u8>; 3], TrustError> {
        self.client_as(ROOT)
    }

    /// With this, a client can set up the users of a new server.
    pub(in crate::world) fn beginning(&self) -> Result<[Vec<u8>; 3], TrustError> {
        self.client_as(BEGINNING)
    }

    fn client_as(&self, certificate: &str) -> Result<[Vec<u8>; 3], TrustError> {
        let [authority, certificate, key] = [AUTHORITY, certificate, KEY].map(|name| text(&self.dir.join(name)));
        Ok([authority?.into_bytes(), certificate?.into_bytes(), key?.into_bytes()])
    }

    /// The files of its server. As long as users are not set up, no host is let in.
    pub(in crate::world) fn server_files(&self, has_users: bool) -> ServerFiles {
        let file = |name: &str| self.dir.join(name);
        let clients = if has_users { AUTHORITY } else { SERVERS };
        ServerFiles {
            clients: [file(clients), file(ANSWERING), file(KEY)],
            peers: [file(SERVERS), file(PEER), file(KEY)],
        }
    }
}

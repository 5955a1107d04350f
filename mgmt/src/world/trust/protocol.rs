//! What a host asks the join service, and what it answers: JSON of limited length, after its length.

use std::io;
use std::net::IpAddr;

use rcgen::CertificateSigningRequestParams;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::world::trust::access::HOST_BYTES_MAX;
use crate::world::trust::token::{is_id, sha256};

pub(super) const VERSION: u32 = 1;
/// The longest request or answer.
const BYTES_MAX: usize = 64 << 10;
/// The most names and addresses of a server.
const NAMES_MAX: usize = 16;
const NAME_BYTES_MAX: usize = 253;
const SECRET_BYTES_MAX: usize = 256;

/// What a host asks for.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) version: u32,
    pub(super) host: String,
    /// Signed with the key of the host, as PEM: what proves that it has the key.
    pub(super) csr: String,
    /// Without: it has joined.
    pub(super) token: Option<Secret>,
    /// Where its server is reached, if it runs one.
    pub(super) names: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Secret {
    pub(super) id: String,
    pub(super) secret: String,
}

/// The answer of the join service.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Answer {
    Issued(Box<Certificates>),
    Refused(String),
    /// The same question may get another answer later.
    Later(String),
}

/// The certificates of a host, as PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Certificates {
    /// Of the host as a client.
    pub(super) host: String,
    /// The authority of clients and of what answers them.
    pub(super) authority: String,
    /// For a host that may run a server.
    pub(super) server: Option<ServerCertificates>,
    /// How long they hold from now on.
    pub(super) life_millis: u64,
    /// The addresses of the servers for clients.
    pub(super) endpoints: Vec<String>,
}

/// The certificates of a server, as PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ServerCertificates {
    /// For clients.
    pub(super) answering: String,
    /// For other servers.
    pub(super) peer: String,
    /// The authority of servers among one another.
    pub(super) authority: String,
    /// The user with all rights.
    pub(super) root: String,
}

/// A request whose form is right.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) csr: CertificateSigningRequestParams,
    /// SHA-256 of the public key.
    pub(super) key: [u8; 32],
}

/// SHA-256 of a public key.
pub(super) fn key_digest(key: &impl rcgen::PublicKeyData) -> [u8; 32] {
    sha256(&key.subject_public_key_info())
}

impl Request {
    /// Checks the form, and that the host has the key.
    pub(super) fn check(&self) -> Result<Checked, String> {
        if self.version != VERSION {
            return Err(format!(
                "version {} of this request is not known here: use the same version of mgmt",
                self.version
            ));
        }
        if !is_host(&self.host) {
            return Err(format!("a name of a host has 1 to {HOST_BYTES_MAX} bytes"));
        }
        if self.names.len() > NAMES_MAX || !self.names.iter().all(|name| is_name(name)) {
            return Err("a name or address of the server can't be in a certificate".to_owned());
        }
        if let Some(token) = &self.token
            && (!is_id(&token.id) || token.secret.len() > SECRET_BYTES_MAX)
        {
            return Err("the token is damaged".to_owned());
        }
        // This checks its signature.
        let csr = CertificateSigningRequestParams::from_pem(&self.csr)
            .map_err(|error| format!("the request for a certificate can't be used: {error}"))?;
        let key = key_digest(&csr.public_key);
        Ok(Checked { csr, key })
    }
}

pub(super) fn is_host(host: &str) -> bool {
    !host.is_empty() && host.len() <= HOST_BYTES_MAX
}

/// Whether it is an address or the name of a machine.
fn is_name(name: &str) -> bool {
    let of_dns = |c: u8| c.is_ascii_alphanumeric() || c == b'.' || c == b'-';
    name.parse::<IpAddr>().is_ok() || (!name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(of_dns))
}

pub(super) async fn send(stream: &mut (impl AsyncWrite + Unpin), data: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec(data)?;
    if bytes.len() > BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} bytes: at most {BYTES_MAX} are possible", bytes.len()),
        ));
    }
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}

pub(super) async fn receive<T: for<'a> Deserialize<'a>>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let length = stream.read_u32().await? as usize;
    if length > BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{length} bytes: at most {BYTES_MAX} are possible"),
        ));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    serde_json::from_slice(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn request() -> (Request, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
        let token = Some(Secret { id: "a".to_owned(), secret: "b".to_owned() });
        (Request { version: VERSION, host: "web1".to_owned(), csr, token, names: vec!["10.0.0.1".to_owned()] }, key)
    }

    #[test]
    fn a_request_proves_that_its_host_has_the_key() {
        let (ours, key) = request();
        assert_eq!(ours.check().unwrap().key, key_digest(&key));
        let (others, _) = request();
        // The key of another host, with the signature of this one.
        let der = |pem: &str| {
            use rustls::pki_types::pem::PemObject as _;
            rustls::pki_types::CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
        };
        let (mut mixed, signed) = (der(&others.csr), der(&ours.csr));
        let tail = 60;
        let length = mixed.len();
        mixed[length - tail..].copy_from_slice(&signed[signed.len() - tail..]);
        let mixed = rustls::pki_types::CertificateSigningRequestDer::from(mixed);
        assert!(CertificateSigningRequestParams::from_der(&mixed).is_err());
    }

    #[test]
    fn requests_of_a_wrong_form_are_refused_in_words() {
        let problem = |change: &dyn Fn(&mut Request)| {
            let (mut request, _) = request();
            change(&mut request);
            request.check().unwrap_err()
        };
        assert!(problem(&|request| request.version = 2).contains("same version"));
        assert!(problem(&|request| request.host.clear()).contains("1 to 253 bytes"));
        assert!(problem(&|request| request.host = "x".repeat(254)).contains("1 to 253 bytes"));
        for name in ["", "a/b", "a b", "a\u{0}", "ä", &"x".repeat(254)] {
            assert!(problem(&|request| request.names = vec![name.to_owned()]).contains("name or address"), "{name}");
        }
        assert!(problem(&|request| request.names = vec!["a".to_owned(); 17]).contains("name or address"));
        assert!(problem(&|request| request.token.as_mut().unwrap().id = "../a".to_owned()).contains("damaged"));
        assert!(problem(&|request| request.csr = "x".to_owned()).contains("can't be used"));
        assert!(problem(&|request| request.csr.truncate(100)).contains("can't be used"));
    }

    #[tokio::test]
    async fn what_is_too_long_or_cut_off_is_not_read() {
        let (request, _) = request();
        let mut bytes = Vec::new();
        send(&mut bytes, &request).await.unwrap();
        let again: Request = receive(&mut bytes.as_slice()).await.unwrap();
        assert_eq!(again.csr, request.csr);
        let cut = receive::<Request>(&mut &bytes[..bytes.len() - 1]).await;
        assert_eq!(cut.err().unwrap().kind(), io::ErrorKind::UnexpectedEof);
        let long = receive::<Request>(&mut u32::MAX.to_be_bytes().as_slice()).await;
        assert!(long.err().unwrap().to_string().contains("at most 65536"));
        assert!(send(&mut Vec::new(), &"x".repeat(BYTES_MAX)).await.is_err());
    }
}

//! Asks the join service for certificates.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use crate::resource::{Attempts, Why};
use crate::world::etcd::{Way, https_host_and_port};
use crate::world::trust::error::TrustError;
use crate::world::trust::identity::{Identity, dir, key, request};
use crate::world::trust::protocol::{Answer, Certificates, Request, Secret, VERSION, is_host, receive, send};
use crate::world::trust::token::{JoinToken, hex, sha256};

/// How long the service may take. It answers late on purpose if a secret is wrong.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Joins with this token. The key of this host is kept before, so that it can be done again. While the service can't
/// answer, it is asked again: hosts are often started together, in any order.
pub(in crate::world) async fn join(
    prefix: &Path,
    token: &JoinToken,
    host: &str,
    names: &[String],
    way: &dyn Way,
) -> Result<Identity, TrustError> {
    if !is_host(host) {
        return Err(TrustError::NoName(host.to_owned()));
    }
    let dir = dir(prefix)?;
    let key = key(&dir)?;
    let secret = Secret { id: token.id.clone(), secret: token.secret.clone() };
    let asked = Request {
        version: VERSION,
        host: host.to_owned(),
        csr: request(&key)?,
        token: Some(secret),
        names: names.to_vec(),
    };
    let mut attempts = Attempts::new("asking the join service for certificates");
    let certificates = loop {
        match ask(way, &token.url, &token.authority, &asked).await {
            Err(error @ TrustError::Service { .. }) => sleep(attempts.failed(Why::Own(error.to_string()))).await,
            answer => break answer?,
        }
    };
    attempts.succeeded();
    Identity::take(dir, key, host, &token.url, &certificates, names)
}

/// Asks for new certificates of a host that has joined.
pub(super) async fn renew(identity: &Identity, names: &[String], way: &dyn Way) -> Result<Certificates, TrustError> {
    let asked = Request {
        version: VERSION,
        host: identity.host().to_owned(),
        csr: request(identity.key())?,
        token: None,
        names: names.to_vec(),
    };
    ask(way, identity.url(), identity.authority(), &asked).await
}

/// `authority` is the digest of the certificate of the authority.
async fn ask(way: &dyn Way, url: &str, authority: &str, asked: &Request) -> Result<Certificates, TrustError> {
    let failed = |why: String| TrustError::Service { url: url.to_owned(), why };
    let stranger = |why: String| TrustError::Stranger { url: url.to_owned(), why };
    let (host, _) = https_host_and_port(url).ok_or_else(|| stranger("this is no address".to_owned()))?;
    let name = ServerName::try_from(host).map_err(|error| stranger(error.to_string()))?;
    let verifier = Pinned { digest: authority.to_owned(), provider: Arc::new(ring::default_provider()) };
    let config = ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| stranger(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let conversation = async {
        let stream = way.connect(url).await?;
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        send(&mut stream, asked).await?;
        receive::<Answer>(&mut stream).await
    };
    let answer = tokio::time::timeout(ANSWER_MAX, conversation).await;
    match answer {
        Ok(Ok(Answer::Issued(certificates))) => Ok(*certificates),
        Ok(Ok(Answer::Refused(why))) => Err(TrustError::Refused { url: url.to_owned(), why }),
        Ok(Ok(Answer::Later(why))) => Err(failed(why)),
        // An answer without the certificate of the service, or without sense: it will not be better later.
        Ok(Err(error)) if error.kind() == ErrorKind::InvalidData => Err(stranger(error.to_string())),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("no answer within {ANSWER_MAX:?}"))),
    }
}

/// Accepts what an authority has signed that is known by its digest. The certificate of the authority is the last one
/// that the service shows; all else is checked as always, against this one authority.
#[derive(Debug)]
struct Pinned {
    digest: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (authority, between) = intermediates.split_last().ok_or(CertificateError::UnknownIssuer)?;
        if hex(&sha256(authority)) != self.digest {
            return Err(rustls::Error::General(
                "it is not the service of the token: another cluster or another program answers there".to_owned(),
            ));
        }
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, between, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// All certificates of a text.
pub(super) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    all.map_err(|error| TrustError::Certificate(error.to_string()))
}

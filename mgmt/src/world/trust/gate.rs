//! The join service: lets hosts in that have a token, and renews the certificates of those that have joined.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::id::in_one_line;
use crate::world::etcd::{Etcd, EtcdError, check, https_host_and_port};
use crate::world::trust::access::user;
use crate::world::trust::authority::{Authority, For};
use crate::world::trust::error::TrustError;
use crate::world::trust::identity::issue;
use crate::world::trust::issued::Unusable;
use crate::world::trust::join::certificates;
use crate::world::trust::protocol::{Answer, Checked, Request, receive, send};
use crate::world::trust::users::{Allowed, admit, allowed, conflict};

/// How many hosts may be asking at once. Others wait.
const CONNECTIONS_MAX: usize = 32;
/// How long a host may take for its question, and for reading the answer.
const HOST_MAX: Duration = Duration::from_secs(5);
/// How long etcd may take.
const WORK_MAX: Duration = Duration::from_secs(10);
/// How long it may take to find out what a user may do. If etcd does not answer, there must be time left.
const USER_MAX: Duration = Duration::from_secs(5);
/// What a wrong secret costs.
const WRONG: Duration = Duration::from_secs(1);
/// The pause after a connection that the system could not accept.
const TROUBLE: Duration = Duration::from_millis(100);

/// The join service, which listens.
#[derive(Debug)]
pub(in crate::world) struct Gate {
    listener: TcpListener,
    state: Arc<State>,
}

struct State {
    authority: Authority,
    /// With all rights.
    etcd: Etcd,
    /// Its names or addresses.
    names: Vec<String>,
    key: KeyPair,
    /// Of two hosts with one name or one token, one is first.
    turn: Mutex<()>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Gate {
    /// Listens at this address; port 0 is a free one. The address is remembered for tokens.
    pub(in crate::world) async fn listen(authority: Authority, etcd: Etcd, url: &str) -> Result<Gate, TrustError> {
        if !check(url)? {
            return Err(EtcdError::Plain(url.to_owned()).into());
        }
        let (host, port) = https_host_and_port(url).ok_or_else(|| EtcdError::NoUrl(url.to_owned()))?;
        if host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) {
            let why = "no host can reach this: give the address of an interface with `--join-url`";
            return Err(TrustError::Service { url: url.to_owned(), why: why.to_owned() });
        }
        let failed = |why: String| TrustError::Service { url: url.to_owned(), why };
        let listener = TcpListener::bind((host.as_str(), port)).await.map_err(|error| {
            failed(format!("hosts can't join there ({error}): give another address with `--join-url`"))
        })?;
        let port = listener.local_addr().map_err(|error| failed(error.to_string()))?.port();
        let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        authority.keep_service(&format!("https://{shown}:{port}"))?;
        let state = State { authority, etcd, names: vec![host], key: KeyPair::generate()?, turn: Mutex::default() };
        Ok(Gate { listener, state: Arc::new(state) })
    }
}

/// Lets hosts in. Never ends.
pub(in crate::world) async fn serve(gate: Gate) {
    let Gate { listener, state } = gate;
    tokio::join!(let_in(listener, &state), state.authority.follow_serving(&state.etcd));
}

async fn let_in(listener: TcpListener, state: &Arc<State>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(target: "mgmt", "the join service can't accept a connection: {error}");
                sleep(TROUBLE).await;
                continue;
            }
        };
        let state = Arc::clone(state);
        tokio::spawn(async move {
            if let Err(error) = state.converse(stream, from).await {
                tracing::debug!(target: "mgmt", "the join service: {from}: {error}");
            }
            drop(place);
        });
    }
}

async fn within<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(time, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl State {
    async fn converse(&self, stream: TcpStream, from: SocketAddr) -> io::Result<()> {
        let acceptor = TlsAcceptor::from(Arc::new(self.config().map_err(io::Error::other)?));
        let question = async {
            let mut stream = acceptor.accept(stream).await?;
            let request: Request = receive(&mut stream).await?;
            Ok((stream, request))
        };
        let (mut stream, request) = within(HOST_MAX, question).await?;
        let answer = timeout(WORK_MAX, self.answer(&request, from)).await;
        let answer =
            answer.unwrap_or_else(|_| Answer::Later("the servers of etcd do not answer the join service".to_owned()));
        let reply = async {
            send(&mut stream, &answer).await?;
            tokio::io::AsyncWriteExt::shutdown(&mut stream).await
        };
        within(HOST_MAX, reply).await
    }

    /// With a certificate that is new each time: it never ends.
    fn config(&self) -> Result<ServerConfig, TrustError> {
        let own = self.authority.sign(&self.key, For::Answering(self.names.clone()))?;
        let mut chain = certificates(&own)?;
        chain.extend(certificates(self.authority.hosts_pem())?);
        let wrong = |error: String| TrustError::Certificate(error);
        let key = PrivateKeyDer::from_pem_slice(self.key.serialize_pem().as_bytes());
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key.map_err(|error| wrong(error.to_string()))?)
            .map_err(|error| wrong(error.to_string()))
    }

    async fn answer(&self, request: &Request, from: SocketAddr) -> Answer {
        let checked = match request.check() {
            Ok(checked) => checked,
            Err(why) => return Answer::Refused(why),
        };
        let user = user(&request.host, &checked.key);
        let done = match &request.token {
            Some(token) => self.join(request, &checked, &user, &token.id, &token.secret, from).await,
            None => self.renew(request, &checked, &user).await,
        };
        done.unwrap_or_else(|error| {
            tracing::warn!(target: "mgmt", "{} could not join: {error}", in_one_line(&request.host));
            let why = format!("it did not work on this side: {error}");
            match error {
                // etcd is away, or has no leader; a disk is full.
                TrustError::Users(_) | TrustError::File { .. } => Answer::Later(why),
                _ => Answer::Refused(why),
            }
        })
    }

    async fn join(
        &self,
        request: &Request,
        checked: &Checked,
        user: &str,
        id: &str,
        secret: &str,
        from: SocketAddr,
    ) -> Result<Answer, TrustError> {
        let refused = |why: &str| Ok(Answer::Refused(why.to_owned()));
        let host = in_one_line(&request.host);
        let turn = self.turn.lock().await;
        let issued = match self.authority.look_at_token(id, secret, user)? {
            Ok(issued) => issued,
            Err(Unusable::Unknown) => {
                tracing::warn!(target: "mgmt", "{from} has tried to join as {host} with a wrong token");
                drop(turn);
                sleep(WRONG).await;
                return refused("this token is not known here");
            }
            Err(Unusable::Used) => {
                tracing::warn!(target: "mgmt", "{from} has tried to join as {host} with a token that was used before");
                return refused(
                    "this token was used by another host: make one for each host with `mgmt cluster token`",
                );
            }
            Err(Unusable::Expired) => {
                return refused("the time of this token is over: make another one with `mgmt cluster token`");
            }
        };
        let can = Allowed { serves: issued.serves, deploys: issued.deploys };
        if let Some(why) = conflict(&self.etcd, &request.host, user).await? {
            return Ok(Answer::Refused(why));
        }
        let label = issued.label.as_deref().map(|label| format!(" ({})", in_one_line(label))).unwrap_or_default();
        self.authority.use_token(id, issued, user)?;
        admit(&self.etcd, &request.host, user, can).await?;
        if can.serves {
            self.authority.remember_serving(&self.etcd).await?;
        }
        tracing::info!(target: "mgmt", "{host} has joined{label}, from {from}");
        self.issue(request, checked, user, can)
    }

    async fn renew(&self, request: &Request, checked: &Checked, user: &str) -> Result<Answer, TrustError> {
        let silent = || TrustError::Users("no server answers".to_owned());
        let can = timeout(USER_MAX, allowed(&self.etcd, user)).await.unwrap_or_else(|_| Err(silent()));
        match can {
            Ok(Some(can)) => self.issue(request, checked, user, can),
            Ok(None) => Ok(Answer::Refused(
                "this host was forgotten here, or has never joined: it needs a new token".to_owned(),
            )),
            // Perhaps etcd does not answer as long as its servers have no certificates.
            Err(error) if self.authority.remembers_serving(user)? => {
                let host = in_one_line(&request.host);
                tracing::warn!(target: "mgmt", "{host} gets new certificates as a server that is remembered: {error}");
                self.issue(request, checked, user, Allowed { serves: true, deploys: false })
            }
            Err(error) => Err(error),
        }
    }

    fn issue(&self, request: &Request, checked: &Checked, user: &str, can: Allowed) -> Result<Answer, TrustError> {
        let names = can.serves.then_some(request.names.as_slice());
        let endpoints: BTreeSet<String> = self.etcd.addresses().into_iter().collect();
        let endpoints = endpoints.into_iter().collect();
        let certificates = issue(&self.authority, &checked.csr.public_key, user, names, endpoints)?;
        Ok(Answer::Issued(Box::new(certificates)))
    }
}

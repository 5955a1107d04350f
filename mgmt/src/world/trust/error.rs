//! Why a host is not let in, or an authority can't let one in.

use std::path::PathBuf;

use crate::sys::ours::NotOurs;
use crate::world::etcd::EtcdError;

/// Why a host is not let in, or an authority can't let one in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// There is an authority already.
    #[error(
        "{} has the authority of a cluster already: with another one, none of its hosts would be let in any more; to begin a new cluster, move that directory away",
        .0.display()
    )]
    Exists(PathBuf),
    /// There is no authority.
    #[error("{} has no authority of a cluster: make it with `mgmt cluster init`, or run this on the host that has it", .0.display())]
    NoAuthority(PathBuf),
    /// The address of the join service is not known yet.
    #[error(
        "where hosts join is not known yet: start `mgmt run` on this prefix first, or give `--join-url https://HOST:PORT`"
    )]
    NoService,
    /// A directory can't be used.
    #[error(transparent)]
    Directory(#[from] NotOurs),
    /// A file can't be used.
    #[error("{}: {why}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A certificate can't be made or read.
    #[error("a certificate can't be made: {0}")]
    Certificate(String),
    /// It is no token.
    #[error("this is no join token: {0}; take the whole line that `mgmt cluster token` has printed")]
    NoToken(String),
    /// The token is for another cluster than the one this host belongs to.
    #[error(
        "this host belongs to another cluster than the token: to join that one, move {} away", .0.display()
    )]
    OtherCluster(PathBuf),
    /// The host has joined under another name.
    #[error("this host has joined as {was}, not as {is}: give `--hostname {was}`, or move {} away and join again", .dir.display())]
    OtherHost {
        /// The name in its certificate.
        was: String,
        /// The name that it has now.
        is: String,
        /// Where its key and certificates are.
        dir: PathBuf,
    },
    /// The join service can't be reached, or can't answer now.
    #[error("{url}: {why}")]
    Service {
        /// Its address.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// What answers is not the join service of the token, or the address can't be used.
    #[error("{url}: {why}")]
    Stranger {
        /// Its address.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// The join service has refused it.
    #[error("the join service at {url} has refused: {why}")]
    Refused {
        /// Its address.
        url: String,
        /// The reason it gave.
        why: String,
    },
    /// An address can't be used.
    #[error(transparent)]
    Address(#[from] EtcdError),
    /// The users and roles of etcd can't be changed.
    #[error("the users of etcd: {0}")]
    Users(String),
    /// There is no host of that name.
    #[error("no host with the name {0} has joined")]
    NoHost(String),
    /// The host has joined no cluster.
    #[error("{} belongs to no cluster: `mgmt cluster init` makes one, and `mgmt run --join TOKEN` joins one", .0.display())]
    NotJoined(PathBuf),
    /// The host has no right to change which hosts are in the cluster.
    #[error(
        "this host may not change which hosts are in the cluster: run this on the host that has the authority, or on one that may serve"
    )]
    NoRights,
    /// A host would take its own rights.
    #[error("this host can't forget itself: run this on another host that may serve")]
    ForgetsItself,
    /// The host may not serve.
    #[error(
        "this host may not run a server of etcd: join with a token of `mgmt cluster token --server`, or give `--no-server`"
    )]
    NoServer,
    /// A host has a name that can't be used.
    #[error("{0:?} is no name for a host of a cluster: it has 1 to {max} bytes", max = super::access::HOST_BYTES_MAX)]
    NoName(String),
}

impl TrustError {
    pub(super) fn file(path: impl Into<PathBuf>, why: impl std::fmt::Display) -> TrustError {
        TrustError::File { path: path.into(), why: why.to_string() }
    }
}

impl From<rcgen::Error> for TrustError {
    fn from(error: rcgen::Error) -> TrustError {
        TrustError::Certificate(error.to_string())
    }
}

//! Why this host can't run a server of etcd.

use std::path::PathBuf;
use std::time::Duration;

use crate::sys::ours::NotOurs;
use crate::sys::process::ProcessError;
use crate::world::etcd::EtcdError;
use crate::world::trust::TrustError;

/// Why this host can't run a server of etcd.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagedError {
    /// An address can't be used.
    #[error(transparent)]
    Address(#[from] EtcdError),
    /// Without encryption, the server would accept every host that reaches this address.
    #[error(
        "{0} is not encrypted, and other hosts could reach it: each of them could decide what runs on all hosts; use https:// and certificates"
    )]
    Plain(String),
    /// There are no certificates for it.
    #[error("{0} needs certificates: give them with `Managed::tls` (`--tls-ca`, `--tls-cert`, `--tls-key`)")]
    NoCertificates(String),
    /// A server can't listen at a name.
    #[error(
        "{0} is no address at which a server can listen: give the number of an interface, such as https://10.0.0.1:2380"
    )]
    NoNumber(String),
    /// Other hosts would not know where the server is.
    #[error(
        "{0} is no address that other hosts can use: give one with `--advertise-client-urls` and `--advertise-server-urls`"
    )]
    NotReachable(String),
    /// There is no etcd.
    #[error(
        "the program `{program}` is missing: install the package `etcd-server`, or name the program with `--etcd PATH`"
    )]
    Absent {
        /// The program.
        program: String,
    },
    /// The etcd is too old, or is none.
    #[error("`{program}` is etcd {version}: 3.4 or later is needed")]
    Old {
        /// The program.
        program: String,
        /// Its version.
        version: String,
    },
    /// The program can't be run.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The server has ended.
    #[error("etcd has ended ({how}){}", lines(.last))]
    Ended {
        /// How it has ended.
        how: String,
        /// The last lines of its log.
        last: Vec<String>,
    },
    /// The server has started, and does not answer.
    #[error("etcd did not answer within {after:?}{}", lines(.last))]
    Silent {
        /// How long it had time.
        after: Duration,
        /// The last lines of its log.
        last: Vec<String>,
    },
    /// The directory can't be used.
    #[error(transparent)]
    Directory(#[from] NotOurs),
    /// A file of the directory can't be used.
    #[error("{}: {why}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another program runs the server of this directory.
    #[error("{} is in use by another program", .0.display())]
    InUse(PathBuf),
    /// A host that reaches the others through ssh would run a server.
    #[error(
        "a host that reaches the servers through ssh (`--ssh-url`) can't run one, since others would not reach it: leave out one of both"
    )]
    ServesOverSsh,
    /// This host can't be let in, or let others in.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The other hosts would be let in without certificates.
    #[error(
        "{0} is not encrypted, and the cluster of this host has an authority: give https://, or a prefix of its own"
    )]
    PlainInCluster(String),
    /// Two ways to be known.
    #[error(
        "a host that joins gets certificates of its cluster: give either `--join` or `--tls-ca`, `--tls-cert` and `--tls-key`"
    )]
    JoinsWithTls,
    /// A server without a network is given what only one with a network has.
    #[error(
        "a server without a network has no addresses, no other hosts and no certificates: leave out {0}, or `--no-network`"
    )]
    NoNetwork(&'static str),
    /// An earlier server of this host can't be ended.
    #[error("an etcd that an earlier run has started still has the data in {}, and does not end", .0.display())]
    Undead(PathBuf),
}

fn lines(last: &[String]) -> String {
    if last.is_empty() { String::new() } else { format!("; its last lines:\n  {}", last.join("\n  ")) }
}

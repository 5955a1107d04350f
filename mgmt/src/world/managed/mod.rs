//! An etcd that this program runs itself: its process, its addresses, and the part of this host in the cluster.

mod act;
mod child;
mod error;
mod kept;
mod log;
mod program;
mod raft_log;
mod records;
mod runner;
mod server;
mod settings;
mod size;
mod space;
mod trusted;
mod url;

pub use error::ManagedError;
pub(in crate::world) use kept::known_servers;
pub use settings::{Managed, ManagedEtcd};
pub use size::ServerCount;

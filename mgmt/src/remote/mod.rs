//! Runs on other machines: the same executable is started there, plans or runs a graph, and reports here. [`Host`] is
//! the machine, [`Job`] what it must do, [`Run`] the run there.

mod detached;
mod error;
mod far;
mod far_detached;
mod far_graphs;
mod far_guard;
#[cfg(feature = "etcd")]
mod far_guest;
mod far_link;
#[cfg(feature = "etcd")]
mod far_resident;
mod far_run;
mod far_signals;
mod far_status;
mod far_trial;
#[cfg(feature = "etcd")]
mod far_world;
#[cfg(not(feature = "etcd"))]
#[path = "no_far_world.rs"]
mod far_world;
mod fleet;
mod host;
mod hosts;
mod job;
mod lines;
mod message;
mod near_begin;
#[cfg(feature = "etcd")]
mod near_world;
#[cfg(not(feature = "etcd"))]
#[path = "no_near_world.rs"]
mod near_world;
mod queue;
mod receiving;
mod run;
mod session;
mod ssh;
mod streams;
mod trail;
mod transport;
mod trial;
mod tunnel;
mod vertex;

pub use crate::sys::ssh::{
    Answer, Answers, Endpoint, EndpointError, Executable, LinkError, LinkProblem, Question, QuestionKind, SshOptions,
};
pub use detached::{Detached, DetachedEnd};
pub use error::{Note, RemoteError};
#[cfg(feature = "cli")]
pub(crate) use far::{Base, BaseFor};
pub use far::{FarEnd, far_end};
pub use fleet::{
    Fleet, FleetEnded, FleetReport, FleetRun, FleetUntil, HostEnded, HostPlanned, HostReport, PlansOfHosts, Verdict,
};
pub use host::{Host, Planned};
pub use hosts::{Addresses, Hosts, HostsBox, HostsError, HostsSignal, hosts_of};
pub use job::{Job, Parcel};
pub use message::Hello;
pub use run::{Ended, HowEnded, Report, Run, StopStep};
pub use ssh::Ssh;
pub use trail::Depth;
pub use transport::{Channel, Launch, Local, Transport};
pub use vertex::{Remote, RemoteBuilder, RemoteDrift, RemoteGraph, RemoteHandle};

//! Other machines through ssh, on real sshd hosts in network namespaces. Needs root, OpenSSH and sudo.

#[path = "../../src/sys/spaces/again.rs"]
mod again;
mod again_when;
#[cfg(feature = "etcd")]
mod alone;
mod command_line;
mod detached;
mod errors;
#[path = "../shared/executable.rs"]
mod executable;
mod faults;
mod figures;
mod hosts;
mod link;
mod logins;
mod places;
#[path = "../shared/session.rs"]
mod session;
mod static_program;
mod systemd;
mod trees;
mod trials;
#[cfg(feature = "etcd")]
mod world;

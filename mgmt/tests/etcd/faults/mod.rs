//! Hosts with an etcd each, in network namespaces of their own, while members die, hosts are cut off from one another,
//! packets get lost or late, and space runs out.

mod check;
mod cluster;
mod deaths;
mod debts;
mod elastic;
mod joined;
mod net;
mod observer;
mod partitions;
mod pauses;
mod space;

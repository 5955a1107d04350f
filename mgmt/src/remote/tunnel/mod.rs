//! Streams of bytes within the conversation of both ends: connections of the far end to servers that the near end can
//! reach.

mod frame;
#[cfg(feature = "etcd")]
mod streams;

pub(super) use frame::Frame;
#[cfg(feature = "etcd")]
pub(super) use streams::Streams;

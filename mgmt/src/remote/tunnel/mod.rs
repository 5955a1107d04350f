//! Streams of bytes within the conversation of both ends: connections of the far end to servers that the near end can
//! reach.

mod frame;
mod streams;

pub(super) use frame::Frame;
pub(super) use streams::Streams;

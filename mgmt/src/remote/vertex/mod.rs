//! The kind `remote`: a resource that runs a graph on another host, by the same code as the command `remote`.

mod ends;
mod graph;
mod kind;
mod live;
mod place;
mod seen;
mod text;
mod wanted;

pub use graph::RemoteGraph;
pub use kind::{Remote, RemoteBuilder, RemoteDrift, RemoteHandle};

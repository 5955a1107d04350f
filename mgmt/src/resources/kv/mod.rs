//! `kv`: keeps a value under a key, in the world or in a store of this host, that outlives the program.

mod kind;
mod reverse;
mod skip;
mod store;
#[cfg(test)]
mod tests;
mod world;

pub use kind::{Kv, KvBuilder, KvHandle};
pub use skip::SkipCmpStyle;

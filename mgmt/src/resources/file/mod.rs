//! `file`: files, directories, symlinks and whole trees, kept as declared.

mod alias;
mod apply;
mod capture;
mod check;
mod compare;
mod content;
mod copies;
mod diff;
mod drift;
mod foresee;
mod kept;
mod kind;
mod look;
mod maker;
mod mode;
mod needed;
mod owner;
mod owner_ids;
mod parts;
mod path;
mod purge;
mod recurse;
mod reverse;
mod state;
mod tree;
mod wanted;
mod wanted_content;

#[cfg(test)]
mod tests;

pub use content::Content;
pub use drift::FileDrift;
pub use kind::{File, FileBuilder, FileHandle};
pub use mode::Mode;
pub use owner::Owner;
pub use recurse::Recurse;
pub use state::FileState;

//! `file`: files, directories, symlinks and whole trees, kept as declared.

mod alias;
mod apply;
mod base64;
mod check;
mod compare;
mod content;
mod diff;
mod drift;
mod input;
mod mode;
mod names;
mod owner;
mod path;
mod purge;
mod resource;
mod seen;
mod stop;
mod tree;
mod wanted;

#[cfg(test)]
mod tests;

pub use content::Content;
pub use drift::FileDrift;
pub use mode::Mode;
pub use owner::Owner;
pub use resource::{File, FileBuilder, FileHandle, FileState};

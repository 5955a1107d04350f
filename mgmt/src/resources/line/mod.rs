//! `line`: keeps a line in a text file, or keeps it out, and leaves the rest of the file as it is.

mod edit;
mod kind;
mod replaced;
mod reverse;
mod state;
#[cfg(test)]
mod tests;
mod text;

pub use kind::{Line, LineBuilder, LineDrift, LineHandle};
pub use state::LineState;

//! The files of the declaring machine that a resource reads.

/// A file or a directory that a resource reads, as one of its fields names it: see
/// [`Converge::reads`](crate::resource::Converge::reads).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The field, whose value is a path or a list of paths.
    pub field: &'static str,
    /// The path as it is in the field. It ends in `/` if it is a directory.
    pub path: String,
    /// How many levels of a directory are read; 1: what is directly in it. `None`: all.
    pub levels: Option<u16>,
}

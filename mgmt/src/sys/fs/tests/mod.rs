//! Tests of the doors against the real file system.

mod support;
mod writing;

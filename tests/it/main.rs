//! What the whole workspace must keep, seen from outside.

mod pictures;
mod tidy;
mod ui;

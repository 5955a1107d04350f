//! What the whole workspace must keep, seen from outside.

mod tidy;
mod ui;

//! What the whole workspace must keep, seen from outside.

mod engine;
mod kit;
mod pictures;
mod tidy;
mod ui;

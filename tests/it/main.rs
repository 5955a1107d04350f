//! What the whole workspace must keep, seen from outside.

mod derive;
mod engine;
mod kit;
mod pictures;
mod schema;
mod tidy;
mod ui;

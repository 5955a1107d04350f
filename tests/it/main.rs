//! What the whole workspace must keep, seen from outside.

mod derive;
mod graphs;
mod engine;
mod kit;
mod pictures;
mod programs;
mod schema;
mod tidy;
mod ui;

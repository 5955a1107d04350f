//! What the whole workspace must keep, seen from outside.

mod derive;
mod engine;
mod graphs;
mod kit;
mod laws;
mod pictures;
mod programs;
mod schema;
mod tidy;
mod ui;

//! What the whole workspace must keep, seen from outside.

mod cli;
mod crash;
mod derive;
mod engine;
mod examples;
mod kit;
mod pictures;
mod schema;
mod tidy;
mod ui;

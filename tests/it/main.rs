//! What the whole workspace must keep, seen from outside.

mod derive;
mod pictures;
mod schema;
mod tidy;
mod ui;

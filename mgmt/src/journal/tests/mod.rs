//! Tests with the real file system, with a failing one, and with processes that are killed at any time.

mod commits;
mod common;
mod crash;
mod files;
mod forget;
mod migrate;
mod rules;

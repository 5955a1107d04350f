//! Against the real file system, a failing one, and processes killed at any moment.

mod commits;
mod common;
mod crash;
mod files;
mod forget;
mod migrate;
mod rules;

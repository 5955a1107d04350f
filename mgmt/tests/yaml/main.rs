//! YAML files from outside: their meaning, the messages about wrong ones, and what the program `mgmt` makes of them.

mod command_line;
mod converted;
mod converting;
mod corpus;
mod kit;
mod meaning;
mod messages;
mod metrics;
mod over_time;
mod programs;
mod prometheus;
mod schema;
mod service;
#[path = "../shared/session.rs"]
mod session;
mod small;

//! What the whole workspace must keep, seen from outside.

mod aliases;
mod autoedges;
mod booted;
mod cli;
mod crash;
mod derive;
mod engine;
mod examples;
mod graphs;
mod groups;
mod journeys;
mod kit;
mod laws;
mod mount;
mod package;
mod passes;
mod pictures;
mod programs;
mod published;
mod schema;
mod stress;
mod svc;
mod sysctl;
mod tidy;
mod ui;
mod webserver;

//! The command line around a program's graph, as people and pipelines use it.

mod asking;
mod colours;
mod commands;
mod ends;
mod exits;
mod idle;
mod logs;
mod options;
mod planted;
mod scarce;
mod secrets;
mod signals;
mod supervised;
mod terminal;

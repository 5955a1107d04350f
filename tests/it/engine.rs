//! The engine as programs use it: every promise of it, watched through its events and through what was really done.

mod dirty;
mod faults;
mod follow;
mod foretold;
mod forget;
mod lane;
mod leaving;
mod many;
mod metaparameters;
mod order;
mod owning;
mod panics;
mod passwords;
mod pause;
mod plans;
mod quiet;
mod reactive;
mod refresh;
mod silent;
mod start;
mod stop;
mod stuck;
mod swap;
mod together;
mod trees;
mod values;

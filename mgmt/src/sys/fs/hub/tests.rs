//! Tests of the hub, on the real file system, by every means of watching.

mod cost;
mod faults;
mod harness;
mod narrow;
mod paths;
mod quiet;
mod random;
mod slices;
mod spaces;
mod trees;

//! Tests of the graph, a room for each subject: by example, against plain models under random input, and at a million
//! nodes. What the rooms share is in `model.rs`.

mod cycles;
mod diff;
mod draw;
mod model;
mod order;
mod reduction;
mod store;
mod ways;

//! The decisions one by one, and simulated with a model of etcd and of hosts that fail.

mod cases;
mod etcd;
mod hosts;
mod rng;
mod simulation;

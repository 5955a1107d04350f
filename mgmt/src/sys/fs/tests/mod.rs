//! Tests of the doors against the real file system.

mod adopting;
mod failing;
mod group;
mod killing;
mod racing;
mod support;
mod trees;
mod unprivileged;
mod walking;
mod writing;

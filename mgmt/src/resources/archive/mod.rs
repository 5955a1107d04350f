//! Kinds for archives and compressed files: `gzip`.

mod gzip;
mod level;
mod original;
mod output;
mod squeeze;
#[cfg(test)]
mod tests;

pub use gzip::{Gzip, GzipBuilder, GzipHandle};

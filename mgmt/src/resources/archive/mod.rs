//! Kinds for archives and compressed files: `gzip`, `unpack`.

mod compare;
mod extract;
mod gzip;
mod level;
mod listing;
mod member;
mod original;
mod output;
mod reading;
mod squeeze;
#[cfg(test)]
mod tests;
mod unpack;

pub use gzip::{Gzip, GzipBuilder, GzipHandle};
pub use unpack::{Unpack, UnpackBuilder, UnpackDrift, UnpackHandle};

//! Kinds for archives and compressed files: `gzip`, `tar`, `unpack`.

mod compare;
mod compress;
mod contents;
mod extract;
mod format;
mod gzip;
mod level;
mod listing;
mod made;
mod member;
mod original;
mod output;
mod packed;
mod packing;
mod reading;
mod sending;
mod squeeze;
mod tar;
#[cfg(test)]
mod tests;
mod unpack;

pub use compress::TarCompress;
pub use format::TarFormat;
pub use gzip::{Gzip, GzipBuilder, GzipHandle};
pub use tar::{Tar, TarBuilder, TarHandle};
pub use unpack::{Unpack, UnpackBuilder, UnpackDrift, UnpackHandle};

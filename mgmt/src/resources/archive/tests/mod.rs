//! The kinds of this room with real files.

mod gzip;
mod killed;
mod tar;
mod unpack;

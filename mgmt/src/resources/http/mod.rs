//! `http:server` and `http:file`: serves files, and texts that other resources make, over HTTP.

mod auth;
mod body;
mod file;
mod keys;
mod listener;
mod path;
mod reply;
mod server;
mod site;
mod table;
#[cfg(test)]
mod tests;

pub use file::{HttpFile, HttpFileBuilder, HttpFileHandle};
pub use keys::{Address, ServedBy, UrlPath};
pub use server::{HttpServer, HttpServerBuilder, HttpServerHandle};

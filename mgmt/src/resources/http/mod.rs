//! HTTP: `http:server` and `http:file` serve files, and texts that other resources make; `http:client` fetches.

mod auth;
mod body;
#[cfg(feature = "http-client")]
mod client;
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

#[cfg(feature = "http-client")]
pub use client::{HttpClient, HttpClientBuilder, HttpClientDrift, HttpClientHandle};
pub use file::{HttpFile, HttpFileBuilder, HttpFileHandle};
pub use keys::{Address, ServedBy, UrlPath};
pub use server::{HttpServer, HttpServerBuilder, HttpServerHandle};

//! `http:client`: fetches what a URL leads to.

mod download;
mod kind;
mod request;
#[cfg(test)]
mod tests;
mod version;

pub use kind::{HttpClient, HttpClientBuilder, HttpClientDrift, HttpClientHandle};

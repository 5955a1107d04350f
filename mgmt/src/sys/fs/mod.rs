//! Files: written safely, and watched.

pub mod hub;

//! Doors to the system: the only place for raw system calls.

pub mod fs;

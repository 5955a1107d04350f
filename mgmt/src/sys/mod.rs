//! Doors to the system. The only place for raw system calls.

pub mod fs;
pub mod task;
pub mod users;

//! The exact arguments of the tools, and what is in their way.

mod groups;
mod keys;
mod users;

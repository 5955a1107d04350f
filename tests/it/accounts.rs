//! Users, groups and keys: whole graphs on a simulated host, and the laws against the system's own tools in a machine that is
//! booted for that.

mod keys;
mod real;
mod simulated;
mod users;

//! Against real processes: every test looks in `/proc` that nothing is left.

mod accounts;
mod common;
mod end;
mod output;
mod start;

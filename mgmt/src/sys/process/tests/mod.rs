//! Tests with real processes: every test checks in `/proc` that none is left.

mod accounts;
mod common;
mod end;
mod output;
mod start;

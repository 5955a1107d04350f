//! Written by the test.
use mgmt::prelude::*;
pub fn declare(_: &mut Graph) -> mgmt::Result<()> { Ok(()) }
fn main() {}

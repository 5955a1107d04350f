//! Names and numbers: what a resource is called, and the small integers that the engine works with.

mod name;
mod number;
mod owed;

pub use name::{KindName, NameError, ResourceId};
pub use number::{Generation, Node, Place, Ticket, Time};
pub use owed::JournalOp;

//! Names and numbers: the identities of resources, and the small integers that the engine works with.

mod escape;
mod name;
mod number;
mod owed;
mod paint;
mod pattern;
mod percent;

pub use escape::{harmless, harmless_in_colour, in_json, in_one_line, is_hidden, shortened};
pub use name::{KindName, NameError, ResourceId};
pub use number::{Generation, Node, Place, Ticket, Time};
pub use owed::JournalOp;
pub(crate) use paint::Shown;
pub use paint::{Painted, Palette, Role};
pub(crate) use pattern::is_like;
pub(crate) use percent::{key_part, percent_decoded, percent_encoded, text_of_key_part};

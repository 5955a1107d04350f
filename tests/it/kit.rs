//! What the tests of whole engines and programs share.

mod archive;
pub mod book;
pub mod booted;
pub mod desk;
pub mod probe;
pub mod program;
pub mod run;
pub mod spaces;

pub use archive::archive;
pub use booted::{Booted, inside};
pub use desk::{Act, Desk, Gate, Op};
pub use run::{Run, a_while, until, within};

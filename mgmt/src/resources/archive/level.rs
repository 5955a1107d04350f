//! How much time a compression may take: the field `level`.

use crate::resource::FieldProblem;

/// The level that is used if none is given, and for `-1`.
const DEFAULT: u32 = 6;

/// The level of the compressor for the value of the field.
pub(super) fn level(given: Option<i8>) -> u32 {
    given.and_then(|level| u32::try_from(level).ok()).unwrap_or(DEFAULT)
}

pub(super) fn problem(given: Option<i8>) -> Option<FieldProblem> {
    let wrong = given.filter(|level| !(-1..=9).contains(level))?;
    Some(FieldProblem::new("level", format_args!("is {wrong}"), "give 0 (not compressed) to 9 (smallest)"))
}

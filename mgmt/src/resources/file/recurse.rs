//! `Recurse`: how deep a directory is read, the field `recurse`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{Accepts, FieldProblem, Format, TypeFacts};
use crate::sys::fs::hub::Watched;

/// How many levels of a directory count: `true` for all, `false` for the entries directly in it, or a number; 1 is the
/// same as `false`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "`true`, `false`, or a number of levels from 1 to 256")]
pub enum Recurse {
    /// All levels, or only the first.
    Whether(bool),
    /// A number of levels: 1 to 256.
    Levels(u16),
}

impl Default for Recurse {
    /// Only the first level.
    fn default() -> Recurse {
        Recurse::Whether(false)
    }
}

impl TypeFacts for Recurse {
    const FORMAT: Format = Format::Levels;
}

impl Recurse {
    /// How many levels count; `None`: all.
    pub(super) fn levels(self) -> Option<u16> {
        match self {
            Recurse::Whether(true) => None,
            Recurse::Whether(false) => Some(1),
            Recurse::Levels(levels) => Some(levels),
        }
    }

    /// Whether more than the first level counts.
    pub(super) fn is_deep(self) -> bool {
        self.levels() != Some(1)
    }

    /// What is wrong with the value.
    pub(super) fn problem(self) -> Option<FieldProblem> {
        let Recurse::Levels(levels) = self else { return None };
        let max = Watched::LEVELS_MAX;
        let remedy = format_args!("give 1 to {max} levels, `true` for all, or leave it out for the first alone");
        match levels {
            0 => Some(FieldProblem::new("recurse", "is 0, so nothing in the directory would count", remedy)),
            levels if levels > max => Some(FieldProblem::new("recurse", format_args!("is {levels}, too many"), remedy)),
            _ => None,
        }
    }
}

impl Accepts<bool> for Recurse {
    fn accept(whether: bool) -> Recurse {
        Recurse::Whether(whether)
    }
}

impl Accepts<u16> for Recurse {
    fn accept(levels: u16) -> Recurse {
        Recurse::Levels(levels)
    }
}

//! `Owner`: a user or a group, by name or by number.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{Accepts, FieldProblem, Format, TypeFacts};
use crate::sys::users::{self, UserError};

/// A user or a group: a name such as `"www-data"`, or its number. A text of digits is a number unless an account has
/// that name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a name, or a number from 0 to 4294967294")]
pub enum Owner {
    /// The number of the account: 0 to 4294967294.
    Id(u32),
    /// The name of the account.
    Name(String),
}

impl TypeFacts for Owner {
    const FORMAT: Format = Format::Account;
}

impl Owner {
    /// The number of the user.
    pub(super) fn uid(&self) -> Result<u32, UserError> {
        match self {
            Owner::Id(id) => Ok(*id),
            Owner::Name(name) => users::uid_of(name),
        }
    }

    /// The number of the group.
    pub(super) fn gid(&self) -> Result<u32, UserError> {
        match self {
            Owner::Id(id) => Ok(*id),
            Owner::Name(name) => users::gid_of(name),
        }
    }

    /// What is wrong with the value in the field `field`, whatever accounts the machine has.
    pub(super) fn problem(&self, field: &str) -> Option<FieldProblem> {
        match self {
            Owner::Id(u32::MAX) => {
                let problem = format_args!("{} is not the number of a user or group", u32::MAX);
                Some(FieldProblem::new(field, problem, format_args!("0 to {} are", u32::MAX - 1)))
            }
            Owner::Id(_) => None,
            Owner::Name(name) => users::problem(name).map(|problem| {
                FieldProblem::new(field, problem, format_args!("give a name, or a number up to {}", u32::MAX - 1))
            }),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Id(id) => id.fmt(f),
            Owner::Name(name) => f.write_str(name),
        }
    }
}

impl Accepts<u32> for Owner {
    fn accept(id: u32) -> Owner {
        Owner::Id(id)
    }
}

impl Accepts<&str> for Owner {
    fn accept(name: &str) -> Owner {
        Owner::Name(name.to_owned())
    }
}

impl Accepts<String> for Owner {
    fn accept(name: String) -> Owner {
        Owner::Name(name)
    }
}

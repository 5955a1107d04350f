//! `Expiry`: the day from which on an account can't be used.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::Accepts;
use crate::sys::calendar::{day_of_text, text_of_day};

/// The word for an account that can always be used.
const NEVER: &str = "never";

/// The day from which on an account can't be used: `never`, or a date such as `2030-01-31`, in UTC.
///
/// ```
/// use mgmt::resources::Expiry;
///
/// assert_eq!(Expiry::on(2030, 1, 31).to_string(), "2030-01-31");
/// assert_eq!(Expiry::never().to_string(), "never");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Expiry(String);

impl Expiry {
    /// The account can always be used.
    pub fn never() -> Expiry {
        Expiry(NEVER.to_owned())
    }

    /// The account can't be used from this day on: year (1970 to 9999), month and day.
    pub fn on(year: u32, month: u32, day: u32) -> Expiry {
        Expiry(format!("{year:04}-{month:02}-{day:02}"))
    }

    /// The day, counted from the first of January 1970; the inner `None`: never. The outer `None`: the text is wrong.
    pub(super) fn day(&self) -> Option<Option<u32>> {
        match self.0.as_str() {
            NEVER => Some(None),
            // Some programs take day 0 as no date.
            text => day_of_text(text).filter(|day| *day > 0).map(Some),
        }
    }
}

/// A day as the field has it.
pub(super) fn shown(day: Option<u32>) -> String {
    day.map_or_else(|| NEVER.to_owned(), text_of_day)
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Accepts<&str> for Expiry {
    fn accept(text: &str) -> Expiry {
        Expiry(text.to_owned())
    }
}

impl Accepts<String> for Expiry {
    fn accept(text: String) -> Expiry {
        Expiry(text)
    }
}

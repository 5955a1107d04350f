//! One command or several: the type of the guards `ifcmd` and `nifcmd`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::Accepts;

/// One command, or a list of them: a text or a list of texts. Empty texts are left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Commands {
    /// One command.
    One(String),
    /// Several commands, in the order in which they run.
    Several(Vec<String>),
}

impl Default for Commands {
    fn default() -> Commands {
        Commands::Several(Vec::new())
    }
}

impl Commands {
    /// The commands that are not empty.
    pub fn iter(&self) -> impl Iterator<Item = &String> {
        let all = match self {
            Commands::One(one) => std::slice::from_ref(one),
            Commands::Several(all) => all,
        };
        all.iter().filter(|text| !text.is_empty())
    }
}

macro_rules! one {
    ($($from:ty),+) => {$(
        impl Accepts<$from> for Commands {
            fn accept(command: $from) -> Commands {
                Commands::One(command.into())
            }
        }
    )+};
}

one!(&str, String, &String);

impl<V: Into<String>, const N: usize> Accepts<[V; N]> for Commands {
    fn accept(commands: [V; N]) -> Commands {
        Commands::Several(commands.into_iter().map(Into::into).collect())
    }
}

impl<V: Into<String>> Accepts<Vec<V>> for Commands {
    fn accept(commands: Vec<V>) -> Commands {
        Commands::Several(commands.into_iter().map(Into::into).collect())
    }
}

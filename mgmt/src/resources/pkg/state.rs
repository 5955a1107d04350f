//! The values of the fields of `pkg`.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::resource::{Accepts, Format, TypeFacts};

/// Whether a package is installed, and in which version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PkgState {
    /// In any version. The default.
    #[default]
    Installed,
    /// Not installed. Its settings stay.
    Uninstalled,
    /// In the newest version that the repositories have.
    Newest,
    /// In exactly this version, as the package manager writes it: `1.22.1-9+deb12u4`.
    Version(String),
}

impl TryFrom<String> for PkgState {
    type Error = String;

    fn try_from(text: String) -> Result<PkgState, String> {
        // No version of a package has other characters.
        let is_of_version = |c: char| c.is_ascii_alphanumeric() || ".+-:~_^".contains(c);
        match text.as_str() {
            "installed" => Ok(PkgState::Installed),
            "uninstalled" => Ok(PkgState::Uninstalled),
            "newest" => Ok(PkgState::Newest),
            "latest" => Err("`latest` is no state of a package: write `newest`".to_owned()),
            "absent" | "removed" | "purged" => Err(format!("`{text}` is no state of a package: write `uninstalled`")),
            "exists" | "present" => Err(format!("`{text}` is no state of a package: write `installed`")),
            version if version.starts_with(|c: char| c.is_ascii_digit()) && version.chars().all(is_of_version) => {
                Ok(PkgState::Version(text))
            }
            _ => Err(format!(
                "`{text}` is neither `installed`, `uninstalled` or `newest` nor a version, which begins with a digit"
            )),
        }
    }
}

/// A word of the list, or a version: the graph's validation reports what is neither.
impl Accepts<&str> for PkgState {
    fn accept(text: &str) -> PkgState {
        PkgState::try_from(text.to_owned()).unwrap_or_else(|_| PkgState::Version(text.to_owned()))
    }
}

impl Accepts<String> for PkgState {
    fn accept(text: String) -> PkgState {
        PkgState::accept(text.as_str())
    }
}

impl From<PkgState> for String {
    fn from(state: PkgState) -> String {
        state.to_string()
    }
}

impl fmt::Display for PkgState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PkgState::Installed => "installed",
            PkgState::Uninstalled => "uninstalled",
            PkgState::Newest => "newest",
            PkgState::Version(version) => version,
        })
    }
}

impl JsonSchema for PkgState {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PkgState".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "`installed`, `uninstalled`, `newest`, or a version",
            "pattern": "^(installed|uninstalled|newest|[0-9][0-9A-Za-z.+:~_^-]*)$",
        })
    }
}

/// What becomes of a settings file that was changed on this host, if the new version of its package has another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PkgConffiles {
    /// It stays as it is. The default.
    #[default]
    Keep,
    /// That of the package takes its place.
    Replace,
}

impl TypeFacts for PkgConffiles {
    const FORMAT: Format = Format::Choice;
}

/// Through which program packages are looked at and changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PkgBackend {
    /// apt where there is dpkg, PackageKit elsewhere. The default.
    #[default]
    Auto,
    /// apt and dpkg.
    Apt,
    /// PackageKit, for dpkg, rpm and others.
    Packagekit,
}

impl TypeFacts for PkgBackend {
    const FORMAT: Format = Format::Choice;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_a_word_or_a_version() {
        for text in ["installed", "uninstalled", "newest", "1.22.1-9+deb12u4", "1:2.3~rc1-4", "2"] {
            assert_eq!(PkgState::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for (text, remedy) in [
            ("latest", "write `newest`"),
            ("absent", "write `uninstalled`"),
            ("present", "write `installed`"),
            ("Installed", "nor a version"),
            ("", "nor a version"),
            ("1.0 -y", "nor a version"),
            ("-1", "nor a version"),
        ] {
            assert!(PkgState::try_from(text.to_owned()).unwrap_err().contains(remedy), "{text}");
        }
    }
}

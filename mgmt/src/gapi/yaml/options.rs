//! Options for reading YAML.

use crate::gapi::builtin_kinds;
use crate::graph::Kinds;

/// Options for reading YAML.
#[derive(Clone, Debug)]
pub struct YamlOptions {
    /// The kinds that the file may use. Default: the built-in ones.
    pub kinds: Kinds,
    /// Unknown keys are warnings, not errors. Default: false.
    pub allow_unknown: bool,
}

impl Default for YamlOptions {
    fn default() -> Self {
        YamlOptions { kinds: builtin_kinds(), allow_unknown: false }
    }
}

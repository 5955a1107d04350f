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
    /// The graph is for the host that its key `remote` names, so the key must be there. Default: false: the graph runs
    /// on this host, and the key is a warning.
    pub for_remote: bool,
}

impl Default for YamlOptions {
    fn default() -> Self {
        YamlOptions { kinds: builtin_kinds(), allow_unknown: false, for_remote: false }
    }
}

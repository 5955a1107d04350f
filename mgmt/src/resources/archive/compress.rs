//! Whether an archive is compressed: the field `compress`.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{FieldProblem, Format, TypeFacts};

/// How an archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TarCompress {
    /// Not at all.
    None,
    /// By gzip.
    Gzip,
}

impl TypeFacts for TarCompress {
    const FORMAT: Format = Format::Choice;
}

/// How the name of an archive ends that is compressed in a way that this kind lacks.
const OTHERS: [&str; 9] = ["bz2", "lz", "lz4", "lzma", "tbz2", "txz", "tzst", "xz", "zst"];

/// What the name of the archive shows, if nothing is given.
pub(super) fn compression(given: Option<TarCompress>, path: &Path) -> TarCompress {
    given.unwrap_or(match path.extension().and_then(|end| end.to_str()) {
        Some("gz" | "tgz") => TarCompress::Gzip,
        _ => TarCompress::None,
    })
}

/// The problem of a name that promises another compression.
pub(super) fn problem(given: Option<TarCompress>, field: &str, path: &Path) -> Option<FieldProblem> {
    let end = path.extension()?.to_str()?;
    let is_other = given.is_none() && OTHERS.contains(&end);
    let remedy = "end it in `.tar` or `.tar.gz`, or set `compress`";
    is_other.then(|| FieldProblem::new(field, format_args!("ends in `.{end}`, which can't be made"), remedy))
}

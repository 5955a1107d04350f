//! The kinds that graphs given as data may use without being told.

use crate::graph::Kinds;
use crate::resources::*;

/// All built-in kinds.
pub fn builtin_kinds() -> Kinds {
    let kinds = Kinds::none()
        .with::<Exec>()
        .with::<File>()
        .with::<Msg>()
        .with::<Noop>()
        .with::<Password>()
        .with::<Timer>()
        .with::<Value>();
    #[cfg(feature = "http")]
    let kinds = kinds.with::<HttpFile>().with::<HttpServer>();
    kinds
}

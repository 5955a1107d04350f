//! Archives and compressed files that are sent and not written: the field `sendonly`.

use std::io::Read;

use crate::resource::{Error, FieldProblem, Result};
use crate::resources::archive::squeeze::of_original;

/// The most bytes that are sent as a value: it is kept in memory.
const VALUE_BYTES_MAX: u64 = 16 << 20;

/// All of it, if it is not too much to be sent.
pub(super) fn value(from: &mut dyn Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(VALUE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(of_original)?;
    if bytes.len() as u64 > VALUE_BYTES_MAX {
        let most = VALUE_BYTES_MAX >> 20;
        let why = format!("it has more than {most} MiB, the most that is sent as a value: leave `sendonly` out");
        return Err(Error::new(why));
    }
    Ok(bytes)
}

/// The problem of a path that nothing would be written to.
pub(super) fn problem(path: Option<&String>) -> Option<FieldProblem> {
    path.map(|_| FieldProblem::new(["path", "sendonly"], "are both given", "leave one of them out"))
}

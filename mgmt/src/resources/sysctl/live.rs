//! The value that a parameter has now.

use crate::resource::{Error, Obstacle, ObstacleKind, Result};
use crate::resources::sysctl::key::Key;
use crate::resources::sysctl::value;
use crate::sys::fs::{FsError, ReadFs, WriteFs, WriteOptions};

/// The longest value, in bytes: what the kernel takes in one write.
pub(super) const VALUE_BYTES_MAX: usize = 4095;
/// The longest value that is read, in bytes.
const READ_BYTES_MAX: u64 = 1 << 20;

/// The value of a parameter, without the end of its line.
pub(super) fn read(fs: &ReadFs, key: &Key) -> Result<String> {
    match fs.read_file(key.path(), READ_BYTES_MAX) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned()),
        Err(error) if error.is_missing() => Err(missing(key)),
        Err(FsError::WrongType { .. }) => {
            Err(Error::new(format!("`{key}` is a group of parameters: name one that is in it")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives a parameter a value, which it must have then.
pub(super) fn set(fs: &WriteFs, key: &Key, value: &str) -> Result<()> {
    must_be_writable(fs, key)?;
    // In one call, with the end of a line: an empty value would write nothing otherwise.
    fs.write_file(key.path(), &format!("{value}\n"), &WriteOptions::new())
        .map_err(|error| refused(error, key, value))?;
    let now = read(fs, key)?;
    match value::is_same(&now, value) {
        true => Ok(()),
        false => {
            let (value, now) = (value::shown(value), value::shown(&now));
            let why = format!("`{value}` was written to `{key}`, which is `{now}` then: declare what the kernel shows");
            Err(Error::new(why))
        }
    }
}

/// Fails for a parameter that the kernel lets no user change.
pub(super) fn must_be_writable(fs: &ReadFs, key: &Key) -> Result<()> {
    match fs.stat(key.path())? {
        None => Err(missing(key)),
        Some(found) if found.mode & 0o222 == 0 => {
            let why = format!("`{key}` is read-only: the kernel lets no user change it; remove this resource");
            Err(Error::new(why))
        }
        Some(_) => Ok(()),
    }
}

fn missing(key: &Key) -> Error {
    let why = format!(
        "the kernel has no parameter `{key}`: its name is wrong, or the module of the kernel that it belongs to is not \
         loaded yet"
    );
    Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Missing).at(key.path()))
}

fn refused(error: FsError, key: &Key, value: &str) -> Error {
    if !error.is_value_refused() {
        return error.into();
    }
    Error::new(format!("the kernel refuses the value `{}` for `{key}`: {error}", value::shown(value)))
}

//! The bytes of an archive that come before the content of a member: the field `format`.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tar::{EntryType, Header};

use crate::resource::{Format, TypeFacts};
use crate::resources::archive::member::{Member, What};

/// An archive consists of blocks of this many bytes.
pub(super) const BLOCK_BYTES: usize = 512;
/// When all members were last changed, as the archive has it: 1980-01-01 00:00:00 UTC, in seconds since 1970. Some
/// programs take an earlier time for a mistake.
const TIME: u64 = 315_532_800;
/// What the fields of a header hold.
const NAME_BYTES_MAX: usize = 100;
const PREFIX_BYTES_MAX: usize = 155;
const SIZE_MAX: u64 = 0o777_7777_7777;

/// How an archive holds what does not fit into the header of a member: a name or a target of more than 100 bytes, a
/// file of 8 GiB or more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TarFormat {
    /// In records of POSIX.1-2001, which all present programs read. The default.
    #[default]
    Pax,
    /// As GNU tar does by itself.
    Gnu,
    /// Not at all, as in POSIX.1-1988: such a member is an error. (A name may have up to 256 bytes if it has a slash in
    /// the right place.)
    Ustar,
}

impl TypeFacts for TarFormat {
    const FORMAT: Format = Format::Choice;
}

impl TarFormat {
    pub(super) fn word(self) -> &'static str {
        match self {
            TarFormat::Pax => "pax",
            TarFormat::Gnu => "gnu",
            TarFormat::Ustar => "ustar",
        }
    }

    /// The blocks that come before the content of a member, or why the format can't hold it.
    ///
    /// Every member belongs to root, and has the same time.
    pub(super) fn head(self, member: &Member) -> Result<Vec<u8>, String> {
        let mut name = Cow::Borrowed(member.path.as_os_str().as_bytes());
        let (kind, mode, size, target) = match &member.what {
            What::Directory { mode } => {
                name.to_mut().push(b'/');
                (EntryType::Directory, *mode, 0, &b""[..])
            }
            What::File { mode, size, .. } | What::SameAs { mode, size, .. } => {
                (EntryType::Regular, *mode, *size, &b""[..])
            }
            What::Symlink { target } => (EntryType::Symlink, 0o777, 0, target.as_os_str().as_bytes()),
        };
        let mut blocks = self.extensions(&name, target, size)?;
        let (prefix, name) = match self {
            TarFormat::Gnu => (&b""[..], &*name),
            TarFormat::Pax | TarFormat::Ustar => split(&name).unwrap_or((b"", &name)),
        };
        let mut header = self.header(kind, mode, name);
        // A size that does not fit is in a record.
        header.set_size(if self == TarFormat::Pax && size > SIZE_MAX { 0 } else { size });
        copy(&mut header.as_old_mut().linkname, target);
        if let Some(ustar) = header.as_ustar_mut() {
            copy(&mut ustar.prefix, prefix);
        }
        header.set_cksum();
        blocks.extend_from_slice(header.as_bytes());
        Ok(blocks)
    }

    fn header(self, kind: EntryType, mode: u32, name: &[u8]) -> Header {
        let mut header = if self == TarFormat::Gnu { Header::new_gnu() } else { Header::new_ustar() };
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(TIME);
        copy(&mut header.as_old_mut().name, name);
        header
    }

    /// What does not fit into the header.
    fn extensions(self, name: &[u8], target: &[u8], size: u64) -> Result<Vec<u8>, String> {
        let mut blocks = Vec::new();
        match self {
            TarFormat::Pax => {
                let mut records = Vec::new();
                if split(name).is_none() {
                    record(&mut records, "path", name);
                }
                if target.len() > NAME_BYTES_MAX {
                    record(&mut records, "linkpath", target);
                }
                if size > SIZE_MAX {
                    record(&mut records, "size", size.to_string().as_bytes());
                }
                if !records.is_empty() {
                    self.extension(&mut blocks, EntryType::XHeader, b"././@PaxHeader", records);
                }
            }
            TarFormat::Gnu => {
                for (kind, text) in [(EntryType::GNULongLink, target), (EntryType::GNULongName, name)] {
                    if text.len() > NAME_BYTES_MAX {
                        self.extension(&mut blocks, kind, b"././@LongLink", [text, b"\0"].concat());
                    }
                }
            }
            TarFormat::Ustar if split(name).is_none() => {
                return Err(format!("its name in the archive has {} bytes", name.len()));
            }
            TarFormat::Ustar if target.len() > NAME_BYTES_MAX => {
                return Err(format!("its target has {} bytes", target.len()));
            }
            TarFormat::Ustar if size > SIZE_MAX => return Err(format!("it has {size} bytes")),
            TarFormat::Ustar => {}
        }
        Ok(blocks)
    }

    fn extension(self, blocks: &mut Vec<u8>, kind: EntryType, name: &[u8], content: Vec<u8>) {
        let mut header = self.header(kind, 0o644, name);
        header.set_size(content.len() as u64);
        header.set_cksum();
        blocks.extend_from_slice(header.as_bytes());
        blocks.extend(content);
        blocks.resize(blocks.len().next_multiple_of(BLOCK_BYTES), 0);
    }
}

/// A name in two parts, which a slash joins, each of which fits into its field.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME_BYTES_MAX {
        return Some((b"", name));
    }
    let first = name.len() - NAME_BYTES_MAX - 1;
    let last = PREFIX_BYTES_MAX.min(name.len() - 2);
    let at = (first.max(1)..=last).find(|at| name[*at] == b'/')?;
    Some((&name[..at], &name[at + 1..]))
}

/// A record, which begins with its own length in bytes.
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut digits = 1;
    while (rest + digits).to_string().len() > digits {
        digits += 1;
    }
    records.extend_from_slice(format!("{} {key}=", rest + digits).as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Fills a field from its beginning; what does not fit is cut off, and is in an extension.
fn copy(field: &mut [u8], text: &[u8]) {
    let n = field.len().min(text.len());
    field[..n].copy_from_slice(&text[..n]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for bytes in [1, 80, 88, 89, 90, 91, 92, 980, 990, 991, 992, 5000] {
            let mut records = Vec::new();
            record(&mut records, "path", &vec![b'a'; bytes]);
            let length = records.split(|b| *b == b' ').next().unwrap();
            assert_eq!(std::str::from_utf8(length).unwrap(), records.len().to_string(), "{bytes}");
        }
    }

    #[test]
    fn a_name_is_split_where_both_parts_fit() {
        let name = |text: String| text.into_bytes();
        let (long, longest) = ("a".repeat(100), "b".repeat(155));
        assert_eq!(split(long.as_bytes()), Some((&b""[..], long.as_bytes())));
        let both = name(format!("{longest}/{long}"));
        assert_eq!(split(&both), Some((longest.as_bytes(), long.as_bytes())));
        // A directory ends in a slash, which does not separate two parts.
        for bad in [name(format!("{longest}a/b{long}")), name(format!("a{long}")), name(format!("{long}/"))] {
            assert_eq!(split(&bad), None, "{}", String::from_utf8_lossy(&bad));
        }
    }
}

//! The log of etcd, as far as it shows whether it ever held anything. An etcd (3.4 for one) that is killed after it has
//! made its log and before it has written the members to it finds a log without members when it starts again, and waits
//! for ever.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::Path;

/// Below the directory of the data.
const LOG: &str = "member/wal";
const SNAPSHOTS: &str = "member/snap";
/// What a record is: the first field of a message, as a tag and a number below 128.
const TYPE_TAG: u8 = 0x08;
/// The number and the cluster of the member; a check sum; the snapshot from which the log continues. Each log begins
/// with them, and all other types hold entries or how far they are agreed on.
const BEGINNINGS: [u8; 3] = [1, 4, 5];
/// A record is preceded by its length in eight bytes: with the highest bit set, the upper byte is that of padding.
const LENGTH_BITS: u64 = (1 << 56) - 1;
/// A longer one is no beginning.
const RECORD_MAX: u64 = 4096;

/// Whether an etcd has begun with this data and has certainly never held anything: no member has ever been agreed on,
/// so that it can't have answered.
pub(super) fn is_without_entries(data: &Path) -> bool {
    // What can't be read may be anything.
    looks_without_entries(data).unwrap_or(false)
}

fn looks_without_entries(data: &Path) -> io::Result<bool> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(data.join(LOG))? {
        let path = entry?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("wal") => logs.push(path),
            // Made in advance, for later.
            Some("tmp") => {}
            _ => return Ok(false),
        }
    }
    let has_snapshot = match fs::read_dir(data.join(SNAPSHOTS)) {
        Ok(mut entries) => entries.try_fold(false, |has, entry| {
            io::Result::Ok(has || entry?.path().extension().is_some_and(|extension| extension == "snap"))
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    match &logs[..] {
        [log] if !has_snapshot => begins_alone(BufReader::new(File::open(log)?)),
        _ => Ok(false),
    }
}

/// Whether a log has nothing but what each one begins with. As for etcd, it ends with the file, or with a length of 0.
fn begins_alone(mut log: impl io::Read) -> io::Result<bool> {
    let mut count = 0;
    loop {
        let mut length = [0; 8];
        match log.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(count > 0),
            read => read?,
        }
        let length = u64::from_le_bytes(length);
        if length == 0 {
            return Ok(count > 0);
        }
        let padding = if length >> 63 == 1 { (length >> 56) & 0x7 } else { 0 };
        let length = length & LENGTH_BITS;
        if length > RECORD_MAX {
            return Ok(false);
        }
        let mut record = Vec::new();
        log.by_ref().take(length + padding).read_to_end(&mut record)?;
        if record.len() as u64 != length + padding
            || !matches!(record[..], [TYPE_TAG, kind, ..] if BEGINNINGS.contains(&kind))
        {
            return Ok(false);
        }
        count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of this type, with a text of this length.
    fn record(kind: u8, bytes: usize) -> Vec<u8> {
        let message = [vec![TYPE_TAG, kind], vec![1; bytes]].concat();
        let padding = message.len().wrapping_neg() % 8;
        let mut length = message.len() as u64;
        if padding > 0 {
            length |= (0x80 | padding as u64) << 56;
        }
        [length.to_le_bytes().to_vec(), message, vec![0; padding]].concat()
    }

    fn beginning() -> Vec<u8> {
        [record(4, 2), record(1, 20), record(5, 9)].concat()
    }

    #[test]
    fn a_log_that_only_begins_has_no_entries_and_any_other_may_have_some() {
        let is = |log: &[u8]| begins_alone(log).unwrap();
        assert!(is(&beginning()) && is(&[beginning(), vec![0; 1000]].concat()));
        // An entry, and how far the log is agreed on.
        for kind in [2, 3, 0, 6, 200] {
            assert!(!is(&[beginning(), record(kind, 30)].concat()), "{kind}");
            assert!(!is(&[beginning(), record(kind, 30), vec![0; 1000]].concat()), "{kind}");
        }
        // Nothing, one that is cut off, and what is no log.
        assert!(!is(&[]) && !is(&[0; 64]) && !is(&[0xff; 64]) && !is(b"this is another file, of text"));
        let whole = beginning();
        assert!(!is(&whole[..whole.len() - 1]));
    }

    #[test]
    fn data_with_a_second_log_or_a_snapshot_may_hold_something() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        assert!(!is_without_entries(data));
        for name in [LOG, SNAPSHOTS] {
            fs::create_dir_all(data.join(name)).unwrap();
        }
        assert!(!is_without_entries(data));
        fs::write(data.join(LOG).join("0.wal"), beginning()).unwrap();
        fs::write(data.join(LOG).join("0.tmp"), [0; 100]).unwrap();
        fs::write(data.join(SNAPSHOTS).join("db"), "x").unwrap();
        assert!(is_without_entries(data));
        for more in [data.join(LOG).join("1.wal"), data.join(LOG).join("0.broken"), data.join(SNAPSHOTS).join("1.snap")]
        {
            fs::write(&more, beginning()).unwrap();
            assert!(!is_without_entries(data), "{more:?}");
            fs::remove_file(more).unwrap();
        }
        assert!(is_without_entries(data));
    }
}

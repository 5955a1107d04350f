//! What an executable needs of a machine: read from its ELF headers.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::sys::facts::version;

const TYPE_INTERPRETER: u32 = 3;
const TYPE_LOAD: u32 = 1;
const TYPE_DYNAMIC: u32 = 2;
const DYNAMIC_STRINGS: u64 = 5;
const DYNAMIC_NEEDED_VERSIONS: u64 = 0x6fff_fffe;
/// A version that is used if it is there, and not needed.
const WEAK: u16 = 2;
/// More headers, entries or characters than any executable has.
const MANY: u64 = 4096;

/// What an executable needs of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// The number of the machine in ELF.
    pub(super) machine: u16,
    pub(super) is_little: bool,
    /// The dynamic linker; `None` for a static executable.
    pub(super) interpreter: Option<String>,
    /// The lowest version of glibc that it runs with.
    pub(super) glibc: Option<(u32, u32)>,
}

/// Number in ELF, little-endian or either, name in targets of rustc, names of `uname -m`.
const MACHINES: &[(u16, Option<bool>, &str, &[&str])] = &[
    (62, None, "x86_64", &["x86_64", "amd64"]),
    (3, None, "i686", &["i386", "i486", "i586", "i686", "x86_64"]),
    (183, None, "aarch64", &["aarch64", "arm64"]),
    (40, None, "arm", &["armv6l", "armv7l", "armv8l", "arm", "aarch64"]),
    (243, None, "riscv64gc", &["riscv64"]),
    (22, None, "s390x", &["s390x"]),
    (21, Some(true), "powerpc64le", &["ppc64le"]),
    (21, Some(false), "powerpc64", &["ppc64"]),
    (258, None, "loongarch64", &["loongarch64"]),
];

impl Needs {
    /// Reads the headers of the file.
    ///
    /// # Errors
    /// It can't be read, or is no executable of Linux.
    pub(super) fn of(file: &File) -> io::Result<Needs> {
        let elf = Elf::open(file)?;
        let headers = elf.headers()?;
        let interpreter = match headers.iter().find(|header| header.kind == TYPE_INTERPRETER) {
            None => None,
            Some(header) => Some(elf.text(header.offset)?),
        };
        let machine = elf.number(18, 2)?;
        let machine = u16::try_from(machine).unwrap_or_default();
        Ok(Needs { machine, is_little: elf.is_little, interpreter, glibc: elf.glibc(&headers)? })
    }

    fn entry(&self) -> Option<&'static (u16, Option<bool>, &'static str, &'static [&'static str])> {
        MACHINES
            .iter()
            .find(|(number, little, ..)| *number == self.machine && little.is_none_or(|l| l == self.is_little))
    }

    /// The name of the machine.
    pub(super) fn machine(&self) -> String {
        self.entry().map_or_else(|| format!("machine {}", self.machine), |(_, _, name, _)| (*name).to_owned())
    }

    /// Whether a machine of this name (`uname -m`) can run it.
    pub(super) fn runs_on(&self, machine: &str) -> bool {
        self.entry().is_none_or(|(.., names)| names.contains(&machine))
    }

    /// The target of rustc for a static executable for a machine of this name (`uname -m`).
    pub(super) fn target_for(&self, machine: &str) -> String {
        let known = MACHINES.iter().find(|(.., names)| names.contains(&machine));
        match known {
            Some((40, ..)) => "armv7-unknown-linux-musleabihf".to_owned(),
            Some((_, _, name, _)) => format!("{name}-unknown-linux-musl"),
            None => format!("{machine}-unknown-linux-musl"),
        }
    }
}

struct Elf<'a> {
    file: &'a File,
    is_little: bool,
    is_wide: bool,
}

struct Header {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it is no executable of Linux: {what}"))
}

impl Elf<'_> {
    fn open(file: &File) -> io::Result<Elf<'_>> {
        let mut start = [0; 6];
        file.read_exact_at(&mut start, 0).map_err(|_| broken("it is too short"))?;
        match start {
            [0x7f, b'E', b'L', b'F', width @ 1..=2, order @ 1..=2] => {
                Ok(Elf { file, is_little: order == 1, is_wide: width == 2 })
            }
            _ => Err(broken("it does not begin with an ELF header")),
        }
    }

    /// The number at this place, which has this size.
    fn number(&self, at: u64, bytes: usize) -> io::Result<u64> {
        let mut buffer = [0; 8];
        self.file.read_exact_at(&mut buffer[..bytes], at).map_err(|_| broken("it ends too early"))?;
        Ok(match self.is_little {
            true => u64::from_le_bytes(buffer),
            false => u64::from_be_bytes(buffer) >> (64 - 8 * bytes),
        })
    }

    /// A number that is wide in a wide file, with its place in each.
    fn sized(&self, base: u64, narrow: u64, wide: u64) -> io::Result<u64> {
        match self.is_wide {
            true => self.number(base.saturating_add(wide), 8),
            false => self.number(base.saturating_add(narrow), 4),
        }
    }

    fn headers(&self) -> io::Result<Vec<Header>> {
        let first = self.sized(0, 28, 32)?;
        let (size, count) = match self.is_wide {
            true => (self.number(54, 2)?, self.number(56, 2)?),
            false => (self.number(42, 2)?, self.number(44, 2)?),
        };
        let header = |n: u64| {
            let at = first.saturating_add(n * size);
            let kind = u32::try_from(self.number(at, 4)?).unwrap_or_default();
            let (offset, address) = (self.sized(at, 4, 8)?, self.sized(at, 8, 16)?);
            Ok(Header { kind, offset, address, size: self.sized(at, 16, 32)? })
        };
        (0..count.min(MANY)).map(header).collect()
    }

    /// The text at this place, up to its NUL byte.
    fn text(&self, at: u64) -> io::Result<String> {
        let mut buffer = [0; 256];
        let count = self.file.read_at(&mut buffer, at)?;
        let end = buffer[..count].iter().position(|byte| *byte == 0).ok_or_else(|| broken("a text has no end"))?;
        Ok(String::from_utf8_lossy(&buffer[..end]).into_owned())
    }

    /// The highest version of glibc among those that it needs.
    fn glibc(&self, headers: &[Header]) -> io::Result<Option<(u32, u32)>> {
        let Some(dynamic) = headers.iter().find(|header| header.kind == TYPE_DYNAMIC) else { return Ok(None) };
        let width: u64 = if self.is_wide { 8 } else { 4 };
        let (mut strings, mut versions) = (None, None);
        for n in 0..(dynamic.size / (2 * width)).min(MANY) {
            let at = dynamic.offset.saturating_add(n * 2 * width);
            let (tag, value) = (self.sized(at, 0, 0)?, self.sized(at, width, width)?);
            match tag {
                0 => break,
                DYNAMIC_STRINGS => strings = place(headers, value),
                DYNAMIC_NEEDED_VERSIONS => versions = place(headers, value),
                _ => {}
            }
        }
        let (Some(strings), Some(mut library)) = (strings, versions) else { return Ok(None) };
        let mut highest = None;
        for _ in 0..MANY {
            let field = |at: u64, bytes| self.number(library.saturating_add(at), bytes);
            let (count, first, next) = (field(2, 2)?, field(8, 4)?, field(12, 4)?);
            let mut at = library.saturating_add(first);
            for _ in 0..count.min(MANY) {
                let field = |n: u64, bytes| self.number(at.saturating_add(n), bytes);
                let flags = u16::try_from(field(4, 2)?).unwrap_or_default();
                let name = self.text(strings.saturating_add(field(8, 4)?))?;
                let next = field(12, 4)?;
                if let Some(found) = name.strip_prefix("GLIBC_").and_then(version)
                    && flags & WEAK == 0
                {
                    highest = highest.max(Some(found));
                }
                at = at.saturating_add(next);
            }
            if next == 0 {
                break;
            }
            library = library.saturating_add(next);
        }
        Ok(highest)
    }
}

/// The place in the file of what is loaded at this address.
fn place(headers: &[Header], address: u64) -> Option<u64> {
    let mut loaded = headers.iter().filter(|header| header.kind == TYPE_LOAD);
    let header = loaded.find(|h| (h.address..h.address.saturating_add(h.size)).contains(&address))?;
    header.offset.checked_add(address - header.address)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn ours() -> File {
        File::open("/proc/self/exe").unwrap()
    }

    #[test]
    fn this_executable_runs_on_this_machine() {
        let needs = Needs::of(&ours()).unwrap();
        let machine = rustix::system::uname();
        assert!(needs.runs_on(machine.machine().to_str().unwrap()), "{needs:?}");
        assert!(!needs.runs_on("sparc64"));
        if cfg!(target_env = "gnu") {
            assert!(needs.glibc.is_some_and(|version| version >= (2, 2)), "{needs:?}");
            assert!(std::path::Path::new(needs.interpreter.as_deref().unwrap()).exists());
        }
    }

    #[test]
    fn what_is_no_executable_is_refused() {
        for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fELF\x02\x01", &[0; 4096]] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            let error = Needs::of(&file).unwrap_err().to_string();
            assert!(error.contains("no executable of Linux"), "{error}");
        }
    }

    #[test]
    fn a_target_is_named_for_each_machine() {
        let needs = Needs::of(&ours()).unwrap();
        for (machine, target) in [
            ("x86_64", "x86_64-unknown-linux-musl"),
            ("armv7l", "armv7-unknown-linux-musleabihf"),
            ("arm64", "aarch64-unknown-linux-musl"),
            ("new", "new-unknown-linux-musl"),
        ] {
            assert_eq!(needs.target_for(machine), target);
        }
    }

    proptest! {
        #[test]
        fn broken_headers_do_no_harm(at in 0u64..8192, bytes in proptest::collection::vec(any::<u8>(), 1..24)) {
            let mut start = vec![0; 64 << 10];
            let count = ours().read_at(&mut start, 0).unwrap();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&start[..count]).unwrap();
            file.write_all_at(&bytes, at % (count as u64)).unwrap();
            let _ = Needs::of(&file);
        }
    }
}

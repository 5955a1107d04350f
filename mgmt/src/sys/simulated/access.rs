//! Access lists (POSIX) of a simulated file system: how a list and the mode of its object follow from each other.

use rustix::io::{Errno, Result};

use super::inode::{Body, Inode};

/// The extended attribute that is the access list.
const ACCESS: &[u8] = b"system.posix_acl_access";
/// The extended attribute that is the list that new objects in a directory get.
const DEFAULT: &[u8] = b"system.posix_acl_default";

/// The version of the form of a list.
const VERSION: u32 = 2;
const OWNER: u16 = 0x01;
const GROUP: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHERS: u16 = 0x20;
/// All tags: the owner, a user, the group, a group, the mask, the others.
const TAGS: [u16; 6] = [OWNER, 0x02, GROUP, 0x08, MASK, OTHERS];

/// A list: tag, permissions and number of each entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct List(Vec<(u16, u16, u32)>);

impl List {
    fn parse(bytes: &[u8]) -> Result<List> {
        let (version, entries) = bytes.split_first_chunk::<4>().ok_or(Errno::INVAL)?;
        let (entries, []) = entries.as_chunks::<8>() else { return Err(Errno::INVAL) };
        if u32::from_le_bytes(*version) != VERSION {
            return Err(Errno::OPNOTSUPP);
        }
        let entry = |[a, b, c, d, id @ ..]: &[u8; 8]| {
            (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]), u32::from_le_bytes(*id))
        };
        let list = List(entries.iter().map(entry).collect());
        let is_valid = list.0.iter().all(|(tag, rights, _)| TAGS.contains(tag) && *rights <= 7);
        let is_whole = [OWNER, GROUP, OTHERS].iter().all(|tag| list.0.iter().filter(|one| one.0 == *tag).count() == 1);
        if is_valid && is_whole && (list.is_minimal() || list.has(MASK)) { Ok(list) } else { Err(Errno::INVAL) }
    }

    fn bytes(&self) -> Vec<u8> {
        let entries = self.0.iter().flat_map(|(tag, rights, id)| {
            let (tag, rights, id) = (tag.to_le_bytes(), rights.to_le_bytes(), id.to_le_bytes());
            [tag.as_slice(), &rights, &id].concat()
        });
        VERSION.to_le_bytes().into_iter().chain(entries).collect()
    }

    fn has(&self, tag: u16) -> bool {
        self.0.iter().any(|one| one.0 == tag)
    }

    /// Whether it grants no more than a mode does.
    fn is_minimal(&self) -> bool {
        self.0.iter().all(|(tag, ..)| [OWNER, GROUP, OTHERS].contains(tag))
    }

    /// The entries that the three digits of a mode stand for, with the place of the digit.
    fn digits(&self) -> [(u16, u32); 3] {
        [(OWNER, 6), (if self.has(MASK) { MASK } else { GROUP }, 3), (OTHERS, 0)]
    }

    fn mode(&self) -> u32 {
        let digit = |(tag, place): (u16, u32)| {
            self.0.iter().filter(|one| one.0 == tag).map(|one| u32::from(one.1) << place).sum::<u32>()
        };
        self.digits().map(digit).iter().sum()
    }

    /// Changes the entries that the digits of the mode stand for.
    fn change(&mut self, mode: u32, change: impl Fn(&mut u16, u16)) {
        for (tag, place) in self.digits() {
            let digit = u16::try_from(mode >> place & 7).unwrap_or_default();
            self.0.iter_mut().filter(|one| one.0 == tag).for_each(|one| change(&mut one.1, digit));
        }
    }
}

impl Inode {
    fn list(&self, name: &[u8]) -> Option<List> {
        self.xattrs.get(name).and_then(|bytes| List::parse(bytes).ok())
    }

    fn keep(&mut self, list: &List) {
        self.mode = self.mode & 0o7000 | list.mode();
        match list.is_minimal() {
            true => drop(self.xattrs.remove(ACCESS)),
            false => drop(self.xattrs.insert(ACCESS.to_vec(), list.bytes())),
        }
    }

    /// Sets the mode: its second digit is the mask of an access list.
    pub(super) fn set_mode(&mut self, mode: u32) {
        self.mode = mode & 0o7777;
        if let Some(mut list) = self.list(ACCESS) {
            list.change(mode, |rights, digit| *rights = digit);
            self.keep(&list);
        }
    }

    /// Sets an extended attribute; an access list changes the mode.
    pub(super) fn set_xattr(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        if name == ACCESS {
            self.keep(&List::parse(value)?);
            return Ok(());
        }
        if name == DEFAULT {
            List::parse(value)?;
            if !matches!(self.body, Body::Directory(_)) {
                return Err(Errno::ACCESS);
            }
        }
        self.xattrs.insert(name.to_vec(), value.to_vec());
        Ok(())
    }

    /// A new object gets the list that its directory has for it, as far as the mode that it was made with allows.
    pub(super) fn inherit(&mut self, dir: &Inode) {
        if matches!(self.body, Body::Symlink(_)) {
            return;
        }
        let Some(mut list) = dir.list(DEFAULT) else { return };
        if matches!(self.body, Body::Directory(_)) {
            self.xattrs.insert(DEFAULT.to_vec(), list.bytes());
        }
        list.change(self.mode, |rights, digit| *rights &= digit);
        self.keep(&list);
    }
}

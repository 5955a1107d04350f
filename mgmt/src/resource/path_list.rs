//! Sorted paths in two blocks of memory: for graphs that own very many.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Paths, sorted by their components.
#[derive(Default)]
pub struct PathList {
    bytes: Vec<u8>,
    /// Where each path ends.
    ends: Vec<usize>,
}

impl PathList {
    /// How many paths there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no path.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The path at an index; `None` beyond the last.
    pub fn get(&self, at: usize) -> Option<&Path> {
        let end = *self.ends.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(Path::new(OsStr::from_bytes(&self.bytes[start..end])))
    }

    /// All paths, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        self.from(0)
    }

    /// The paths from an index on, in their order.
    pub fn from(&self, at: usize) -> impl Iterator<Item = &Path> {
        (at..self.len()).filter_map(|at| self.get(at))
    }

    /// The index of a path.
    pub fn find(&self, path: &Path) -> Option<usize> {
        let at = self.partition_point(|known| known < path);
        (self.get(at)? == path).then_some(at)
    }

    /// The index of the first path for which `is_before` is false. It must be true for all paths before that, and for
    /// none after.
    pub fn partition_point(&self, is_before: impl Fn(&Path) -> bool) -> usize {
        let (mut first, mut end) = (0, self.len());
        while first < end {
            let middle = first + (end - first) / 2;
            match self.get(middle).is_some_and(&is_before) {
                true => first = middle + 1,
                false => end = middle,
            }
        }
        first
    }

    /// The memory that the list holds, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}

impl FromIterator<PathBuf> for PathList {
    /// The paths must be sorted.
    fn from_iter<I: IntoIterator<Item = PathBuf>>(paths: I) -> PathList {
        let mut list = PathList::default();
        for path in paths {
            debug_assert!(list.get(list.len().wrapping_sub(1)).is_none_or(|last| last <= path.as_path()));
            list.bytes.extend_from_slice(path.as_os_str().as_bytes());
            list.ends.push(list.bytes.len());
        }
        list.bytes.shrink_to_fit();
        list.ends.shrink_to_fit();
        list
    }
}

impl fmt::Debug for PathList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_finds_its_paths_in_the_order_of_their_components() {
        let paths = ["/a", "/a/b", "/a.b", "/c"];
        let list: PathList = paths.iter().map(PathBuf::from).collect();
        assert_eq!(list.iter().collect::<Vec<_>>(), paths.map(Path::new));
        for (at, path) in paths.iter().enumerate() {
            assert_eq!((list.find(Path::new(path)), list.get(at)), (Some(at), Some(Path::new(path))));
            assert_eq!(list.partition_point(|known| known <= Path::new(path)), at + 1);
        }
        for path in ["/", "/a/c", "/b", "/d"] {
            assert_eq!(list.find(Path::new(path)), None, "{path}");
        }
        let empty = PathList::default();
        assert!(empty.is_empty() && empty.get(0).is_none() && empty.find(Path::new("/")).is_none());
    }
}

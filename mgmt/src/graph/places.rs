//! The paths that the resources of a graph own or provide, each with the nearest of them above it.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::graph::index::Index;

const NONE: u32 = u32::MAX;

/// Paths with their owners and providers, sorted by their components.
pub(super) struct Places<'a> {
    index: &'a Index,
    /// Paths besides those of the index: provided ones, and other spellings of owned ones; sorted, each once.
    others: Vec<(PathBuf, Claims)>,
    places: Vec<Place>,
    /// The last components of all places, made when they are first needed.
    names: OnceCell<HashSet<Box<OsStr>>>,
}

/// The resources that claim a path.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Claims {
    /// Those that own it by another spelling of it.
    pub(super) owners: Vec<u32>,
    /// Those that provide it.
    pub(super) providers: Vec<u32>,
}

/// A path, in the index, among the others, or both.
#[derive(Clone, Copy)]
struct Place {
    owned: u32,
    other: u32,
    /// The nearest place above.
    above: u32,
}

impl<'a> Places<'a> {
    /// The paths of the index, and these.
    pub(super) fn new(index: &'a Index, mut others: Vec<(PathBuf, Claims)>) -> Places<'a> {
        others.sort_by(|one, other| one.0.cmp(&other.0));
        others.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                kept.1.owners.append(&mut next.1.owners);
                kept.1.providers.append(&mut next.1.providers);
            }
            is_same
        });
        let mut places = Places { index, others, places: Vec::new(), names: OnceCell::new() };
        places.merge();
        places
    }

    /// Merges the two sorted lists. What is below a path follows it at once, so the places above the next one are those
    /// of a stack.
    fn merge(&mut self) {
        let owned = self.index.owned();
        let count = owned.len() as u32;
        self.places.reserve_exact(owned.len() + self.others.len());
        let mut way: Vec<u32> = Vec::new();
        let (mut at, mut other) = (0u32, 0u32);
        loop {
            let next_owned = owned.get(at as usize);
            let next_other = self.others.get(other as usize).map(|(path, _)| path.as_path());
            let (path, is_owned, is_other) = match (next_owned, next_other) {
                (None, None) => break,
                (Some(path), None) => (path, true, false),
                (None, Some(path)) => (path, false, true),
                (Some(one), Some(two)) => match one.cmp(two) {
                    std::cmp::Ordering::Less => (one, true, false),
                    std::cmp::Ordering::Equal => (one, true, true),
                    std::cmp::Ordering::Greater => (two, false, true),
                },
            };
            while way.last().is_some_and(|top| !is_within(path, self.path(*top))) {
                way.pop();
            }
            let above = way.last().copied().unwrap_or(NONE);
            way.push(self.places.len() as u32);
            let place =
                Place { owned: if is_owned { at } else { NONE }, other: if is_other { other } else { NONE }, above };
            self.places.push(place);
            at += u32::from(is_owned);
            other += u32::from(is_other);
        }
        debug_assert_eq!(at, count);
    }

    /// How many places there are.
    pub(super) fn len(&self) -> u32 {
        self.places.len() as u32
    }

    /// The path of a place.
    pub(super) fn path(&self, place: u32) -> &Path {
        let Place { owned, other, .. } = self.places[place as usize];
        let owned = if owned == NONE { None } else { self.index.owned().get(owned as usize) };
        owned.unwrap_or_else(|| &self.others[other as usize].0)
    }

    /// The nearest place above a place.
    pub(super) fn above(&self, place: u32) -> Option<u32> {
        Some(self.places[place as usize].above).filter(|above| *above != NONE)
    }

    /// The owners of a place.
    pub(super) fn owners(&self, place: u32) -> impl Iterator<Item = u32> {
        let owned = self.places[place as usize].owned;
        let owner = (owned != NONE).then(|| self.index.path_owner(owned as usize));
        owner.into_iter().chain(self.claims(place).into_iter().flat_map(|claims| claims.owners.iter().copied()))
    }

    /// The resources that provide a place.
    pub(super) fn providers(&self, place: u32) -> impl Iterator<Item = u32> {
        self.claims(place).into_iter().flat_map(|claims| claims.providers.iter().copied())
    }

    fn claims(&self, place: u32) -> Option<&Claims> {
        let other = self.places[place as usize].other;
        (other != NONE).then(|| &self.others[other as usize].1)
    }

    /// The index of the first place that is not before the path.
    fn start(&self, path: &Path) -> u32 {
        let (mut first, mut end) = (0, self.len());
        while first < end {
            let middle = first + (end - first) / 2;
            if self.path(middle) < path { first = middle + 1 } else { end = middle }
        }
        first
    }

    /// The place of a path.
    pub(super) fn find(&self, path: &Path) -> Option<u32> {
        let at = self.start(path);
        (at < self.len() && self.path(at) == path).then_some(at)
    }

    /// Whether a place has the last component of this path.
    pub(super) fn has_name(&self, path: &Path) -> bool {
        let names = self.names.get_or_init(|| {
            let names = (0..self.len()).filter_map(|place| self.path(place).file_name());
            names.map(Box::from).collect()
        });
        path.file_name().is_some_and(|name| names.contains(name))
    }

    /// The place of a path, or the nearest one above it.
    pub(super) fn nearest(&self, path: &Path) -> Option<u32> {
        let at = self.start(path);
        if at < self.len() && self.path(at) == path {
            return Some(at);
        }
        // What is above the path is at or above the last place before it.
        let mut place = at.checked_sub(1)?;
        while !is_within(path, self.path(place)) {
            place = self.above(place)?;
        }
        Some(place)
    }

    /// The places at and below a path.
    pub(super) fn inside(&self, path: &Path) -> impl Iterator<Item = u32> {
        (self.start(path)..self.len()).take_while(move |place| is_within(self.path(*place), path))
    }
}

/// Whether a path is at or below another one; both in normal form.
fn is_within(path: &Path, dir: &Path) -> bool {
    let (path, dir) = (path.as_os_str().as_encoded_bytes(), dir.as_os_str().as_encoded_bytes());
    dir == b"/" || path.starts_with(dir) && path.get(dir.len()).is_none_or(|next| *next == b'/')
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::resource::Uid;

    fn index(paths: &[PathBuf]) -> Index {
        let mut index = Index::default();
        let owners: HashMap<Uid, u32> = (0u32..).zip(paths).map(|(at, path)| (Uid::path(path), at)).collect();
        index.set_owners(owners);
        index
    }

    proptest! {
        #[test]
        fn places_are_found_as_a_search_of_all_would_find_them(
            owned in prop::collection::btree_set("/|(/(a|b|a[.]b)){1,4}", 0..12),
            provided in prop::collection::vec("/|(/(a|b|a[.]b)){1,4}", 0..8),
            asked in prop::collection::vec("(/(a|b|a[.]b)){1,5}", 1..10),
        ) {
            let owned: Vec<PathBuf> = owned.iter().map(PathBuf::from).collect();
            let index = index(&owned);
            let others = provided.iter().enumerate().map(|(at, path)| {
                (PathBuf::from(path), Claims { owners: vec![], providers: vec![100 + at as u32] })
            });
            let places = Places::new(&index, others.collect());
            let all: Vec<PathBuf> = (0..places.len()).map(|place| places.path(place).to_owned()).collect();
            let mut expected: Vec<PathBuf> = owned.iter().cloned().chain(provided.iter().map(PathBuf::from)).collect();
            expected.sort();
            expected.dedup();
            prop_assert_eq!(&all, &expected);
            for place in 0..places.len() {
                let path = places.path(place);
                let above = path.ancestors().skip(1).find_map(|above| all.iter().position(|other| other == above));
                prop_assert_eq!(places.above(place), above.map(|above| above as u32));
                let owner = owned.iter().position(|other| other == path).map(|at| at as u32);
                prop_assert_eq!(places.owners(place).collect::<Vec<_>>(), owner.into_iter().collect::<Vec<_>>());
                let provide = (0u32..).zip(&provided).filter(|(_, other)| Path::new(other) == path);
                prop_assert_eq!(places.providers(place).collect::<Vec<_>>(), provide.map(|(at, _)| 100 + at).collect::<Vec<_>>());
            }
            for path in asked.iter().map(Path::new) {
                let position = |path: &Path| all.iter().position(|other| other == path).map(|at| at as u32);
                prop_assert_eq!(places.find(path), position(path));
                prop_assert_eq!(places.nearest(path), path.ancestors().find_map(position));
                let inside = (0u32..).zip(&all).filter(|(_, other)| other.starts_with(path)).map(|(at, _)| at);
                prop_assert_eq!(places.inside(path).collect::<Vec<_>>(), inside.collect::<Vec<_>>());
            }
        }
    }
}

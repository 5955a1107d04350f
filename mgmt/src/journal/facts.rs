//! All facts about one resource. Most resources have one or two facts, and a journal may have very many resources, so a
//! few facts are kept in one small list.

use std::collections::BTreeMap;

use super::mirror::{SECTIONS, Section};

/// The most facts in a list; more are kept in maps.
const FEW: usize = 8;

type Maps = [BTreeMap<Box<str>, Box<[u8]>>; SECTIONS.len()];

/// One fact.
type Fact = (Section, Box<str>, Box<[u8]>);

/// All facts about one resource.
#[derive(Clone, Debug)]
pub(super) enum Facts {
    Few(Vec<Fact>),
    Many(Box<Maps>),
}

impl Default for Facts {
    fn default() -> Facts {
        Facts::Few(Vec::new())
    }
}

impl Facts {
    pub(super) fn get(&self, section: Section, key: &str) -> Option<&[u8]> {
        match self {
            Facts::Few(few) => {
                few.iter().find(|(of, name, _)| (*of, &**name) == (section, key)).map(|(_, _, value)| &**value)
            }
            Facts::Many(maps) => maps[section as usize].get(key).map(|value| &**value),
        }
    }

    pub(super) fn insert(&mut self, section: Section, key: &str, value: Vec<u8>) {
        if let Facts::Few(few) = self {
            if let Some(known) = few.iter_mut().find(|(of, name, _)| (*of, &**name) == (section, key)) {
                known.2 = value.into();
                return;
            }
            if few.len() < FEW {
                // Most lists keep one fact, so no room is reserved for more.
                few.reserve_exact(1);
                return few.push((section, key.into(), value.into()));
            }
            let mut maps = Maps::default();
            for (section, key, value) in few.drain(..) {
                maps[section as usize].insert(key, value);
            }
            *self = Facts::Many(Box::new(maps));
        }
        if let Facts::Many(maps) = self {
            maps[section as usize].insert(key.into(), value.into());
        }
    }

    pub(super) fn remove(&mut self, section: Section, key: &str) {
        match self {
            Facts::Few(few) => few.retain(|(of, name, _)| (*of, &**name) != (section, key)),
            Facts::Many(maps) => drop(maps[section as usize].remove(key)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Facts::Few(few) => few.is_empty(),
            Facts::Many(maps) => maps.iter().all(BTreeMap::is_empty),
        }
    }

    /// The keys of the facts in a section.
    pub(super) fn keys(&self, section: Section) -> Vec<String> {
        match self {
            Facts::Few(few) => {
                few.iter().filter(|(of, _, _)| *of == section).map(|(_, key, _)| String::from(&**key)).collect()
            }
            Facts::Many(maps) => maps[section as usize].keys().map(|key| String::from(&**key)).collect(),
        }
    }

    /// Removes and returns all facts.
    pub(super) fn take(&mut self) -> Vec<Fact> {
        match std::mem::take(self) {
            Facts::Few(few) => few,
            Facts::Many(maps) => {
                let all = SECTIONS.into_iter().zip(*maps);
                all.flat_map(|(section, map)| map.into_iter().map(move |(key, value)| (section, key, value))).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_facts_are_known_alike() {
        for count in [1, FEW, FEW + 1, 100] {
            let mut facts = Facts::default();
            let name = |n: usize| format!("key{n}");
            for n in 0..count {
                facts.insert(Section::Value, &name(n), vec![n as u8]);
                facts.insert(Section::Sent, &name(n), vec![1]);
                facts.insert(Section::Sent, &name(n), vec![2]);
            }
            for n in 0..count {
                assert_eq!(facts.get(Section::Value, &name(n)), Some(&[n as u8][..]), "{count}");
                assert_eq!(facts.get(Section::Sent, &name(n)), Some(&[2][..]), "{count}");
                assert_eq!(facts.get(Section::Mark, &name(n)), None, "{count}");
            }
            assert_eq!(facts.keys(Section::Sent).len(), count);
            for n in 0..count {
                facts.remove(Section::Sent, &name(n));
            }
            assert!(facts.keys(Section::Sent).is_empty() && !facts.is_empty());
            assert_eq!(facts.take().len(), count);
            assert!(facts.is_empty() && facts.take().is_empty());
        }
    }
}

//! The data that the servers of an engine share: which servers there are, and what is served where.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is served at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A file, or a directory and all below it.
    Path(PathBuf),
    /// A text.
    Data(Arc<str>),
}

/// A place: the server (`None`: the only one), and the path, in normal form.
pub(super) type Place = (Option<String>, PathBuf);

/// Servers and routes.
#[derive(Debug, Default)]
pub(super) struct Table(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Distinguishes an entry from later ones of the same place, so that each removes only itself.
    number: u64,
    servers: BTreeMap<String, u64>,
    routes: BTreeMap<Place, (u64, Source)>,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a server of this name, for the lifetime of the returned entry.
    pub(super) fn add_server(self: &Arc<Self>, name: &str) -> Entry {
        let mut inner = self.lock();
        inner.number += 1;
        let number = inner.number;
        inner.servers.insert(name.to_owned(), number);
        Entry { table: Arc::clone(self), number, what: What::Server(name.to_owned()) }
    }

    /// Adds a route, for the lifetime of the returned entry.
    pub(super) fn add_route(self: &Arc<Self>, place: Place, source: Source) -> Entry {
        let mut inner = self.lock();
        inner.number += 1;
        let number = inner.number;
        inner.routes.insert(place.clone(), (number, source));
        Entry { table: Arc::clone(self), number, what: What::Route(place) }
    }

    /// What is served at exactly this place.
    pub(super) fn route(&self, place: &Place) -> Option<Source> {
        self.lock().routes.get(place).map(|(_, source)| source.clone())
    }

    /// The names of all servers.
    pub(super) fn servers(&self) -> Vec<String> {
        self.lock().servers.keys().cloned().collect()
    }

    /// The longest route of the server that leads to the path, and the part of the path behind it.
    pub(super) fn find(&self, server: &str, path: &Path) -> Option<(Source, PathBuf)> {
        let inner = self.lock();
        // A route that names no server belongs to the only one: with several servers it could be exposed where it was
        // not meant to be.
        let owners = [Some(server.to_owned()), None];
        let owners = &owners[..if inner.servers.len() > 1 { 1 } else { 2 }];
        for at in path.ancestors() {
            for owner in owners {
                let Some((_, source)) = inner.routes.get(&(owner.clone(), at.to_owned())) else { continue };
                let rest = path.strip_prefix(at).unwrap_or(Path::new(""));
                // There is nothing behind a text.
                if matches!(source, Source::Path(_)) || rest.as_os_str().is_empty() {
                    return Some((source.clone(), rest.to_owned()));
                }
            }
        }
        None
    }
}

#[derive(Debug)]
enum What {
    Server(String),
    Route(Place),
}

/// A server or a route in the table. Its drop removes it.
#[derive(Debug)]
pub(super) struct Entry {
    table: Arc<Table>,
    number: u64,
    what: What,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut inner = self.table.lock();
        match &self.what {
            What::Server(name) if inner.servers.get(name) == Some(&self.number) => drop(inner.servers.remove(name)),
            What::Route(place) if inner.routes.get(place).is_some_and(|(number, _)| *number == self.number) => {
                drop(inner.routes.remove(place));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Source {
        Source::Data(text.into())
    }

    #[test]
    fn the_longest_route_wins_and_a_text_has_nothing_behind_it() {
        let table = Arc::<Table>::default();
        let place = |path: &str| (Some("s".to_owned()), PathBuf::from(path));
        let _all = table.add_route(place("/"), Source::Path("/srv".into()));
        let _text = table.add_route(place("/a/b"), text("b"));
        assert_eq!(table.find("s", Path::new("/a/b")), Some((text("b"), "".into())));
        assert_eq!(table.find("s", Path::new("/a/b/c")), Some((Source::Path("/srv".into()), "a/b/c".into())));
        assert_eq!(table.find("other", Path::new("/a/b")), None);
    }

    #[test]
    fn what_names_no_server_is_for_the_only_one() {
        let table = Arc::<Table>::default();
        let _route = table.add_route((None, "/x".into()), text("x"));
        let _one = table.add_server("one");
        assert!(table.find("one", Path::new("/x")).is_some());
        let two = table.add_server("two");
        assert!(table.find("one", Path::new("/x")).is_none() && table.find("two", Path::new("/x")).is_none());
        drop(two);
        assert!(table.find("one", Path::new("/x")).is_some());
    }

    #[test]
    fn who_leaves_takes_only_its_own() {
        let table = Arc::<Table>::default();
        let place = (None, PathBuf::from("/x"));
        let first = table.add_route(place.clone(), text("1"));
        let second = table.add_route(place.clone(), text("2"));
        drop(first);
        assert_eq!(table.route(&place), Some(text("2")));
        drop(second);
        assert_eq!(table.route(&place), None);
    }
}

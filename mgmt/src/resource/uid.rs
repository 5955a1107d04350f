//! UIDs: things on the system that resources own, provide and need. Passes match on them.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::resource::inquiry::Asking;

/// A type of keys that identify one sort of thing. Keys of different types are never equal.
///
/// ```
/// use std::fmt;
/// use mgmt::resource::{Uid, UidKey};
///
/// /// A table of a database.
/// #[derive(Debug, PartialEq, Eq, Hash)]
/// struct Table { database: String, name: String }
///
/// impl fmt::Display for Table {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         write!(f, "{}.{}", self.database, self.name)
///     }
/// }
///
/// impl UidKey for Table {
///     const WORD: &'static str = "table";
/// }
///
/// let users = || Table { database: "shop".into(), name: "users".into() };
/// assert_eq!(Uid::of(users()), Uid::of(users()));
/// assert_eq!(Uid::of(users()).to_string(), "the table `shop.users`");
/// assert_eq!(Uid::of(users()).key::<Table>().unwrap().name, "users");
/// ```
pub trait UidKey: Eq + Hash + fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// The word for the thing in messages, such as `user`; the key follows it.
    const WORD: &'static str;
}

/// A [`UidKey`] with its type erased.
trait AnyKey: fmt::Debug + Send + Sync {
    fn word(&self) -> &'static str;
    fn text(&self) -> String;
    fn same(&self, other: &dyn Any) -> bool;
    fn hash(&self, state: &mut dyn Hasher);
    fn as_any(&self) -> &dyn Any;
}

impl<K: UidKey> AnyKey for K {
    fn word(&self) -> &'static str {
        K::WORD
    }

    fn text(&self) -> String {
        self.to_string()
    }

    fn same(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<K>().is_some_and(|other| self == other)
    }

    fn hash(&self, mut state: &mut dyn Hasher) {
        TypeId::of::<K>().hash(&mut state);
        Hash::hash(self, &mut state);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A key of any type except a path.
#[derive(Clone)]
pub struct Key(Arc<dyn AnyKey>);

impl Key {
    /// The type of the key.
    pub(crate) fn sort(&self) -> TypeId {
        self.0.as_any().type_id()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.0.same(other.0.as_any())
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of a thing on the system. A graph in which two resources own the same thing is refused; passes match on
/// UIDs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Uid {
    /// A path of the file system, in normal form.
    Path(PathBuf),
    /// A thing of any other sort: see [`UidKey`].
    Key(Key),
}

impl Uid {
    /// A path of the file system, in normal form.
    pub fn path(path: impl Into<PathBuf>) -> Uid {
        Uid::Path(path.into())
    }

    /// A key.
    pub fn of<K: UidKey>(key: K) -> Uid {
        Uid::Key(Key(Arc::new(key)))
    }

    /// The path, if the UID is a path.
    pub fn as_path(&self) -> Option<&Path> {
        match self {
            Uid::Path(path) => Some(path),
            Uid::Key(_) => None,
        }
    }

    /// The key, if the UID is a key of this type.
    pub fn key<K: UidKey>(&self) -> Option<&K> {
        match self {
            Uid::Path(_) => None,
            Uid::Key(key) => key.0.as_any().downcast_ref(),
        }
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Uid::Path(path) => write!(f, "the path {}", path.display()),
            Uid::Key(key) => write!(f, "the {} `{}`", key.0.word(), key.0.text()),
        }
    }
}

/// A user of this host, by name, or by number in digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct User(pub String);

/// A group of this host, by name, or by number in digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group(pub String);

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl UidKey for User {
    const WORD: &'static str = "user";
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl UidKey for Group {
    const WORD: &'static str = "group";
}

/// How far a [`Need`] of a path reaches. For a key, only the owner and the providers of that key are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reach {
    /// The owner and the providers of that very path.
    Exact,
    /// The owner and the providers of the path, or else of the nearest directory above it that has any.
    #[default]
    Above,
    /// As `Above`, and the owners and providers of everything below the path, because all of that is read. A resource
    /// that removes something there is meant too: its work must be done before.
    Below,
    /// The owners and providers of that very path and of everything below it, those that remove something included.
    Inside,
}

/// A thing to which a resource is related: the resources of the graph that own or provide it come first, or, with
/// [`before`](Need::before), later. The pass [`AutoEdges`](crate::graph::AutoEdges) makes edges of needs; they order,
/// and never refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Need {
    /// The thing.
    pub uid: Uid,
    /// Which resources are meant if the thing is a path.
    pub reach: Reach,
    /// Whether the resource that has the need comes before the resources that are meant. Default: after them.
    pub before: bool,
    /// The reason that the edge states, such as `its owner`. Empty: `it needs …`.
    pub why: Cow<'static, str>,
}

impl Need {
    /// A need that makes the resource wait for those that own or provide the thing; for a path, see [`Reach::Above`]. A
    /// resource that owns the thing in order to [remove](crate::resource::Converge::is_absent) it is not meant.
    pub fn after(uid: Uid) -> Need {
        Need { uid, reach: Reach::Above, before: false, why: Cow::Borrowed("") }
    }

    /// A relation that makes the resources that own or provide the thing wait for this one; for a path, only those of
    /// that very path.
    pub fn before(uid: Uid) -> Need {
        Need { reach: Reach::Exact, before: true, ..Need::after(uid) }
    }

    /// Sets how far the need of a path reaches.
    #[must_use]
    pub fn reach(mut self, reach: Reach) -> Need {
        self.reach = reach;
        self
    }

    /// Sets the reason that the edge states: a few words, such as `its owner`.
    #[must_use]
    pub fn because(mut self, why: impl Into<Cow<'static, str>>) -> Need {
        self.why = why.into();
        self
    }
}

/// What a resource provides and needs as far as only the system can show it: see [`Prepare`](crate::resource::Prepare).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// The things that the resource provides, besides [`Converge::provides`](crate::resource::Converge::provides).
    pub provides: Vec<Uid>,
    /// The things that the resource needs, besides [`Converge::needs`](crate::resource::Converge::needs).
    pub needs: Vec<Need>,
    /// Questions that are asked step by step, besides [`Converge::inquiry`](crate::resource::Converge::inquiry).
    pub inquiries: Vec<Asking>,
}

impl Findings {
    /// Adds a thing that the resource provides.
    #[must_use]
    pub fn provides(mut self, uid: Uid) -> Findings {
        self.provides.push(uid);
        self
    }

    /// Adds a need of the resource.
    #[must_use]
    pub fn needs(mut self, need: Need) -> Findings {
        self.needs.push(need);
        self
    }

    /// Adds questions that are asked step by step. They are begun each time that the passes run.
    #[must_use]
    pub fn asks(mut self, asking: Asking) -> Findings {
        self.inquiries.push(asking);
        self
    }
}

//! The subject of the laws: a resource of the kind, and functions that change its surroundings.

use std::fmt;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::graph::{Graph, GraphConfig};
use crate::resource::{AnyResource, Declare, Provisions, Resource, World};

/// The name of the host on which laws are tried.
pub(super) const HOST: &str = "host";

type OnDir<T> = Arc<dyn Fn(&Path) -> T + Send + Sync>;

/// A change from outside.
#[derive(Clone)]
pub(crate) struct Break {
    pub(crate) make: OnDir<()>,
    pub(crate) at: &'static Location<'static>,
}

/// A resource and its surroundings. Each law is tried in new directories, with a new resource.
#[derive(Clone)]
#[must_use = "nothing is tried until `laws::check` has it"]
pub struct Subject {
    pub(crate) kind: &'static str,
    pub(crate) resource: OnDir<Arc<dyn AnyResource>>,
    pub(crate) noop_graph: OnDir<GraphConfig>,
    pub(crate) prepare: Option<OnDir<()>>,
    pub(crate) provisions: Provisions,
    pub(crate) world: Option<Arc<dyn World>>,
    pub(crate) breaks: Vec<Break>,
    pub(crate) observe: Option<OnDir<String>>,
    pub(crate) is_watched: bool,
    pub(crate) is_new_each_time: bool,
    pub(crate) patience: Duration,
    pub(crate) cancels: usize,
}

impl Subject {
    /// The resource that `make` declares. `make` gets an empty directory; everything that the resource keeps should be
    /// in it. What is elsewhere must be [observed](Subject::observe).
    pub fn new<D>(make: impl Fn(&Path) -> D + Send + Sync + 'static) -> Subject
    where
        D: Declare<Resource: Resource>,
    {
        let make = Arc::new(make);
        let again = Arc::clone(&make);
        Subject {
            kind: <D::Resource as Resource>::spec().kind,
            resource: Arc::new(move |dir| Arc::new(make(dir).finish().0)),
            noop_graph: Arc::new(move |dir| {
                let mut g = Graph::new("noop");
                g.add(again(dir).noop(true));
                g.finish().unwrap_or_else(|problems| panic!("the subject makes no graph: {problems}"))
            }),
            prepare: None,
            provisions: Provisions::default(),
            world: None,
            breaks: Vec::new(),
            observe: None,
            is_watched: true,
            is_new_each_time: false,
            patience: Duration::from_secs(20),
            cancels: 64,
        }
    }

    /// Creates what must exist before the resource. If it panics, the test ends.
    pub fn prepare(mut self, prepare: impl Fn(&Path) + Send + Sync + 'static) -> Self {
        self.prepare = Some(Arc::new(prepare));
        self
    }

    /// A value that the program provides to its kinds, see [`Builder::provide`](crate::runtime::Builder::provide). All
    /// laws are tried with the same value.
    pub fn provide<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.provisions.insert(value);
        self
    }

    /// The world of the host, which is `host` in it. All laws are tried with the same one.
    pub fn world(mut self, world: impl World) -> Self {
        self.world = Some(Arc::new(world));
        self
    }

    /// Undoes from outside what the resource keeps, and changes nothing else. May be called several times; without any
    /// such function, only some laws can be tried. If it panics, the test ends.
    #[track_caller]
    pub fn break_it(mut self, make: impl Fn(&Path) + Send + Sync + 'static) -> Self {
        self.breaks.push(Break { make: Arc::new(make), at: Location::caller() });
        self
    }

    /// The state of what is kept outside the directory, as a text for comparison.
    pub fn observe(mut self, observe: impl Fn(&Path) -> String + Send + Sync + 'static) -> Self {
        self.observe = Some(Arc::new(observe));
        self
    }

    /// The watch does not see the changes of `break_it`, which are found at the next check: for kinds whose
    /// documentation recommends `poll`.
    pub fn unwatched(mut self) -> Self {
        self.is_watched = false;
        self
    }

    /// Each repair makes a new value (a password, for example), so states after repairs are not compared.
    pub fn new_each_time(mut self) -> Self {
        self.is_new_each_time = true;
        self
    }

    /// How long to wait for a single operation or event of the watch. Default: 20 s.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// At how many of its awaits an apply, or an undo, is cancelled, if it has more: for a kind whose operations take
    /// long. They are spread evenly over all of them. Default: 64.
    pub fn cancels(mut self, most: usize) -> Self {
        self.cancels = most;
        self
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let breaks: Vec<_> = self.breaks.iter().map(|way| way.at).collect();
        f.debug_struct("Subject").field("kind", &self.kind).field("breaks", &breaks).finish_non_exhaustive()
    }
}

//! What stands in a graph for a resource that it collects and receives values from.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::graph::config::{GraphConfig, Vertex};
use crate::id::ResourceId;
use crate::resource::{
    AnyDrift, AnyResource, ApplyCx, BoxFuture, CheckCx, DataError, Error, FieldValue, Identify, KindSpec, Obstacle,
    ObstacleKind, Origin, Result,
};

/// Stands for a resource until that is collected, and takes its place then. What receives from it waits.
#[derive(Clone)]
pub(crate) struct Awaited {
    spec: &'static KindSpec,
    /// The identity of what is collected, and that as a name.
    id: ResourceId,
    name: String,
    /// The graph has the resource at another place.
    is_there: bool,
}

impl Awaited {
    /// Stands for the resource of that name of a kind.
    pub(crate) fn vertex(of: &'static KindSpec, name: &str, origin: Origin) -> Vertex {
        let id = ResourceId::new(of.kind, name);
        let spec = of.stand_in("awaited", "A resource that is collected once a host exports it.");
        let awaited = Awaited { spec, name: id.to_string(), id, is_there: false };
        Vertex::new(Arc::new(awaited), None, origin)
    }

    /// What the resource stands for, if it is such a one.
    pub(crate) fn of(vertex: &Vertex) -> Option<&ResourceId> {
        Some(&vertex.resource.as_any().downcast_ref::<Awaited>()?.id)
    }

    /// The same, when the graph has the resource at another place.
    pub(super) fn is_there(vertex: &Vertex) -> Option<Vertex> {
        let awaited = vertex.resource.as_any().downcast_ref::<Awaited>()?.clone();
        Some(Vertex { resource: Arc::new(Awaited { is_there: true, ..awaited }), ..vertex.clone() })
    }
}

impl GraphConfig {
    /// The index of what stands for the resource of that name of a kind; it is added if there is none.
    pub(crate) fn awaited_at(&mut self, of: &'static KindSpec, name: &str, origin: &Origin) -> u32 {
        let id = ResourceId::new(of.kind, name);
        let known = self.vertices.iter().position(|vertex| Awaited::of(vertex) == Some(&id));
        let at = known.unwrap_or_else(|| {
            self.vertices.push(Awaited::vertex(of, name, origin.clone()));
            self.vertices.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }
}

impl Identify for Awaited {
    fn kind(&self) -> &'static KindSpec {
        self.spec
    }

    fn id(&self) -> ResourceId {
        ResourceId::new(self.spec.kind, &self.name)
    }
}

impl AnyResource for Awaited {
    fn spec(&self) -> &'static KindSpec {
        self.spec
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn same(&self, other: &dyn AnyResource) -> bool {
        let other = other.as_any().downcast_ref::<Awaited>();
        other.is_some_and(|other| (&self.id, self.is_there) == (&other.id, other.is_there))
    }

    fn check(self: Arc<Self>, _: CheckCx) -> BoxFuture<Result<Option<AnyDrift>>> {
        let missing = || {
            let error = Error::new(format!("no host exports {} yet, from which a value is received", self.id));
            error.waiting_for(Obstacle::new(ObstacleKind::Missing))
        };
        Box::pin(std::future::ready(if self.is_there { Ok(None) } else { Err(missing()) }))
    }

    fn apply(self: Arc<Self>, _: ApplyCx, _: AnyDrift) -> BoxFuture<Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn with_received(&self, _: Vec<(u8, FieldValue)>) -> Option<Arc<dyn AnyResource>> {
        None
    }

    fn to_data(&self, _: &[u8]) -> Result<Map<String, Json>, DataError> {
        Ok(Map::new())
    }

    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

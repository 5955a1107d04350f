//! Patterns of names: `file[/etc/*]`, `*.conf`.

use crate::graph::GraphConfig;
use crate::id::{KindName, ResourceId, is_like};
use crate::resource::nearest;

/// At most this many resources are compared with a name that is not known, to find the one that was meant.
const COMPARED_MAX: usize = 100_000;

/// Which resources a client asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pattern {
    names: Vec<Name>,
    kind: Option<KindName>,
}

#[derive(Clone, Debug)]
struct Name {
    /// As the client has given it.
    text: String,
    /// `None`: any kind.
    kind: Option<String>,
    name: String,
}

impl Name {
    fn new(text: &str) -> Name {
        let parts = text.strip_suffix(']').and_then(|rest| rest.split_once('['));
        let (kind, name) = match parts {
            Some((kind, name)) => (Some(kind.to_ascii_lowercase()), name.to_owned()),
            None => (None, text.to_owned()),
        };
        Name { text: text.to_owned(), kind, name }
    }

    fn is(&self, kind: &str, name: &str) -> bool {
        self.name == name && self.kind.as_deref().is_none_or(|own| own == kind)
    }

    fn fits(&self, kind: &str, name: &str) -> bool {
        is_like(&self.name, name) && self.kind.as_deref().is_none_or(|own| is_like(own, kind))
    }
}

impl Pattern {
    pub(crate) fn new(names: &[String], kind: Option<&str>) -> Pattern {
        Pattern { names: names.iter().map(|name| Name::new(name)).collect(), kind: kind.map(KindName::new) }
    }

    /// All resources are selected.
    pub(crate) fn is_all(&self) -> bool {
        self.names.is_empty() && self.kind.is_none()
    }

    /// Whether a resource is selected.
    pub(crate) fn fits(&self, id: &ResourceId) -> bool {
        self.fits_parts(id.kind.as_str(), &id.name)
    }

    fn fits_parts(&self, kind: &str, name: &str) -> bool {
        self.kind.as_ref().is_none_or(|own| own.as_str() == kind)
            && (self.names.is_empty() || self.names.iter().any(|one| one.fits(kind, name)))
    }

    /// The places of the selected resources in a graph, in its order.
    ///
    /// # Errors
    /// A name selects none, or the graph has none of the kind.
    pub(crate) fn places(&self, config: &GraphConfig) -> Result<Vec<u32>, String> {
        let parts = |at: u32| {
            let resource = &config.vertices[at as usize].resource;
            (resource.spec().kind, resource.name())
        };
        let count = u32::try_from(config.vertices.len()).unwrap_or(u32::MAX);
        let of_kind = |at: &u32| self.kind.as_ref().is_none_or(|kind| kind.as_str() == parts(*at).0);
        let all: Vec<u32> = (0..count).filter(of_kind).collect();
        if let (Some(kind), true) = (&self.kind, all.is_empty() && count > 0) {
            let kinds = config.vertices.iter().take(COMPARED_MAX).map(|vertex| vertex.resource.spec().kind);
            let hint = meant(nearest(kind.as_str(), kinds));
            return Err(format!("the graph has no resource of the kind `{kind}`{hint}"));
        }
        if self.names.is_empty() {
            return Ok(all);
        }
        let mut selected = Vec::new();
        for name in &self.names {
            let exact: Vec<u32> = all.iter().copied().filter(|at| name.is(parts(*at).0, parts(*at).1)).collect();
            let fits = |at: &u32| name.fits(parts(*at).0, parts(*at).1);
            let found = if exact.is_empty() { all.iter().copied().filter(fits).collect() } else { exact };
            if found.is_empty() {
                return Err(name.unknown(config));
            }
            selected.extend(found);
        }
        selected.sort_unstable();
        selected.dedup();
        Ok(selected)
    }
}

impl Name {
    fn unknown(&self, config: &GraphConfig) -> String {
        let ids: Vec<ResourceId> = config.vertices.iter().take(COMPARED_MAX).map(|vertex| vertex.id()).collect();
        let hint = if self.kind.is_some() {
            let texts: Vec<String> = ids.iter().map(|id| String::from(id.clone())).collect();
            meant(nearest(&self.text, texts.iter().map(String::as_str)))
        } else {
            meant(nearest(&self.text, ids.iter().map(|id| id.name.as_str())))
        };
        let text = crate::id::shortened(&self.text, 200);
        format!("the graph has no resource `{text}`{hint}")
    }
}

fn meant(found: Option<&str>) -> String {
    found.map_or_else(String::new, |found| format!("; did you mean `{}`?", crate::id::in_one_line(found)))
}

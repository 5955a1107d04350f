//! A graph as the value of a field: what runs on the other host.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;

use crate::gapi::builtin_kinds;
use crate::graph::{ContentRef, Graph, GraphConfig, GraphData, Kinds, Problems, kinds_of_reading, validate};
use crate::resource::{Accepts, in_clear};

/// The name of a graph that has none, and of the text of one in messages.
const NAME: &str = "remote";

/// A graph that runs on another host. Equal if all that the graphs declare is equal, wherever it was declared.
///
/// As data it is a graph ([`GraphData`]), or a text: the content of a graph file in YAML.
#[derive(Clone)]
pub struct RemoteGraph(Arc<Inner>);

struct Inner {
    config: Result<GraphConfig, Problems>,
    /// Its SHA-256 as data without the places of declarations. `None`: it has no form as data.
    digest: OnceLock<Option<ContentRef>>,
}

impl RemoteGraph {
    /// The graph that a function declares. What is wrong with it is found when the graph around it is checked.
    ///
    /// ```
    /// use mgmt::prelude::*;
    /// use mgmt::remote::RemoteGraph;
    ///
    /// let motd = RemoteGraph::declare(|g| _ = g.add(File::new("/etc/motd").content("kept\n")));
    /// let mut g = Graph::new("site");
    /// g.add(Remote::new("web1").graph(motd.clone()));
    /// g.add(Remote::new("web2").graph(motd));
    /// ```
    pub fn declare(declare: impl FnOnce(&mut Graph)) -> RemoteGraph {
        let mut graph = Graph::new(NAME);
        declare(&mut graph);
        RemoteGraph::of(graph.finish())
    }

    fn of(config: Result<GraphConfig, Problems>) -> RemoteGraph {
        RemoteGraph(Arc::new(Inner { config, digest: OnceLock::new() }))
    }

    /// The graph, or what is wrong with it.
    pub(super) fn config(&self) -> Result<&GraphConfig, &Problems> {
        self.0.config.as_ref()
    }

    /// What distinguishes it from others.
    pub(super) fn digest(&self) -> Option<ContentRef> {
        *self.0.digest.get_or_init(|| digest(self.0.config.as_ref().ok()?))
    }
}

/// The SHA-256 of a graph as data, without the places where it was declared.
fn digest(config: &GraphConfig) -> Option<ContentRef> {
    // The secrets are hashed, and go nowhere.
    let (data, _) = in_clear(|| config.to_data());
    let mut data = data.ok()?;
    data.resources.iter_mut().for_each(|resource| resource.origin = None);
    data.edges.iter_mut().for_each(|edge| edge.origin = None);
    data.sends.iter_mut().for_each(|send| send.origin = None);
    data.edges.retain(|edge| !edge.automatic);
    Some(ContentRef::of(&serde_json::to_vec(&data).ok()?))
}

impl From<GraphConfig> for RemoteGraph {
    fn from(config: GraphConfig) -> RemoteGraph {
        RemoteGraph::of(Ok(config))
    }
}

impl Accepts<GraphConfig> for RemoteGraph {
    fn accept(config: GraphConfig) -> RemoteGraph {
        config.into()
    }
}

impl PartialEq for RemoteGraph {
    fn eq(&self, other: &RemoteGraph) -> bool {
        let digests = || self.digest().zip(other.digest());
        Arc::ptr_eq(&self.0, &other.0) || digests().is_some_and(|(one, other)| one == other)
    }
}

/// Without the resources, whose fields may be secret.
impl fmt::Debug for RemoteGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.config() {
            Ok(config) => write!(f, "RemoteGraph({}, {} resources)", config.name, config.vertices.len()),
            Err(_) => f.write_str("RemoteGraph(wrong)"),
        }
    }
}

/// As data; secrets are left out where they are left out of every graph.
impl Serialize for RemoteGraph {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.config() {
            Ok(config) => config.serialize(serializer),
            Err(problems) => Err(S::Error::custom(problems)),
        }
    }
}

impl<'de> Deserialize<'de> for RemoteGraph {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RemoteGraph, D::Error> {
        // Those of the program, in the graph around this one.
        let kinds = kinds_of_reading().unwrap_or_else(builtin_kinds);
        let config = match Json::deserialize(deserializer)? {
            Json::String(text) => read_text(NAME, text.as_bytes(), &kinds).map_err(D::Error::custom)?,
            json => {
                let data: GraphData = serde_json::from_value(json).map_err(D::Error::custom)?;
                data.bind(&kinds).map_err(D::Error::custom)?
            }
        };
        validate(&config).map_err(D::Error::custom)?;
        Ok(config.into())
    }
}

/// Reads a graph from the text of a graph file. `name`: what messages call it.
#[cfg(feature = "yaml")]
pub(super) fn read_text(name: &str, bytes: &[u8], kinds: &Kinds) -> Result<GraphConfig, String> {
    let options = crate::gapi::YamlOptions { kinds: kinds.clone(), ..Default::default() };
    // Problems have excerpts of several lines, which messages of a field have no room for.
    let shown = |problems: Problems| {
        let all: Vec<_> =
            problems.0.iter().map(|problem| format!("{} ({})", problem.message, problem.origin)).collect();
        all.join("; ")
    };
    Ok(crate::gapi::read_yaml(name, bytes, &options).map_err(shown)?.config)
}

/// The same in a build that reads no YAML.
#[cfg(not(feature = "yaml"))]
pub(super) fn read_text(name: &str, _: &[u8], _: &Kinds) -> Result<GraphConfig, String> {
    Err(format!("{name} is a text in YAML, which this build can't read: build it with the feature `yaml`"))
}

/// From a graph as data, in JSON.
impl FromStr for RemoteGraph {
    type Err = serde_json::Error;

    fn from_str(json: &str) -> Result<RemoteGraph, serde_json::Error> {
        serde_json::from_str(json)
    }
}

impl JsonSchema for RemoteGraph {
    fn schema_name() -> Cow<'static, str> {
        "RemoteGraph".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "object"],
            "description": "A graph: the text of a graph file in YAML, or the graph as data."
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn graph(resource: &Json, origin: &str) -> RemoteGraph {
        let mut resource = resource.clone();
        resource["origin"] = origin.into();
        serde_json::from_value(json!({ "graph": "remote", "resources": [resource] })).unwrap()
    }

    fn motd(content: &str) -> RemoteGraph {
        graph(&json!({ "kind": "file", "name": "/etc/motd", "fields": { "content": content } }), "one.rs:1")
    }

    #[test]
    fn graphs_that_declare_the_same_are_equal_wherever_they_were_declared() {
        let other = graph(&json!({ "kind": "file", "name": "/etc/motd", "fields": { "content": "one" } }), "two.rs:7");
        assert_eq!(motd("one"), other);
        assert_ne!(motd("one"), motd("two"));
    }

    #[cfg(feature = "http")]
    #[test]
    fn a_secret_in_it_is_neither_shown_nor_written_as_data() {
        let server = |secret: &str| {
            let fields = json!({ "auth_path": "/", "auth_user": "ann", "auth_hash": secret });
            graph(&json!({ "kind": "http:server", "name": "127.0.0.1:1", "fields": fields }), "one.rs:1")
        };
        assert_eq!(server("canary"), server("canary"));
        assert_ne!(server("canary"), server("another"));
        let graph = server("canary");
        assert!(!format!("{graph:?}").contains("canary"));
        assert!(!serde_json::to_string(&graph).unwrap().contains("canary"));
        let (clear, has_secret) = in_clear(|| serde_json::to_value(&graph).unwrap());
        assert!(has_secret && clear.to_string().contains("canary"));
        assert_eq!(clear.to_string().parse::<RemoteGraph>().unwrap(), graph);
    }

    #[test]
    fn a_graph_as_data_is_examined_when_it_is_read() {
        let wrong = json!({ "graph": "g", "resources": [{ "kind": "file", "name": "relative" }] });
        let error = serde_json::from_value::<RemoteGraph>(wrong).unwrap_err().to_string();
        assert!(error.contains("relative"), "{error}");
        let unknown = json!({ "graph": "g", "resources": [{ "kind": "fil", "name": "/x" }] });
        let error = serde_json::from_value::<RemoteGraph>(unknown).unwrap_err().to_string();
        assert!(error.contains("did you mean `file`?"), "{error}");
    }

    #[cfg(feature = "yaml")]
    #[test]
    fn a_text_is_a_graph_file_and_its_mistakes_have_their_lines() {
        let text = "graph: remote\nresources:\n  file:\n  - name: /etc/motd\n    content: one\n";
        let graph: RemoteGraph = serde_json::from_value(text.into()).unwrap();
        assert_eq!(graph, motd("one"));
        let wrong = serde_json::from_value::<RemoteGraph>("graph: web\nresources:\n  fil: []\n".into());
        let wrong = wrong.unwrap_err().to_string();
        assert!(wrong.contains("there is no kind `fil`") && wrong.contains("remote:3:3"), "{wrong}");
    }
}

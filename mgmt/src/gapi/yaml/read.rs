//! Turns a YAML text into a graph, or into a list of all its mistakes.

use crate::gapi::yaml::document::{Built, Document};
use crate::gapi::yaml::excerpt::Quotes;
use crate::gapi::yaml::options::YamlOptions;
use crate::gapi::yaml::tree::{self, BYTES_MAX, Complaint, Place};
use crate::graph::{GraphConfig, Problem, Problems, validate_but};
use crate::resource::{Origin, Secret};

/// The graph that a YAML text contains.
#[derive(Clone, Debug)]
pub struct YamlGraph {
    /// The graph.
    pub config: GraphConfig,
    /// The host that the text names; `None` if it names none.
    pub hostname: Option<String>,
    /// The address that the key `remote` contains; `None` if there is no such key.
    pub remote: Option<RemoteAddress>,
    /// The parts of the text that have no effect or should be written in another way.
    pub warnings: Vec<Problem>,
}

/// The host for which a graph is meant, as the key `remote` names it: `ssh://USER:PASSWORD@HOST:PORT`, of which only
/// the host is required. It is a secret, since it may contain a password.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RemoteAddress {
    /// The address.
    pub url: Secret<String>,
    /// Where it stands.
    pub origin: Origin,
}

/// Reads a graph from YAML; problems name the text `file`.
///
/// ```
/// let text = b"graph: demo\nresources:\n  noop:\n  - name: anchor\n";
/// let read = mgmt::gapi::read_yaml("demo.yaml", text, &mgmt::gapi::YamlOptions::default()).unwrap();
/// assert_eq!(read.config.vertices.len(), 1);
/// ```
///
/// # Errors
/// All mistakes in the text, each with its line.
pub fn read_yaml(file: &str, bytes: &[u8], options: &YamlOptions) -> Result<YamlGraph, Problems> {
    #[cfg(feature = "ssh")]
    return crate::graph::reading_with(&options.kinds, || read_text(file, bytes, options));
    #[cfg(not(feature = "ssh"))]
    read_text(file, bytes, options)
}

fn read_text(file: &str, bytes: &[u8], options: &YamlOptions) -> Result<YamlGraph, Problems> {
    let text = match decode(bytes) {
        Ok(text) => text,
        Err(complaint) => {
            let valid = String::from_utf8_lossy(&bytes[..bytes.len().min(BYTES_MAX)]);
            return Err(Quotes::new(file, &valid).problems(vec![complaint]));
        }
    };
    let quotes = Quotes::new(file, text);
    let mut complaints = Vec::new();
    let root = tree::read(text, &mut complaints);
    let mut document = Document::new(options, &quotes, complaints);
    match root {
        Some(root) => document.read(&root),
        None if document.complaints.is_empty() => {
            document.complain(START, "the file is empty: a graph begins with `graph: NAME`");
        }
        None => {}
    }
    let mut problems = quotes.problems(document.complaints);
    problems.0.extend(options.kinds.clashes().into_iter().map(|clash| Problem::new(clash, Origin::Unknown)));
    // Mistakes of the graph as a whole are reported too, as far as they don't depend on what is wrong already.
    if let Err(more) = validate_but(&document.graph.config, &document.graph.doubts) {
        problems.0.extend(quotes.quote(more, &document.graph.widths).0);
        problems.0.sort_by_key(|problem| match &problem.origin {
            Origin::File(span) => (span.line, span.column),
            _ => (0, 0),
        });
    }
    problems.into_result()?;
    let warnings = quotes.problems(document.warnings).0;
    let Built { config, hostname, remote, .. } = document.graph;
    Ok(YamlGraph { config, hostname, remote, warnings })
}

const START: Place = Place { line: 1, column: 1, width: 1 };

fn decode(bytes: &[u8]) -> Result<&str, Complaint> {
    if bytes.len() > BYTES_MAX {
        let message = format!(
            "the file has {} bytes: more than {} MiB is too much for one graph; a large `content` belongs in a file of \
             its own, which `source` names",
            bytes.len(),
            BYTES_MAX >> 20
        );
        return Err(Complaint::new(START, message));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let line = valid.matches('\n').count() + 1;
        let column = valid.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let byte = bytes[error.valid_up_to()];
        Complaint::new(
            Place { line, column, width: 1 },
            format!("the file is not UTF-8: the byte 0x{byte:02x} stands here"),
        )
    })
}

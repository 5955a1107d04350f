//! A YAML file as a source of graphs. The file is read again whenever it changes.

use std::fs::File;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};

use crate::gapi::contract::{Gapi, GapiData, GapiError};
use crate::gapi::failure::Failure;
use crate::gapi::warn::Warnings;
use crate::gapi::watcher::Watcher;
use crate::gapi::yaml::options::YamlOptions;
use crate::gapi::yaml::read::read_yaml;
use crate::gapi::yaml::tree::BYTES_MAX;
use crate::graph::{GraphConfig, Problems};
use crate::sys;
use crate::sys::threads::on_thread;

/// A YAML file, or standard input, as a source of graphs. Made by [`yaml()`] and [`yaml_of_stdin()`].
#[derive(Debug)]
pub struct Yaml {
    /// `None`: standard input.
    path: Option<PathBuf>,
    options: YamlOptions,
    data: Option<GapiData>,
    watcher: Option<Watcher>,
    /// The content of the file when it was last read.
    last: Option<Vec<u8>>,
}

/// A source of the graph in this file. Saving the file puts the new graph in force; if that is wrong, the graph before
/// it stays in force.
pub fn yaml(path: impl Into<PathBuf>) -> Yaml {
    Yaml::from(Some(path.into()))
}

/// A source of the graph on the standard input of this process, which is read once, to its end.
pub fn yaml_of_stdin() -> Yaml {
    Yaml::from(None)
}

impl Yaml {
    fn from(path: Option<PathBuf>) -> Yaml {
        Yaml { path, options: YamlOptions::default(), data: None, watcher: None, last: None }
    }

    /// Sets how the YAML is read: with your own kinds, for example.
    #[must_use]
    pub fn options(mut self, options: YamlOptions) -> Yaml {
        self.options = options;
        self
    }
}

/// The name of standard input in errors.
pub(crate) const STDIN: &str = "standard input";

/// Reads standard input to its end, or until it is longer than [`BYTES_MAX`], which is enough to refuse it.
async fn stdin() -> Result<Vec<u8>, GapiError> {
    Ok(sys::stdin::read(BYTES_MAX).await.map_err(|error| Failure::of(format_args!("{STDIN} can't be read"), error))?)
}

/// Reads a file to its end, or until it is longer than [`BYTES_MAX`], which is enough to refuse it.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, GapiError> {
    let failed = |error| Failure::of(format_args!("{} can't be read", path.display()), error);
    let file = File::open(path).map_err(&failed)?;
    let mut bytes = Vec::new();
    let most = BYTES_MAX as u64 + 1;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, most), &mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Files up to this size are read at once; the handing over of the others to a thread takes no time beside the reading.
const INLINE_MAX: usize = 16 << 10;

/// Reads a graph from YAML, and reports the warnings. Returns the text too. The engine is served meanwhile.
pub(crate) async fn accept(
    file: &str,
    bytes: Vec<u8>,
    options: &YamlOptions,
    warnings: &Warnings,
) -> (Vec<u8>, Result<GraphConfig, Problems>) {
    let (bytes, read) = if bytes.len() <= INLINE_MAX {
        let read = read_yaml(file, &bytes, options);
        (bytes, read)
    } else {
        let (file, options) = (file.to_owned(), options.clone());
        let outcome = on_thread(move || {
            let read = read_yaml(&file, &bytes, &options);
            (bytes, read)
        });
        match outcome.await {
            Some(outcome) => outcome.unwrap_or_else(|panic| resume_unwind(panic)),
            // The runtime is shutting down: nothing is polled any more.
            None => std::future::pending().await,
        }
    };
    let graph = read.map(|read| {
        warnings.add(file, &read.warnings);
        read.config
    });
    (bytes, graph)
}

impl Gapi for Yaml {
    fn travels(&self) -> bool {
        true
    }

    async fn init(&mut self, data: GapiData) -> Result<(), GapiError> {
        if self.data.is_some() {
            return Err(GapiError::Failed(
                "a source of graphs is good for one engine: it was initialised before".into(),
            ));
        }
        if let (Some(path), false) = (&self.path, data.no_watch) {
            // Begin to watch before the file is first read, so that no change is missed.
            self.watcher = Watcher::new([path.as_path()]).map(Some)?;
        }
        self.data = Some(data);
        Ok(())
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        let Some(warnings) = self.data.as_ref().map(|data| data.warnings.clone()) else {
            return Err(GapiError::Failed("asked for a graph before it was initialised".into()));
        };
        let (name, bytes) = match (&self.path, self.last.take()) {
            (Some(path), _) => (path.display().to_string(), bytes(path)?),
            (None, Some(read)) => (STDIN.to_owned(), read),
            (None, None) => (STDIN.to_owned(), stdin().await?),
        };
        let (bytes, graph) = accept(&name, bytes, &self.options, &warnings).await;
        self.last = Some(bytes);
        Ok(graph?)
    }

    fn files(&self) -> Vec<PathBuf> {
        self.path.clone().into_iter().collect()
    }

    /// True for a file. Standard input can be read only once.
    async fn reload(&mut self) -> bool {
        self.path.is_some()
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        let watcher = self.watcher.as_mut()?;
        loop {
            watcher.changed().await;
            // A missing file is reported when the graph is read. A file with the same content as before is no news.
            let now = self.path.as_deref().and_then(|path| bytes(path).ok());
            if now != self.last {
                self.last = now;
                return Some(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn others_are_served_while_a_large_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("graph.yaml");
        let names: String = (0..5000).map(|n| format!("  - name: n{n}\n")).collect();
        std::fs::write(&path, format!("graph: g\nresources:\n  noop:\n{names}")).unwrap();
        let mut yaml = yaml(path);
        yaml.init(GapiData { no_watch: true, ..GapiData::default() }).await.unwrap();
        let mut turns = 0;
        let others = async {
            loop {
                tokio::task::yield_now().await;
                turns += 1;
            }
        };
        tokio::select! {
            biased;
            graph = yaml.graph() => assert_eq!(graph.unwrap().vertices.len(), 5000),
            () = others => unreachable!("it has no end"),
        }
        assert!(turns > 0, "the reading kept all others waiting");
    }
}

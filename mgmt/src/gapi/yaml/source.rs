//! A YAML file as a source of graphs: read again whenever it changes.

use std::path::{Path, PathBuf};

use crate::gapi::contract::{Gapi, GapiData, GapiError};
use crate::gapi::failure::Failure;
use crate::gapi::warn::warn_of;
use crate::gapi::watcher::Watcher;
use crate::gapi::yaml::options::YamlOptions;
use crate::gapi::yaml::read::read_yaml;
use crate::graph::{GraphConfig, Problems};

/// A YAML file as a source of graphs.
#[derive(Debug)]
pub struct Yaml {
    path: PathBuf,
    options: YamlOptions,
    data: Option<GapiData>,
    watcher: Option<Watcher>,
    /// What the file held when it was last read.
    last: Option<Vec<u8>>,
}

/// The graph in this file. Saving the file changes the graph that runs; while what is saved is wrong, the graph before it goes on.
pub fn yaml(path: impl Into<PathBuf>) -> Yaml {
    Yaml { path: path.into(), options: YamlOptions::default(), data: None, watcher: None, last: None }
}

impl Yaml {
    /// How it is read: kinds of one's own, for example.
    #[must_use]
    pub fn options(mut self, options: YamlOptions) -> Yaml {
        self.options = options;
        self
    }
}

/// Reads a file, of one that is too long for a graph only so much that this is clear.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, GapiError> {
    let failed = |error| Failure::of(format_args!("{} can't be read", path.display()), error);
    let file = std::fs::File::open(path).map_err(&failed)?;
    let mut bytes = Vec::new();
    let most = crate::gapi::yaml::tree::BYTES_MAX as u64 + 1;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, most), &mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Tells the warnings and gives the graph.
pub(crate) fn accept(file: &str, bytes: &[u8], options: &YamlOptions) -> Result<GraphConfig, Problems> {
    let read = read_yaml(file, bytes, options)?;
    warn_of(file, &read.warnings);
    Ok(read.config)
}

impl Gapi for Yaml {
    async fn init(&mut self, data: GapiData) -> Result<(), GapiError> {
        if self.data.is_some() {
            return Err(GapiError::Failed(
                "a source of graphs is good for one engine: it was initialised before".into(),
            ));
        }
        self.options.noop |= data.noop;
        if !data.no_watch {
            // Before the first look, so that nothing is missed.
            self.watcher = Watcher::new([self.path.as_path()]).map(Some)?;
        }
        self.data = Some(data);
        Ok(())
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        if self.data.is_none() {
            return Err(GapiError::Failed("asked for a graph before it was initialised".into()));
        }
        let bytes = bytes(&self.path)?;
        let read = accept(&self.path.display().to_string(), &bytes, &self.options);
        self.last = Some(bytes);
        Ok(read?)
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        let watcher = self.watcher.as_mut()?;
        loop {
            watcher.changed().await;
            // A file that is gone is told about; one that holds what it held before is none of anybody's business.
            let now = bytes(&self.path).ok();
            if now != self.last {
                self.last = now;
                return Some(Ok(()));
            }
        }
    }
}

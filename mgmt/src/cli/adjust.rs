//! What the command line changes in graphs from whatever source, and the picture of them that it asks for.

use std::sync::Arc;

use crate::cli::graphviz::Picture;
use crate::cli::options::RunOptions;
use crate::gapi::{Gapi, GapiData, GapiError};
use crate::graph::GraphConfig;
use crate::resource::Meta;

/// A source of graphs, as the command line wants them.
#[derive(Debug)]
pub(crate) struct Adjusted<G> {
    gapi: G,
    picture: Option<Picture>,
    no_autoedges: bool,
    no_autogroup: bool,
}

impl<G> Adjusted<G> {
    pub(crate) fn new(gapi: G, options: &RunOptions) -> Adjusted<G> {
        Adjusted {
            gapi,
            picture: Picture::new(options),
            no_autoedges: options.no_autoedges,
            no_autogroup: options.no_autogroup,
        }
    }

    fn adjust(&self, mut config: GraphConfig) -> GraphConfig {
        if self.no_autoedges || self.no_autogroup {
            for vertex in &mut config.vertices {
                let meta = vertex.meta();
                let autoedge = meta.autoedge && !self.no_autoedges;
                let autogroup = meta.autogroup && !self.no_autogroup;
                vertex.meta = Some(Arc::new(Meta { autoedge, autogroup, ..meta }));
            }
        }
        config
    }
}

impl<G: Gapi> Gapi for Adjusted<G> {
    async fn init(&mut self, data: GapiData) -> Result<(), GapiError> {
        self.gapi.init(data).await
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        let config = self.gapi.graph().await?;
        let config = self.adjust(config);
        if let Some(picture) = &self.picture {
            picture.draw(&config).await;
        }
        Ok(config)
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        self.gapi.switched().await
    }

    async fn close(&mut self) {
        self.gapi.close().await;
    }
}

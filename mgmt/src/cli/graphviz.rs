//! `--graphviz`: writes the graph in force to a file, and draws it with Graphviz.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum as _;

use crate::cli::options::{GraphvizFilter, RunOptions};
use crate::cli::user_file::replace;
use crate::graph::Prepared;
use crate::sys::process::{Command, run};

/// The most time that drawing may take: a graph that takes longer is too large to be looked at.
const DRAW_MAX: Duration = Duration::from_secs(10);
/// The largest size of a picture, in bytes.
const PNG_BYTES_MAX: usize = 64 << 20;

/// The file of the picture, and the program that draws it.
#[derive(Debug)]
pub(crate) struct Picture {
    path: PathBuf,
    filter: Option<GraphvizFilter>,
}

impl Picture {
    pub(crate) fn new(options: &RunOptions) -> Option<Picture> {
        options.graphviz.clone().map(|path| Picture { path, filter: options.graphviz_filter })
    }

    /// Writes and draws this graph. A failure is only logged: it must not keep the graph from running.
    pub(crate) async fn draw(&self, prepared: &Prepared) {
        if let Err(error) = replace(self.path.clone(), prepared.dot().into_bytes()).await {
            return tracing::warn!(target: "mgmt", "the picture {} can't be written: {error}", self.path.display());
        }
        if let Err(error) = self.png().await {
            match self.filter {
                Some(_) => tracing::warn!(target: "mgmt", "the picture is not drawn: {error}"),
                // Without `--graphviz-filter` the user has not asked for a drawn picture.
                None => tracing::debug!(target: "mgmt", "the picture is not drawn: {error}"),
            }
        }
    }

    async fn png(&self) -> Result<(), String> {
        let path = std::path::absolute(&self.path).map_err(|error| error.to_string())?;
        let value = self.filter.unwrap_or(GraphvizFilter::Dot).to_possible_value();
        let program = value.as_ref().map_or("dot", |value| value.get_name());
        let command =
            Command::new(program).arg("-Tpng").arg(&path).timeout(DRAW_MAX).output_max(PNG_BYTES_MAX).whole_output();
        let ended = run(&command).await.and_then(|output| output.require_success(&command));
        let output = ended.map_err(|error| error.to_string())?;
        let png = output.stdout.whole().ok_or_else(|| format!("it has more than {} MiB", PNG_BYTES_MAX >> 20))?;
        let mut path = path.into_os_string();
        path.push(".png");
        replace(path.into(), png.to_vec()).await.map_err(|error| error.to_string())
    }
}

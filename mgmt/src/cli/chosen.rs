//! The source of graphs of a program: its own, or with `--deploy` what was deployed to the world.

use std::path::PathBuf;

use crate::gapi::{DeploySource, Gapi, GapiData, GapiError, deployed};
use crate::graph::{GraphConfig, Kinds};

/// The source of graphs of a program.
#[derive(Debug)]
pub(super) enum Chosen<G> {
    Own(G),
    Deployed(Box<DeploySource>),
}

impl<G> Chosen<G> {
    pub(super) fn of(own: G, deploy: bool, kinds: &Kinds) -> Chosen<G> {
        if deploy { Chosen::Deployed(Box::new(deployed(kinds.clone()))) } else { Chosen::Own(own) }
    }
}

impl<G: Gapi> Gapi for Chosen<G> {
    async fn init(&mut self, data: GapiData) -> Result<(), GapiError> {
        match self {
            Chosen::Own(own) => own.init(data).await,
            Chosen::Deployed(deployed) => deployed.init(data).await,
        }
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        match self {
            Chosen::Own(own) => own.graph().await,
            Chosen::Deployed(deployed) => deployed.graph().await,
        }
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        match self {
            Chosen::Own(own) => own.switched().await,
            Chosen::Deployed(deployed) => deployed.switched().await,
        }
    }

    async fn accepted(&mut self, is_accepted: bool) {
        match self {
            Chosen::Own(own) => own.accepted(is_accepted).await,
            Chosen::Deployed(deployed) => deployed.accepted(is_accepted).await,
        }
    }

    async fn reload(&mut self) -> bool {
        match self {
            Chosen::Own(own) => own.reload().await,
            Chosen::Deployed(deployed) => deployed.reload().await,
        }
    }

    fn travels(&self) -> bool {
        match self {
            Chosen::Own(own) => own.travels(),
            Chosen::Deployed(deployed) => deployed.travels(),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        match self {
            Chosen::Own(own) => own.files(),
            Chosen::Deployed(deployed) => deployed.files(),
        }
    }

    async fn close(&mut self) {
        match self {
            Chosen::Own(own) => own.close().await,
            Chosen::Deployed(deployed) => deployed.close().await,
        }
    }
}

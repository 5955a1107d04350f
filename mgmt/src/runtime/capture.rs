//! Looks at this host, and declares what it has.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::gapi::Gapi;
use crate::resource::{AnyCaptured, AnyResource, CheckCx, Error, Known, Operation, PrivateDirs, Result};
use crate::runtime::builder::Builder;
use crate::runtime::core::Core;
use crate::runtime::engine::{assemble, has_runtime};
use crate::runtime::error::EngineError;
use crate::runtime::store::glance;
use crate::sys::task::caught_async;

/// At most this many resources are looked at at once.
const RUNNING_MAX: usize = 16;

impl<G: Gapi> Builder<G> {
    /// These resources as this host has them now. Of each, only the name counts. The answers are in the order of the
    /// questions; one can be several resources, such as a directory and what is in it. The source of graphs is not
    /// asked. Changes nothing.
    ///
    /// # Errors
    /// There is no runtime, or no working directory can be used. What is wrong with single resources is in their
    /// answers: their kinds can't be [captured](crate::resource::Capture), or the host can't be looked at.
    pub async fn capture(
        mut self,
        wanted: Vec<Arc<dyn AnyResource>>,
    ) -> Result<Vec<Result<Vec<AnyCaptured>>>, EngineError> {
        has_runtime()?;
        let prefix = self.options.prefix()?;
        let (dirs, _) = PrivateDirs::open(prefix.path(), false);
        let (core, ..) = assemble(&self.options, prefix.path().to_owned(), dirs, glance(prefix.path())?);
        let mut tasks = JoinSet::new();
        let mut answers: Vec<_> = wanted.iter().map(|_| Ok(Vec::new())).collect();
        let mut left = wanted.into_iter().enumerate();
        loop {
            while tasks.len() < RUNNING_MAX
                && let Some((place, resource)) = left.next()
            {
                let look = capture(&core, place, resource);
                tasks.spawn(async move { (place, look.await) });
            }
            match tasks.join_next().await {
                Some(Ok((place, answer))) => answers[place] = answer,
                Some(Err(_)) => unreachable!("they are caught when they panic, and never aborted"),
                None => break,
            }
        }
        if self.options.doors.is_none() {
            core.services.connections.close().await;
        }
        Ok(answers)
    }
}

/// Looks at one resource.
fn capture(
    core: &Core,
    place: usize,
    resource: Arc<dyn AnyResource>,
) -> impl Future<Output = Result<Vec<AnyCaptured>>> + Send + use<> {
    let services = Arc::clone(&core.services);
    async move {
        let spec = resource.spec();
        let Some(look) = spec.abilities.capture else {
            return Err(Error::new(format!("the kind `{}` can't be captured", spec.kind)));
        };
        let number = u32::try_from(place).unwrap_or(u32::MAX);
        let operation = Operation::new(Arc::clone(&resource), number, services);
        let looking = look(resource, CheckCx::new(Arc::new(operation)));
        let found = caught_async(looking).await.unwrap_or_else(|panic| Err(Error::new(panic)))?;
        let problems = found.iter().flat_map(|one| one.resource.validate(&Known::all(one.resource.spec())));
        match problems.into_iter().next() {
            Some(problem) => Err(Error::new(format!("what this host has can't be declared: {problem}"))),
            None => Ok(found),
        }
    }
}

//! Stand-ins on a simulated host.

use std::sync::Arc;

use super::expect::Expect;
use super::resource::StandIn;
use super::script::Scripts;
use crate::graph::GraphConfig;
use crate::sys::simulated::Host;
use crate::testing::run::id_of;

/// Resources whose operations the test answers.
impl Host {
    /// Lets a stand-in take the place of this resource in the graphs that run here from now on. It answers the
    /// operations that are expected of it, and nothing that the kind does is done. What the resource is, it remains:
    /// its fields, what it owns, provides and needs, so that its edges, its group, and what it receives are the same.
    /// Its watch reports a change when [`wake`](Host::wake) is called.
    ///
    /// An apply or a refresh that is not the next operation succeeds, and [`assert_expected`](Host::assert_expected)
    /// reports it. A second call for the same resource adds operations to the end. A plan uses none of them up.
    ///
    /// ```
    /// use mgmt::prelude::*;
    /// use mgmt::testing::{Expect, Host};
    ///
    /// fn graph(g: &mut Graph) -> Result<()> {
    ///     let key = g.add(Exec::new("key").cmd("vault read key"));
    ///     let conf = g.add(File::new("/etc/app.conf").content(key.stdout()));
    ///     g.add(Exec::new("reload").cmd("appctl reload").refreshonly(true).subscribe(&conf));
    ///     Ok(())
    /// }
    ///
    /// let host = Host::new();
    /// let read = || Expect::new().finds(Change::new("cmd", "has not run", "has run"));
    /// host.stand_in("exec[key]", read().applies().sends(Exec::STDOUT, "17".to_owned()));
    /// host.stand_in("exec[reload]", Expect::new().in_sync().refreshes());
    /// let mut run = host.start(graph);
    /// run.converge();
    /// host.assert_expected();
    /// assert_eq!(host.read("/etc/app.conf").unwrap(), "17");
    /// ```
    ///
    /// # Panics
    /// This is no name of a resource (`exec[reload]`). Without such a resource in the graph, or with a value that its
    /// kind does not receive or send, the graph does not start.
    #[track_caller]
    pub fn stand_in(&self, resource: &str, expected: Expect) {
        self.part::<Scripts>().of(id_of(resource)).expect(expected);
    }

    /// Every stand-in was asked for the operations that it expects, in order, and for nothing else, with the values
    /// that it expects.
    ///
    /// # Panics
    /// It was not: the message shows for each stand-in what it expects (lines with `-` have not come) and what has come
    /// instead (lines with `+`).
    #[track_caller]
    pub fn assert_expected(&self) {
        let all = self.part::<Scripts>().all();
        let broken = all.iter().filter_map(|(id, script)| Some(format!("{id}:\n{}", script.complaint()?)));
        let broken: Vec<String> = broken.collect();
        if !broken.is_empty() {
            panic!("stand-ins were asked for something else than expected:\n{}", broken.join("\n"));
        }
    }

    /// Makes the watch of a stand-in report a change, so that it is checked again.
    ///
    /// # Panics
    /// It is no stand-in, or no watch of it listens: no graph with it runs, or its kind has no watch.
    #[track_caller]
    pub fn wake(&self, resource: &str) {
        let id = id_of(resource);
        if !self.part::<Scripts>().all().get(&id).is_some_and(|script| script.wake()) {
            panic!("{id} is no stand-in with a watch that listens");
        }
    }

    /// The graph with its stand-ins. `on_trial`: nothing that they are asked for counts.
    ///
    /// # Errors
    /// A stand-in has no resource to stand in for, or one of a kind that does not fit.
    pub(in crate::testing) fn cast(&self, mut config: GraphConfig, on_trial: bool) -> Result<GraphConfig, String> {
        for (id, script) in self.part::<Scripts>().all() {
            let Some(vertex) = config.vertices.iter_mut().find(|vertex| vertex.id() == id) else {
                return Err(format!("there is a stand-in for {id}, which is not in the graph"));
            };
            if let Some(misfit) = script.misfit(&*vertex.resource) {
                return Err(format!("the stand-in for {id}: {misfit}"));
            }
            let script = if on_trial { Arc::new(script.fork()) } else { script };
            vertex.resource = StandIn::of(Arc::clone(&vertex.resource), script);
        }
        Ok(config)
    }
}

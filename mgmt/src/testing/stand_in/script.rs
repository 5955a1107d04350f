//! What is left of the operations of a stand-in, and what has come.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::expect::{Answer, Expect, Step};
use crate::id::ResourceId;
use crate::resource::{AnyResource, Change, CheckCx, Watch, WatchSender};
use crate::runtime::Act;
use crate::sys::simulated::{Host, Part};
use crate::testing::run::difference;

/// The operations of one stand-in.
#[derive(Debug, Default)]
pub(super) struct Script(Mutex<State>);

#[derive(Clone, Debug, Default)]
struct State {
    expected: Expect,
    /// How many of them have come.
    met: usize,
    /// The drift that was found and not repaired.
    found: Option<Vec<Change>>,
    /// What has come, as text.
    came: Vec<String>,
    /// The watches that listen.
    watches: Vec<WatchSender>,
}

impl Script {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy whose operations are counted by themselves.
    pub(super) fn fork(&self) -> Script {
        Script(Mutex::new(State { watches: Vec::new(), ..self.state().clone() }))
    }

    pub(super) fn expect(&self, more: Expect) {
        let mut state = self.state();
        state.expected.steps.extend(more.steps);
    }

    /// What the kind of this resource can't receive or send.
    pub(super) fn misfit(&self, resource: &dyn AnyResource) -> Option<String> {
        self.state().expected.misfit(resource.spec())
    }

    /// The answer to an operation.
    pub(super) fn answer(&self, act: Act, cx: &CheckCx, resource: &dyn AnyResource) -> Answer {
        let mut state = self.state();
        let step = state.expected.steps.get(state.met).filter(|step| step.act == act).cloned();
        let step = match step {
            Some(step) => {
                state.met += 1;
                state.came.push(step.seen(resource));
                step
            }
            None => {
                let step = Step::surplus(act, state.likely(act));
                let text = step.to_string();
                if act != Act::Check || (state.met == 0 && !state.came.contains(&text)) {
                    state.came.push(text);
                }
                step
            }
        };
        match (&step.answer, act) {
            (Answer::Drift(changes), _) => state.found = Some(changes.clone()),
            (Answer::InSync, _) | (Answer::Changed | Answer::Unchanged, Act::Apply) => state.found = None,
            _ => {}
        }
        drop(state);
        step.send(cx);
        step.answer
    }

    pub(super) fn watch(&self) -> Watch {
        let (sender, watch) = Watch::channel();
        sender.ready();
        let mut state = self.state();
        state.watches.retain(|watch| !watch.is_closed());
        state.watches.push(sender);
        watch
    }

    /// Makes the watches report a change. Returns `false` if none listens.
    pub(super) fn wake(&self) -> bool {
        let watches: Vec<WatchSender> = self.state().watches.iter().filter(|w| !w.is_closed()).cloned().collect();
        watches.iter().for_each(WatchSender::changed);
        !watches.is_empty()
    }

    /// What has come instead of what was expected, line by line.
    pub(super) fn complaint(&self) -> Option<String> {
        let state = self.state();
        let expected: Vec<String> = state.expected.steps.iter().map(ToString::to_string).collect();
        (expected != state.came).then(|| difference(&expected, &state.came))
    }
}

impl State {
    /// What a real resource would answer most likely: what was found and not repaired is still there.
    fn likely(&self, act: Act) -> Answer {
        match act {
            Act::Check => self.found.clone().map_or(Answer::InSync, Answer::Drift),
            Act::Apply | Act::Refresh => Answer::Changed,
        }
    }
}

/// The stand-ins on a host.
#[derive(Debug, Default)]
pub(super) struct Scripts(Mutex<BTreeMap<ResourceId, Arc<Script>>>);

impl Part for Scripts {
    fn fork(&self) -> Scripts {
        let all = self.all().into_iter().map(|(id, script)| (id, Arc::new(script.fork())));
        Scripts(Mutex::new(all.collect()))
    }

    fn state(&self, _: &Host) -> Vec<String> {
        Vec::new()
    }
}

impl Scripts {
    pub(super) fn all(&self) -> BTreeMap<ResourceId, Arc<Script>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The script of this resource, which is made at its first use.
    pub(super) fn of(&self, id: ResourceId) -> Arc<Script> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(id).or_default())
    }
}

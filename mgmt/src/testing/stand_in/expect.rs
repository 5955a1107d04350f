//! What a stand-in is asked, in order, and what it answers.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use crate::resource::{AnyResource, Change, CheckCx, Drift, KindSpec, Port, Sendable, Value};
use crate::runtime::Act;
use crate::testing::trial::convert;

/// The operations that one resource of a graph is asked for, in order, and what each answers: data for
/// [`Host::stand_in`](crate::testing::Host::stand_in).
///
/// Each method adds one operation; [`receives`](Expect::receives) and [`sends`](Expect::sends) belong to the operation
/// added before them. Without any, the resource is never asked for anything: for one that must not be reached.
///
/// An engine may look again at any time: a check that comes when another operation is the next one finds the same as
/// before, and does not count. Every apply and every refresh counts.
#[derive(Clone, Debug, Default)]
#[must_use = "it has an effect only with `Host::stand_in`"]
pub struct Expect {
    pub(super) steps: Vec<Step>,
}

impl Expect {
    /// No operation.
    pub fn new() -> Expect {
        Expect::default()
    }

    /// A check, which finds the resource in sync.
    pub fn in_sync(self) -> Expect {
        self.step(Act::Check, Answer::InSync)
    }

    /// A check, which finds this drift: a [`Change`], or a `Vec` of several.
    pub fn finds(self, drift: impl Drift) -> Expect {
        self.step(Act::Check, Answer::Drift(drift.changes()))
    }

    /// A check, which fails with this error.
    pub fn check_fails(self, error: impl Into<String>) -> Expect {
        self.step(Act::Check, Answer::Fails(error.into()))
    }

    /// An apply, which succeeds.
    pub fn applies(self) -> Expect {
        self.step(Act::Apply, Answer::Changed)
    }

    /// An apply, which succeeds and reports that there was nothing to change after all: no resource is notified.
    pub fn applies_nothing(self) -> Expect {
        self.step(Act::Apply, Answer::Unchanged)
    }

    /// An apply, which fails with this error.
    pub fn apply_fails(self, error: impl Into<String>) -> Expect {
        self.step(Act::Apply, Answer::Fails(error.into()))
    }

    /// A refresh, which changes something, so that it notifies in turn.
    pub fn refreshes(self) -> Expect {
        self.step(Act::Refresh, Answer::Changed)
    }

    /// A refresh, which succeeds and changes nothing.
    pub fn refreshes_nothing(self) -> Expect {
        self.step(Act::Refresh, Answer::Unchanged)
    }

    /// A refresh, which fails with this error.
    pub fn refresh_fails(self, error: impl Into<String>) -> Expect {
        self.step(Act::Refresh, Answer::Fails(error.into()))
    }

    /// In the operation before, the field has this value, which is written as an output sends it: a `String` for a
    /// field that takes text.
    ///
    /// # Panics
    /// No operation was added yet.
    #[track_caller]
    pub fn receives<T: Sendable + fmt::Debug>(mut self, field: &str, value: T) -> Expect {
        let (field, shown) = (field.to_owned(), format!("{value:?}"));
        self.last().wanted.push(Wanted { field, shown, of: std::any::type_name::<T>(), value: Arc::new(value) });
        self
    }

    /// The operation before sends this value on this output, whether or not it succeeds. A stand-in sends nothing else.
    ///
    /// # Panics
    /// No operation was added yet.
    #[track_caller]
    pub fn sends<T: Sendable>(mut self, port: Port<T>, value: T) -> Expect {
        let send = Arc::new(move |cx: &CheckCx| cx.send(port, value.clone()));
        self.last().sent.push(Sending { name: port.name(), number: port.number(), of: TypeId::of::<T>(), send });
        self
    }

    fn step(mut self, act: Act, answer: Answer) -> Expect {
        self.steps.push(Step { act, answer, wanted: Vec::new(), sent: Vec::new() });
        self
    }

    #[track_caller]
    fn last(&mut self) -> &mut Step {
        match self.steps.last_mut() {
            Some(step) => step,
            None => panic!("`receives` and `sends` belong to an operation, such as `in_sync()`: add one before them"),
        }
    }

    /// What a kind can't receive or send.
    pub(super) fn misfit(&self, spec: &'static KindSpec) -> Option<String> {
        let received = |step: &Step| step.wanted.iter().find_map(|wanted| wanted.misfit(spec));
        let sent = |step: &Step| step.sent.iter().find_map(|sent| sent.misfit(spec));
        self.steps.iter().find_map(|step| received(step).or_else(|| sent(step)))
    }
}

/// One operation.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) act: Act,
    pub(super) answer: Answer,
    wanted: Vec<Wanted>,
    sent: Vec<Sending>,
}

impl Step {
    /// An operation that is not in the list.
    pub(super) fn surplus(act: Act, answer: Answer) -> Step {
        Step { act, answer, wanted: Vec::new(), sent: Vec::new() }
    }

    /// The operation as text, with the values that the fields have if they are not those that are wanted.
    pub(super) fn seen(&self, resource: &dyn AnyResource) -> String {
        self.text(|wanted| wanted.other_in(resource))
    }

    pub(super) fn send(&self, cx: &CheckCx) {
        self.sent.iter().for_each(|sent| (sent.send)(cx));
    }

    fn text(&self, other: impl Fn(&Wanted) -> Option<String>) -> String {
        let act = match self.act {
            Act::Check => "check",
            Act::Apply => "apply",
            Act::Refresh => "refresh",
        };
        let values: Vec<String> = self
            .wanted
            .iter()
            .map(|wanted| format!("`{}` {}", wanted.field, other(wanted).unwrap_or_else(|| wanted.shown.clone())))
            .collect();
        match values.as_slice() {
            [] => format!("{act}: {}", self.answer),
            values => format!("{act} with {}: {}", values.join(" and "), self.answer),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(|_| None))
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The answer of an operation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    InSync,
    Drift(Vec<Change>),
    Changed,
    Unchanged,
    Fails(String),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::InSync => f.write_str("in sync"),
            Answer::Drift(changes) => {
                let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
                write!(f, "finds {}", changes.join(", "))
            }
            Answer::Changed => f.write_str("succeeds"),
            Answer::Unchanged => f.write_str("changes nothing"),
            Answer::Fails(error) => write!(f, "fails: {error}"),
        }
    }
}

/// The value of a field.
#[derive(Clone)]
struct Wanted {
    field: String,
    shown: String,
    of: &'static str,
    value: Value,
}

impl Wanted {
    fn misfit(&self, spec: &'static KindSpec) -> Option<String> {
        convert(spec, &self.field, &self.value, self.of).err()
    }

    /// The value of the field as text, if it is another one.
    fn other_in(&self, resource: &dyn AnyResource) -> Option<String> {
        let (number, received) = convert(resource.spec(), &self.field, &self.value, self.of).ok()?;
        let wanted = resource.with_received(vec![(number, received.value)])?;
        if resource.same(&*wanted) {
            return None;
        }
        let shown = resource.to_data(&[]).ok().and_then(|data| Some(data.get(&self.field)?.to_string()));
        // A secret has the same text as any other.
        let shown = shown.filter(|shown| shown.trim_matches('"') != self.shown.trim_matches('"'));
        Some(shown.unwrap_or_else(|| "another value".to_owned()))
    }
}

/// A value on an output.
#[derive(Clone)]
struct Sending {
    name: &'static str,
    number: u8,
    of: TypeId,
    send: Arc<dyn Fn(&CheckCx) + Send + Sync>,
}

impl Sending {
    fn misfit(&self, spec: &'static KindSpec) -> Option<String> {
        let output = spec.outputs.get(usize::from(self.number));
        let fits = output.is_some_and(|output| output.name == self.name && (output.type_id)() == self.of);
        (!fits).then(|| format!("{} has no output `{}` of this type", spec.kind, self.name))
    }
}

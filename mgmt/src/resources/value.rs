//! `value`: passes values on, or makes a text of several.

use crate::resource::{
    Any, ApplyCx, Change, CheckCx, Converge, Error, FieldProblem, Filled, Known, Output, Plain, Result, Secret, Values,
    digest_of, every,
};
use mgmt_macros::Resource;

/// Passes a value on: the value that is set or received is sent. A named point between senders and receivers, for
/// example between graphs given as data.
///
/// The value is a text (`value`), of any type (`any`), or a text that `template` makes of several values, which are
/// received under names.
///
/// ```
/// use mgmt::prelude::*;
/// use mgmt::resources::Value;
///
/// let mut g = Graph::new("greeting");
/// let (host, user) = (g.add(Exec::new("hostname")), g.add(Exec::new("whoami")));
/// let names = Named::new().and("host", host.stdout()).and("user", user.stdout());
/// let motd = g.add(Value::new("motd").template("{{ user | trim }} on {{ host }}").values(names));
/// g.add(File::new("/tmp/motd").content(motd.output()));
/// ```
///
/// A text in which one of the values is a secret is a secret: it is sent as `secret`, and a graph in which a resource
/// receives it as `output` or `typed` is refused. Of such a text only its digest is remembered beyond a restart: if the
/// template changes after that, the senders of its secrets must make these again.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "value", unwatched)]
pub struct Value {
    /// The name of the resource.
    #[resource(name)]
    name: String,
    /// The value, a text. Exactly one of `value`, `any` and `template` must be set or received.
    value: Option<String>,
    /// The value, of any type: a text, a number, `true` or `false`, a list, a map.
    any: Option<Any>,
    /// A template in the language of Jinja, with the names of `values` in it: `{{ name }}`. A name without a value is
    /// an error. Needs the feature `template`.
    template: Option<String>,
    /// The values for `template`, each under a name: a map, or received from several resources. Default: none.
    #[resource(default)]
    values: Values,

    /// The value as a text: a text as it is, anything else as JSON.
    #[resource(send)]
    output: String,
    /// The value with its type.
    #[resource(send)]
    typed: Any,
    /// The same text as `output`, as a secret.
    #[resource(send)]
    secret: Secret<String>,
}

impl ValueHandle {
    /// The value as a text: the same as `output`.
    pub fn value(&self) -> Output<String> {
        self.output()
    }
}

/// What there is to send.
enum Made {
    Plain(Any),
    Secret(Secret<String>),
    /// A secret that was sent in an earlier run, if the mark is this one.
    Same,
}

impl Converge for Value {
    type Drift = Change;

    const STANDS_ALONE: bool = true;
    const LASTS: bool = false;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let given =
            [("value", self.value.is_some()), ("any", self.any.is_some()), ("template", self.template.is_some())];
        let given: Vec<_> = given.into_iter().filter(|(field, is_set)| *is_set || !known.is_known(field)).collect();
        let twice = (given.len() > 1).then(|| {
            let (one, other) = (given[0].0, given[1].0);
            FieldProblem::new(other, format_args!("is given, and so is `{one}`"), "the value is one of them")
        });
        let is_used = self.template.is_some() || !known.is_known("template") || !known.is_known("values");
        let unused = known.require(
            ["values", "template"],
            is_used || self.values.is_empty(),
            "are given, and no `template` to put them in",
            "give one",
        );
        let lacks = cfg!(not(feature = "template")) && self.template.is_some();
        let lacking = known.require("template", !lacks, "needs the feature `template`, which this build lacks", "");
        every([twice, unused, lacking])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let made = self.made(cx)?;
        let is_new = match &made {
            Made::Plain(_) => false,
            Made::Secret(_) => self.mark(cx) != cx.mark(),
            Made::Same => false,
        };
        if is_new {
            return Ok(Some(Change::new("secret", if cx.mark().is_some() { "another" } else { "none" }, "(secret)")));
        }
        send(cx, made);
        Ok(None)
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        // First the mark: it makes receivers ask for the value if this ends before they have it.
        cx.set_mark(self.mark(cx)).await?;
        send(cx, self.made(cx)?);
        Ok(())
    }
}

fn send(cx: &CheckCx, made: Made) {
    match made {
        Made::Plain(any) => {
            cx.send(Value::OUTPUT, any.text());
            cx.send(Value::SECRET, Secret::new(any.text()));
            cx.send(Value::TYPED, any);
        }
        Made::Secret(text) => cx.send(Value::SECRET, text),
        Made::Same => cx.send_unchanged(Value::SECRET),
    }
}

impl Value {
    fn made(&self, cx: &CheckCx) -> Result<Made> {
        if let Some(template) = &self.template {
            return match self.values.fill(template) {
                Some(filled) => Ok(match filled? {
                    Filled::Plain(text) => Made::Plain(text.any()),
                    Filled::Secret(text) => Made::Secret(text),
                }),
                // A refresh asks for the text itself.
                None if self.values.is_secret() && !cx.refresh_owed() && self.mark(cx) == cx.mark() => Ok(Made::Same),
                None => Err(Error::needs_value("values")),
            };
        }
        match (&self.value, &self.any) {
            (Some(text), _) => Ok(Made::Plain(text.clone().any())),
            (None, Some(any)) => Ok(Made::Plain(any.clone())),
            (None, None) => Err(Error::new(
                "`value` is missing: there is nothing to pass on; set `value`, `any` or `template`, or send to one",
            )),
        }
    }

    /// What is remembered of a text made of secrets: digests of the values, salted, and of the template.
    fn mark(&self, cx: &CheckCx) -> Option<Vec<u8>> {
        let values = self.values.remembered().or_else(|| self.values.digest().map(|digest| cx.salted(digest)))?;
        Some([values.digest(), digest_of(&self.template)].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fake;

    #[tokio::test]
    async fn what_is_set_is_sent_and_nothing_is_an_error_not_an_empty_value() {
        let host = Fake::new().unwrap();
        let sent =
            async |value: ValueBuilder| host.put(value).settle().await.map(|outcome| outcome.value(Value::OUTPUT));
        assert_eq!(sent(Value::new("x").value("text")).await.unwrap().unwrap(), "text");
        assert_eq!(sent(Value::new("x").value("")).await.unwrap().unwrap(), "");
        assert_eq!(sent(Value::new("x").any("text")).await.unwrap().unwrap(), "text");
        assert_eq!(sent(Value::new("x").any([1, 2])).await.unwrap().unwrap(), "[1,2]");
        assert!(sent(Value::new("x")).await.unwrap_err().to_string().contains("`value` is missing"));
        let any = host.put(Value::new("x").any([1, 2])).settle().await.unwrap().value(Value::TYPED).unwrap();
        assert_eq!(any.to::<Vec<u8>>().unwrap(), [1, 2]);
    }

    #[cfg(feature = "template")]
    #[tokio::test]
    async fn a_template_is_filled_and_a_name_without_a_value_is_an_error() {
        let host = Fake::new().unwrap();
        let value = |template: &str| Value::new("x").template(template).values([("a", 1), ("b", 2)]);
        let outcome = host.put(value("{{ a }}+{{ b }}={{ a + b }}\n")).settle().await.unwrap();
        assert_eq!(outcome.value(Value::OUTPUT).unwrap(), "1+2=3\n");
        let error = host.put(value("{{ third }}")).settle().await.unwrap_err().to_string();
        assert!(
            error.contains("the template, line 1, `{{ third }}`: `third` has no value: there are `a`, `b`"),
            "{error}"
        );
    }

    #[test]
    fn the_value_is_given_in_one_form() {
        let host = Fake::new().unwrap();
        let wrong = |value: ValueBuilder| host.put(value).refusal();
        assert!(wrong(Value::new("x").value("1").any(1)).contains("`any` is given, and so is `value`"));
        assert!(wrong(Value::new("x").values([("a", 1)])).contains("no `template` to put them in"));
    }
}

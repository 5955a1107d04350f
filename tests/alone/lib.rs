//! What a program that depends on `mgmt` alone can derive: that this compiles is the test. The derives are those of the
//! prelude, with attributes of serde, generics, lifetimes, and private fields.

use mgmt::prelude::*;

/// A kind.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[resource(kind = "alone", unwatched)]
pub struct Alone {
    #[resource(name)]
    name: String,
    #[resource(default)]
    loud: bool,
}

impl Converge for Alone {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(self.loud.then(|| Change::new("loud", "false", "true")))
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

/// Data with a parameter, and a function for a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pair<T> {
    first_one: T,
    #[serde(default = "two", skip_serializing_if = "Option::is_none")]
    second: Option<u8>,
}

fn two() -> Option<u8> {
    Some(2)
}

/// Every form that a variant has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", content = "with")]
pub enum Form<T, const N: usize>
where
    T: Clone,
{
    /// Nothing.
    #[serde(rename = "nothing", alias = "none")]
    Unit,
    /// One.
    Tuple(T),
    /// With a name.
    Named {
        /// Of them.
        #[serde(bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>"))]
        all: Vec<Pair<T>>,
    },
}

/// Data that is borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Borrowed<'a>(#[serde(borrow)] &'a str);

/// All of them are data.
pub fn are_data() {
    fn is_data<'de, T: Serialize + Deserialize<'de>>() {}
    /// One that is declared in a function.
    #[derive(Serialize, Deserialize)]
    struct Local {
        _within: u8,
    }
    is_data::<Alone>();
    is_data::<Form<Pair<String>, 3>>();
    is_data::<Borrowed<'_>>();
    is_data::<Local>();
}

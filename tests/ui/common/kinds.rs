//! Two small kinds that the cases use.

use mgmt::prelude::*;
use schemars::JsonSchema;

/// How high it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rank(u32);

impl mgmt::resource::Accepts<u32> for Rank {
    fn accept(bits: u32) -> Self {
        Rank(bits)
    }
}

/// A kind with an output that is secret and one that is not.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "login")]
pub struct Login {
    #[resource(name)]
    user: String,
    #[resource(send)]
    passphrase: Secret<String>,
    #[resource(send)]
    shell: String,
}

/// A kind with fields of several types, one of them required.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "page")]
pub struct Page {
    #[resource(name)]
    path: String,
    title: String,
    rank: Option<Rank>,
    body: Option<String>,
    token: Option<Secret<String>>,
    #[resource(default)]
    hits: u64,
    #[resource(send)]
    length: u64,
}

impl Converge for Login {
    type Drift = Change;
    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }
    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

impl Converge for Page {
    type Drift = Change;
    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }
    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

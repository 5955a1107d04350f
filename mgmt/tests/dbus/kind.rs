//! A kind that is woken by signals and counts its checks.

use std::collections::HashMap;
use std::sync::Mutex;

use mgmt::prelude::*;
use mgmt::resource::{Bus, SignalRule};

/// How often each resource has been checked, by its name.
static CHECKS: Mutex<Option<HashMap<String, usize>>> = Mutex::new(None);

pub(crate) fn checks(name: &str) -> usize {
    CHECKS.lock().unwrap().as_ref().and_then(|checks| checks.get(name).copied()).unwrap_or(0)
}

/// Asks the bus for its identity in each check.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[resource(kind = "wakeful")]
pub(crate) struct Wakeful {
    #[resource(name)]
    name: String,
    address: String,
    path: String,
}

impl Converge for Wakeful {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let connection = cx.bus(Bus::address(&self.address)).await?;
        let bus = Some("org.freedesktop.DBus");
        connection.call_method(bus, "/org/freedesktop/DBus", bus, "GetId", &()).await?;
        *CHECKS.lock().unwrap().get_or_insert_default().entry(self.name.clone()).or_insert(0) += 1;
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }

    fn watch(&self, _: &WatchCx) -> Watch {
        let rule = SignalRule::new().path(&self.path).interface("org.example.Test").member("Changed");
        Watch::signals(Bus::address(&self.address), rule)
    }
}

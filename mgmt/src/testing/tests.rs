//! Functions of the fake host that the tests of the built-in kinds do not use.

use mgmt_macros::Resource;

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Door, Error, FieldProblem, Findings, Known, Prepare, PrepareCx, Refresh,
    Result, Uid, every,
};
use crate::testing::Fake;

/// A connection that always opens.
struct Line;

impl Door for Line {
    type Key = ();

    async fn open((): &()) -> Result<Line> {
        Ok(Line)
    }
}

#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:lamp", unwatched)]
struct Lamp {
    #[resource(name)]
    name: String,
    watts: u64,
    #[resource(send)]
    light: u64,
}

impl Converge for Lamp {
    type Drift = Change;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        every([known.require("watts", self.watts > 0, "is 0", "give 1")])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        cx.door::<Line>(&()).await?;
        cx.send(Lamp::LIGHT, self.watts * 10);
        Ok(cx.refresh_owed().then(|| Change::new("light", "old", "new")))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        cx.by_event();
        cx.unchanged();
        Ok(())
    }
}

impl Refresh for Lamp {
    async fn refresh(&self, _: &ApplyCx) -> Result<bool> {
        Ok(self.watts > 0)
    }
}

impl Prepare for Lamp {
    async fn prepare(&self, cx: &PrepareCx) -> Result<Findings> {
        let path = self.name.clone();
        match cx.look(move |fs| fs.stat(path)).await? {
            Some(_) => Ok(Findings::default().provides(Uid::Path(self.name.clone().into()))),
            None => Err(Error::new("there is no lamp")),
        }
    }
}

/// A kind without optional abilities.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:bare", unwatched)]
struct Bare {
    #[resource(name)]
    name: String,
}

impl Converge for Bare {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn doors_fail_on_demand_and_work_again() {
    let host = Fake::new().unwrap();
    let lamp = host.put(Lamp::new("l", 5_u64));
    host.fail_doors(Some("the line is cut"));
    assert_eq!(lamp.check().await.unwrap_err().to_string(), "the line is cut");
    host.fail_doors(None);
    assert_eq!(lamp.check().await.unwrap().value(Lamp::LIGHT), Some(50));
}

#[tokio::test]
async fn an_outcome_has_what_the_operation_reported() {
    let host = Fake::new().unwrap();
    let lamp = host.put(Lamp::new("l", 5_u64));
    let settled = lamp.clone().owed().settle().await.unwrap();
    assert!(!settled.in_sync() && !settled.changed && settled.by_event);
    assert!(lamp.refresh().await.unwrap().changed);
    let dark = lamp.receiving("watts", 0_u64);
    assert!(!dark.refresh().await.unwrap().changed);
    assert_eq!(dark.check().await.unwrap().value(Lamp::LIGHT), Some(0));
}

#[tokio::test]
async fn what_a_kind_finds_before_the_passes_is_seen() {
    let host = Fake::new().unwrap();
    let path = host.path("lamp");
    let lamp = host.put(Lamp::new(path.to_str().unwrap(), 5_u64));
    assert_eq!(lamp.prepare().await.unwrap_err().to_string(), "there is no lamp");
    std::fs::write(&path, "").unwrap();
    assert_eq!(lamp.prepare().await.unwrap().unwrap().provides, [Uid::Path(path)]);
    assert!(host.put(Bare::new("n")).prepare().await.unwrap().is_none());
}

#[test]
fn what_is_still_to_come_is_not_judged() {
    let host = Fake::new().unwrap();
    let lamp = host.put(Lamp::new("l", 0_u64));
    assert_eq!(lamp.validate().len(), 1);
    assert_eq!(lamp.validate_without(["watts"]), []);
    assert_eq!(lamp.validate_without("watts"), []);
}

#[test]
#[should_panic(expected = "`watts` does not take a value of type")]
fn a_value_of_another_type_is_not_received() {
    drop(Fake::new().unwrap().put(Lamp::new("l", 5_u64)).receiving("watts", "5".to_owned()));
}

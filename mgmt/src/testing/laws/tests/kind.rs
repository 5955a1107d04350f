//! A kind that keeps a line in a file, with many possible flaws.

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use mgmt_macros::Resource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Interval, interval};

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Error, Part, Resource as _, Result, Watch, WatchCx, WatchEvent,
};

/// The flaw of the kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum Flaw {
    #[default]
    None,
    WritesInCheck,
    TouchesInCheck,
    CleansInCheck,
    CheckFails,
    CheckHangs,
    ApplyFails,
    ApplyLies,
    NeverInSync,
    NamesNoChange,
    Blind,
    Flickers,
    Appends,
    NoWatch,
    WatchesElsewhere,
    WatchesOnce,
    WatchIsNeverReady,
    WatchEnds,
    WatchFails,
    WritesInNoop,
    LeavesALock,
    LeavesHalf,
    WorkGoesOn,
}

impl Flaw {
    pub(super) const ALL: &[Flaw] = &[
        Flaw::None,
        Flaw::WritesInCheck,
        Flaw::TouchesInCheck,
        Flaw::CleansInCheck,
        Flaw::CheckFails,
        Flaw::CheckHangs,
        Flaw::ApplyFails,
        Flaw::ApplyLies,
        Flaw::NeverInSync,
        Flaw::NamesNoChange,
        Flaw::Blind,
        Flaw::Flickers,
        Flaw::Appends,
        Flaw::NoWatch,
        Flaw::WatchesElsewhere,
        Flaw::WatchesOnce,
        Flaw::WatchIsNeverReady,
        Flaw::WatchEnds,
        Flaw::WatchFails,
        Flaw::WritesInNoop,
        Flaw::LeavesALock,
        Flaw::LeavesHalf,
        Flaw::WorkGoesOn,
    ];
}

/// Keeps a line in a file.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:line")]
pub(super) struct Line {
    #[resource(name)]
    path: String,
    line: String,
    #[resource(default)]
    flaw: Flaw,
    /// Where `WritesInCheck` writes.
    #[resource(default)]
    log: Option<String>,
}

/// How often the resource was in sync since the last apply.
#[derive(Default)]
struct InSync(AtomicU32);

impl Line {
    fn beside(&self, name: &str) -> PathBuf {
        Path::new(&self.path).with_file_name(name)
    }

    fn read(&self) -> Option<String> {
        fs::read_to_string(&self.path).ok()
    }

    fn drift(&self, found: Option<&str>) -> Vec<Change> {
        vec![Change::new("line", found.unwrap_or("(none)"), &self.line)]
    }

    /// Does what a check must not do. Returns the result of the check, if the flaw determines it.
    async fn look_badly(&self, cx: &CheckCx, found: Option<&str>) -> Result<Option<Option<Vec<Change>>>> {
        match self.flaw {
            Flaw::WritesInCheck => {
                let log = self.log.as_ref().map_or_else(|| self.beside("log"), PathBuf::from);
                fs::write(log, "looked")?;
            }
            Flaw::TouchesInCheck if found == Some(&self.line) => fs::write(&self.path, &self.line)?,
            Flaw::CleansInCheck if found.is_some_and(|found| found != self.line) => fs::remove_file(&self.path)?,
            Flaw::CheckFails => return Err(Error::new("no luck")),
            Flaw::CheckHangs => std::future::pending().await,
            Flaw::NeverInSync => return Ok(Some(Some(self.drift(found)))),
            Flaw::NamesNoChange => return Ok(Some(Some(vec![]))),
            Flaw::Blind => return Ok(Some(found.is_none().then(|| self.drift(None)))),
            Flaw::Flickers => {
                let times = cx.local::<InSync>().0.fetch_add(1, Ordering::Relaxed);
                return Ok((times == 1).then(|| Some(self.drift(found))));
            }
            Flaw::Appends => {
                let is_last = found.is_some_and(|found| found.ends_with(&self.line));
                return Ok(Some((!is_last).then(|| self.drift(found))));
            }
            Flaw::WritesInNoop if cx.is_noop() => fs::write(&self.path, &self.line)?,
            Flaw::LeavesALock if self.beside("lock").exists() => return Err(Error::new("locked")),
            _ => {}
        }
        Ok(None)
    }

    async fn apply_badly(&self, cx: &ApplyCx) -> Result<()> {
        match self.flaw {
            Flaw::ApplyFails => return Err(Error::new("no luck")),
            Flaw::Flickers => cx.local::<InSync>().0.store(0, Ordering::Relaxed),
            Flaw::LeavesALock => {
                fs::write(self.beside("lock"), "")?;
                tokio::task::yield_now().await;
                fs::remove_file(self.beside("lock"))?;
            }
            Flaw::LeavesHalf => {
                let half = self.beside("half");
                fs::File::create_new(&half).map_err(|_| Error::new("there is a half already"))?;
                tokio::task::yield_now().await;
                fs::remove_file(half)?;
            }
            Flaw::WorkGoesOn => {
                let work = cx.work("sleeping");
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(6)).await;
                    drop(work);
                });
                tokio::task::yield_now().await;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Converge for Line {
    type Drift = Vec<Change>;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Vec<Change>>> {
        let this = self.clone();
        let found = cx.look(move |_, _| this.read()).await;
        if let Some(decided) = self.look_badly(cx, found.as_deref()).await? {
            return Ok(decided);
        }
        Ok((found.as_ref() != Some(&self.line)).then(|| self.drift(found.as_deref())))
    }

    async fn apply(&self, cx: &ApplyCx, _: Vec<Change>) -> Result<()> {
        self.apply_badly(cx).await?;
        let this = self.clone();
        cx.change(move |_, _| match this.flaw {
            Flaw::ApplyLies => Ok(()),
            Flaw::Appends => {
                let before = this.read().unwrap_or_default();
                fs::write(&this.path, before + &this.line)
            }
            _ => fs::write(&this.path, &this.line),
        })
        .await?;
        Ok(())
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        match self.flaw {
            Flaw::NoWatch => Watch::none(),
            Flaw::WatchesElsewhere => cx.fs().path(self.beside("elsewhere/line")),
            Flaw::WatchesOnce | Flaw::WatchIsNeverReady | Flaw::WatchEnds => Watch::stream(Glance {
                of: self.clone(),
                said: 0,
                seen: None,
                every: interval(Duration::from_millis(5)),
            }),
            Flaw::WatchFails => Watch::failed("the bus is gone"),
            _ => {
                let watch = cx.fs().path(&self.path);
                assert!(matches!(watch.parts(), [Part::Path(_)]), "{} is a path", Line::spec().name_field);
                watch
            }
        }
    }
}

/// A stream for a watch: reads the file every few milliseconds, and reports only one change.
struct Glance {
    of: Line,
    said: u32,
    seen: Option<Option<String>>,
    every: Interval,
}

impl Stream for Glance {
    type Item = Result<WatchEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<WatchEvent>>> {
        if self.of.flaw == Flaw::WatchIsNeverReady {
            return Poll::Pending;
        }
        if self.seen.is_none() {
            self.seen = Some(self.of.read());
            return Poll::Ready(Some(Ok(WatchEvent::Ready)));
        }
        while self.every.poll_tick(cx).is_ready() {
            let now = Some(self.of.read());
            if now != self.seen && self.said == 0 {
                (self.seen, self.said) = (now, 1);
                return Poll::Ready(Some(Ok(WatchEvent::Changed)));
            }
            if self.said == 1 && self.of.flaw == Flaw::WatchEnds {
                return Poll::Ready(None);
            }
        }
        Poll::Pending
    }
}

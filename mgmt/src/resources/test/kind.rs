//! The kind `test`.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::sleep;

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Error, FieldProblem, Known, Refresh, Result, Seconds, Secret, Watch, WatchCx,
    WatchEvent, every,
};
use crate::resources::test::step::Step;
use mgmt_macros::Resource;

/// Has a field of each type, sends each value that is given, and does what it is asked to: drift, change, fail, hang,
/// take its time. For trying graphs, engines and front ends. It changes nothing on the system.
///
/// Without `changes` and `every` it is in sync. What it counts (repairs, failures, events) begins again with each start
/// of the engine.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test")]
pub struct Test {
    /// The name of the resource.
    #[resource(name)]
    name: String,
    /// A truth value. Default: none.
    bool: Option<bool>,
    /// A text. Default: none.
    str: Option<String>,
    /// A whole number of 64 bits. Default: none.
    int: Option<i64>,
    /// A whole number from -128 to 127. Default: none.
    int8: Option<i8>,
    /// A whole number from -32768 to 32767. Default: none.
    int16: Option<i16>,
    /// A whole number of 32 bits. Default: none.
    int32: Option<i32>,
    /// A whole number of 64 bits. Default: none.
    int64: Option<i64>,
    /// A whole number of 64 bits, 0 or more. Default: none.
    uint: Option<u64>,
    /// A whole number from 0 to 255. Default: none.
    uint8: Option<u8>,
    /// A whole number from 0 to 65535. Default: none.
    uint16: Option<u16>,
    /// A whole number of 32 bits, 0 or more. Default: none.
    uint32: Option<u32>,
    /// A whole number of 64 bits, 0 or more. Default: none.
    uint64: Option<u64>,
    /// A number with a fraction, of 32 bits. Default: none.
    float32: Option<f32>,
    /// A number with a fraction, of 64 bits. Default: none.
    float64: Option<f64>,
    /// A list of texts. Default: empty.
    #[resource(default)]
    list: Vec<String>,
    /// A map of texts. Default: empty.
    #[resource(default)]
    map: BTreeMap<String, String>,
    /// A length of time, in seconds. Default: none.
    time: Option<Seconds>,
    /// A text that is not shown. Default: none.
    secret: Option<Secret<String>>,

    /// How often a check finds drift that an apply then repairs. Default: 0.
    #[resource(default)]
    changes: u32,
    /// The interval, in seconds, at which the watch reports an event, after which a check finds drift. Default: never.
    every: Option<Seconds>,
    /// Whether an apply and a refresh report that they changed nothing after all. Default: false.
    #[resource(default)]
    unchanged: bool,
    /// The time that each check, apply and refresh takes, in seconds. Default: 0.
    #[resource(default)]
    takes: Seconds,
    /// The operation that fails. Default: none.
    fail: Option<Step>,
    /// How often the operation of `fail` fails before it succeeds; 0: always. Default: 0.
    #[resource(default)]
    fails: u32,
    /// The operation that does not end until it is cancelled; for the watch: that never listens. Default: none.
    hang: Option<Step>,
    /// Whether the fields are refused. Default: false.
    #[resource(default)]
    validatebool: bool,
    /// The text with which the fields are refused. Default: they are accepted.
    validateerror: Option<String>,
    /// The text to send as `hello`. Default: none is sent.
    sendvalue: Option<String>,

    /// The value of `sendvalue`.
    #[resource(send)]
    hello: String,
    /// Always 42.
    #[resource(send)]
    answer: i64,
    /// The value of `bool`.
    #[resource(send)]
    bool_sent: bool,
    /// The value of `str`.
    #[resource(send)]
    str_sent: String,
    /// The value of `int`.
    #[resource(send)]
    int_sent: i64,
    /// The value of `int8`.
    #[resource(send)]
    int8_sent: i8,
    /// The value of `int16`.
    #[resource(send)]
    int16_sent: i16,
    /// The value of `int32`.
    #[resource(send)]
    int32_sent: i32,
    /// The value of `int64`.
    #[resource(send)]
    int64_sent: i64,
    /// The value of `uint`.
    #[resource(send)]
    uint_sent: u64,
    /// The value of `uint8`.
    #[resource(send)]
    uint8_sent: u8,
    /// The value of `uint16`.
    #[resource(send)]
    uint16_sent: u16,
    /// The value of `uint32`.
    #[resource(send)]
    uint32_sent: u32,
    /// The value of `uint64`.
    #[resource(send)]
    uint64_sent: u64,
    /// The value of `float32` as a text: numbers with a fraction are not sent.
    #[resource(send)]
    float32_sent: String,
    /// The value of `float64` as a text: numbers with a fraction are not sent.
    #[resource(send)]
    float64_sent: String,
    /// The value of `list`.
    #[resource(send)]
    list_sent: Vec<String>,
    /// The value of `map`.
    #[resource(send)]
    map_sent: BTreeMap<String, String>,
    /// The value of `time`.
    #[resource(send)]
    time_sent: Seconds,
    /// The value of `secret`.
    #[resource(send)]
    secret_sent: Secret<String>,
}

/// What the resource has counted.
#[derive(Debug, Default)]
struct Counts {
    /// The events that the watch has reported.
    events: AtomicU32,
    repairs: AtomicU32,
    failures: AtomicU32,
}

impl Converge for Test {
    type Drift = Change;

    const STANDS_ALONE: bool = true;
    const LASTS: bool = false;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let refused = known.require("validatebool", !self.validatebool, "is true", "leave it out");
        let text =
            self.validateerror.as_ref().map(|text| FieldProblem::new("validateerror", format_args!(": {text}"), ""));
        let every_is_0 = self.every.is_some_and(|every| every.0.is_zero());
        let interval = known.require("every", !every_is_0, "is 0", "give the time from event to event");
        every([refused, text, interval])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        self.step(Step::Check, &cx.local::<Counts>()).await?;
        self.send(cx);
        let counts = cx.local::<Counts>();
        let due = self.changes.saturating_add(counts.events.load(Ordering::Relaxed));
        let repairs = counts.repairs.load(Ordering::Relaxed);
        Ok((repairs < due).then(|| Change::new("changes", repairs, repairs + 1)))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        let counts = cx.local::<Counts>();
        self.step(Step::Apply, &counts).await?;
        counts.repairs.fetch_add(1, Ordering::Relaxed);
        if counts.repairs.load(Ordering::Relaxed) > self.changes {
            cx.by_event();
        }
        if self.unchanged {
            cx.unchanged();
        }
        Ok(())
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let (test, counts) = (Arc::new(self.clone()), cx.local::<Counts>());
        Watch::unfold(false, move |is_ready| {
            let (test, counts) = (Arc::clone(&test), Arc::clone(&counts));
            async move {
                if !is_ready {
                    test.fail_or_hang(Step::Watch, &counts).await?;
                    return Ok((WatchEvent::Ready, true));
                }
                match test.every {
                    None => pending().await,
                    Some(every) => sleep(every.0).await,
                }
                counts.events.fetch_add(1, Ordering::Relaxed);
                Ok((WatchEvent::Changed, true))
            }
        })
    }
}

impl Refresh for Test {
    async fn refresh(&self, cx: &ApplyCx) -> Result<bool> {
        self.step(Step::Refresh, &cx.local::<Counts>()).await?;
        Ok(!self.unchanged)
    }
}

impl Test {
    /// What each operation does first.
    async fn step(&self, step: Step, counts: &Counts) -> Result<()> {
        if !self.takes.0.is_zero() {
            sleep(self.takes.0).await;
        }
        self.fail_or_hang(step, counts).await
    }

    async fn fail_or_hang(&self, step: Step, counts: &Counts) -> Result<()> {
        if self.hang == Some(step) {
            pending::<()>().await;
        }
        if self.fail != Some(step) {
            return Ok(());
        }
        let failed = counts.failures.fetch_add(1, Ordering::Relaxed);
        match self.fails {
            0 => Err(Error::new(format!("the {step} fails, as declared with `fail`"))),
            times if failed < times => {
                let nth = failed + 1;
                Err(Error::new(format!("the {step} fails, as declared with `fail`: {nth} of {times} times")))
            }
            _ => Ok(()),
        }
    }

    fn send(&self, cx: &CheckCx) {
        cx.send(Test::ANSWER, 42);
        cx.send(Test::LIST_SENT, self.list.clone());
        cx.send(Test::MAP_SENT, self.map.clone());
        if let Some(value) = self.float32 {
            cx.send(Test::FLOAT32_SENT, value.to_string());
        }
        if let Some(value) = self.float64 {
            cx.send(Test::FLOAT64_SENT, value.to_string());
        }
        // Each value that is given, on the output of its field.
        macro_rules! send {
            ($($field:ident: $port:ident),+) => {$(
                if let Some(value) = self.$field.clone() {
                    cx.send(Test::$port, value);
                }
            )+};
        }
        send!(sendvalue: HELLO, bool: BOOL_SENT, str: STR_SENT, int: INT_SENT, int8: INT8_SENT, int16: INT16_SENT, int32: INT32_SENT, int64: INT64_SENT, uint: UINT_SENT, uint8: UINT8_SENT, uint16: UINT16_SENT, uint32: UINT32_SENT, uint64: UINT64_SENT, time: TIME_SENT, secret: SECRET_SENT);
    }
}

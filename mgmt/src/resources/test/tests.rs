//! Each demand on a `test`, and each value that it sends.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::resource::{Change, Secret, WatchEvent};
use crate::resources::test::{Step, Test};
use crate::testing::Fake;

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn each_value_that_is_given_is_sent_as_its_type_and_no_other() {
    let host = Fake::new().unwrap();
    let nothing = host.put(Test::new("t")).settle().await.unwrap();
    assert!(nothing.in_sync());
    assert_eq!(nothing.value(Test::ANSWER), Some(42));
    assert_eq!(nothing.value(Test::LIST_SENT), Some(Vec::new()));
    assert_eq!((nothing.value(Test::BOOL_SENT), nothing.value(Test::HELLO)), (None, None));
    let all = Test::new("t")
        .bool(true)
        .str("text")
        .int(-1)
        .int8(i8::MIN)
        .int16(i16::MIN)
        .int32(i32::MIN)
        .int64(i64::MIN)
        .uint(1u64)
        .uint8(u8::MAX)
        .uint16(u16::MAX)
        .uint32(u32::MAX)
        .uint64(u64::MAX)
        .float32(0.5)
        .float64(-2.25)
        .list(["a", "b"])
        .map([("k", "v")])
        .time(Duration::from_millis(1500))
        .secret("hidden")
        .sendvalue("hi");
    let sent = host.put(all).settle().await.unwrap();
    assert_eq!(sent.value(Test::BOOL_SENT), Some(true));
    assert_eq!(sent.value(Test::STR_SENT).unwrap(), "text");
    assert_eq!(sent.value(Test::INT_SENT), Some(-1));
    assert_eq!(sent.value(Test::INT8_SENT), Some(i8::MIN));
    assert_eq!(sent.value(Test::INT16_SENT), Some(i16::MIN));
    assert_eq!(sent.value(Test::INT32_SENT), Some(i32::MIN));
    assert_eq!(sent.value(Test::INT64_SENT), Some(i64::MIN));
    assert_eq!(sent.value(Test::UINT_SENT), Some(1));
    assert_eq!(sent.value(Test::UINT8_SENT), Some(u8::MAX));
    assert_eq!(sent.value(Test::UINT16_SENT), Some(u16::MAX));
    assert_eq!(sent.value(Test::UINT32_SENT), Some(u32::MAX));
    assert_eq!(sent.value(Test::UINT64_SENT), Some(u64::MAX));
    assert_eq!(sent.value(Test::FLOAT32_SENT).unwrap(), "0.5");
    assert_eq!(sent.value(Test::FLOAT64_SENT).unwrap(), "-2.25");
    assert_eq!(sent.value(Test::LIST_SENT).unwrap(), ["a", "b"]);
    assert_eq!(sent.value(Test::MAP_SENT), Some(BTreeMap::from([("k".to_owned(), "v".to_owned())])));
    assert_eq!(sent.value(Test::TIME_SENT).unwrap().0, Duration::from_millis(1500));
    assert_eq!(sent.value(Test::SECRET_SENT), Some(Secret::new("hidden".to_owned())));
    assert_eq!(sent.value(Test::HELLO).unwrap(), "hi");
}

#[tokio::test]
async fn it_drifts_as_often_as_declared_and_changes_only_if_asked() {
    let host = Fake::new().unwrap();
    let test = host.put(Test::new("t").changes(2u32));
    assert_eq!(test.settle().await.unwrap().changes, [Change::new("changes", 0, 1)]);
    assert!(test.settle().await.unwrap().changed);
    assert!(test.settle().await.unwrap().in_sync());
    let quiet = host.put(Test::new("q").changes(1u32).unchanged(true));
    let outcome = quiet.settle().await.unwrap();
    assert!(!outcome.in_sync() && !outcome.changed);
    assert!(test.refresh().await.unwrap().changed && !quiet.refresh().await.unwrap().changed);
}

#[tokio::test]
async fn each_operation_fails_as_often_as_declared() {
    let host = Fake::new().unwrap();
    let test = |step: Step, fails: u32| host.put(Test::new("t").changes(1u32).fail(step).fails(fails));
    for (step, says) in [(Step::Check, "the check fails"), (Step::Apply, "the apply fails")] {
        let (twice, always) = (test(step, 2), test(step, 0));
        for n in 1..=2 {
            let error = twice.settle().await.unwrap_err().to_string();
            assert!(error.starts_with(says) && error.ends_with(&format!("{n} of 2 times")), "{error}");
            always.settle().await.unwrap_err();
        }
        assert!(twice.settle().await.unwrap().changed);
        always.settle().await.unwrap_err();
    }
    let test = test(Step::Refresh, 1);
    test.refresh().await.unwrap_err();
    assert!(test.refresh().await.unwrap().changed);
    let mut watch = host.put(Test::new("w").fail(Step::Watch)).listen();
    assert!(watch.next().await.unwrap().unwrap_err().to_string().starts_with("the watch fails"));
}

#[tokio::test(start_paused = true)]
async fn it_hangs_and_takes_its_time() {
    let host = Fake::new().unwrap();
    let hangs = |step: Step| host.put(Test::new("t").changes(1u32).hang(step));
    assert!(timeout(LONG, hangs(Step::Check).check()).await.is_err());
    assert!(timeout(LONG, hangs(Step::Apply).settle()).await.is_err());
    assert!(timeout(LONG, hangs(Step::Refresh).refresh()).await.is_err());
    assert!(timeout(Duration::from_secs(15), hangs(Step::Watch).listen().next()).await.is_err());
    let began = Instant::now();
    host.put(Test::new("s").changes(1u32).takes(Duration::from_secs(5))).settle().await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn an_event_of_its_watch_is_drift() {
    let host = Fake::new().unwrap();
    let test = host.put(Test::new("t").every(Duration::from_secs(3)));
    let mut watch = test.listen();
    assert_eq!(watch.next().await.unwrap().unwrap(), WatchEvent::Ready);
    assert!(test.settle().await.unwrap().in_sync());
    let began = Instant::now();
    assert_eq!(watch.next().await.unwrap().unwrap(), WatchEvent::Changed);
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    assert!(test.settle().await.unwrap().changed);
    assert!(test.settle().await.unwrap().in_sync());
}

#[test]
fn its_fields_are_refused_on_demand() {
    let host = Fake::new().unwrap();
    assert_eq!(host.put(Test::new("t").validatebool(true)).refusal(), "`validatebool` is true: leave it out");
    assert_eq!(host.put(Test::new("t").validateerror("no")).refusal(), "`validateerror`: no");
    assert!(host.put(Test::new("t").every(Duration::ZERO)).refusal().contains("`every` is 0"));
    assert_eq!(host.put(Test::new("t")).refusal(), "");
}

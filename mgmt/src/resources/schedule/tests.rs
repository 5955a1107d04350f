//! The fields of a schedule, and a host without a world.

use std::time::Duration;

use crate::resources::schedule::{Schedule, ScheduleBuilder};
use crate::testing::Fake;

#[test]
fn wrong_fields_are_refused() {
    let host = Fake::new().unwrap();
    let refused = |schedule: ScheduleBuilder| host.put(schedule).refusal();
    assert_eq!(refused(Schedule::new("s")), "");
    assert!(refused(Schedule::new("s").namespace("")).starts_with("`namespace` is empty"));
    assert!(refused(Schedule::new("s").namespace("x".repeat(4097))).starts_with("`namespace` has 4097 bytes"));
    assert!(refused(Schedule::new("s").data("x".repeat((64 << 10) + 1))).starts_with("`data` has 65537 bytes"));
    assert!(refused(Schedule::new("s").ttl(Duration::from_millis(999))).starts_with("`ttl` is too short"));
}

#[tokio::test]
async fn without_a_world_the_host_is_chosen_unless_it_may_not() {
    let host = Fake::new().unwrap();
    let chosen = async |schedule: ScheduleBuilder| {
        let found = host.put(schedule).settle().await.unwrap();
        assert!(found.in_sync());
        let hosts = found.value(Schedule::HOSTS).unwrap();
        assert_eq!(hosts.len(), found.value(Schedule::HOSTS_DATA).unwrap().len());
        assert_eq!(!hosts.is_empty(), found.value(Schedule::CHOSEN).unwrap());
        found.value(Schedule::CHOSEN).unwrap()
    };
    assert!(chosen(Schedule::new("s")).await);
    assert!(!chosen(Schedule::new("s").max(0u32)).await);
    assert!(!chosen(Schedule::new("s").withdraw(true)).await);
    assert!(!chosen(Schedule::new("s").only([("role", "web")])).await);
    assert!(chosen(Schedule::new("s").prefer([("role", "web")])).await);
}

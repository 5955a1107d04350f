//! Large subscriptions: in slices between which others get their turn.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::harness::{Stage, each};
use crate::sys::fs::hub::Watched::{Path, Tree};
use crate::sys::fs::hub::{Event, Listening, Watched};

impl Stage {
    fn begin(&mut self, key: u64, name: &str, kind: Watched) -> Listening {
        let path = self.path(name);
        self.hub.begin(key, &path, kind).expect("a subscription")
    }

    /// One poll of the hub, which has work to do.
    fn poll(&mut self) -> Vec<Event> {
        match self.hub.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(events) => events,
            Poll::Pending => Vec::new(),
        }
    }

    fn forest(&self) {
        for number in 0..400 {
            self.mkdirs(format!("t/{}/{number}", number % 20));
        }
        self.write("t/7/7/deep", "");
    }
}

#[test]
fn a_large_tree_is_subscribed_in_slices_and_is_ready_when_all_of_it_is_listened_to() {
    each(async |stage| {
        stage.forest();
        stage.calm().await;
        stage.hub.core.slice = Duration::ZERO;
        assert_eq!(stage.begin(1, "t", Tree), Listening::Later);
        let mut polls = 0;
        while !stage.ready.contains(&1) {
            let looks = stage.hub.core.looks;
            for event in stage.poll() {
                match event {
                    Event::Ready(key) => assert!(stage.ready.insert(key)),
                    // Without a facility to watch with, there is one warning.
                    other => assert!(matches!(other, Event::Degraded(_)), "{other:?}"),
                }
            }
            assert!(stage.hub.core.looks <= looks + 1, "one look at a time");
            polls += 1;
        }
        assert!(polls > 400, "{polls}");
        for name in ["t/7/7/deep", "t/19/399/new", "t/0/0/new"] {
            stage.write(name, "x");
            stage.until(1).await;
        }
    });
}

#[test]
fn what_comes_after_a_large_tree_need_not_wait_for_it() {
    each(async |stage| {
        stage.forest();
        stage.mkdirs("other");
        stage.write("other/f", "");
        stage.hub.core.slice = Duration::ZERO;
        assert_eq!(stage.begin(1, "t", Tree), Listening::Later);
        for _ in 0..30 {
            stage.poll();
        }
        stage.hub.core.slice = Duration::from_secs(60);
        assert_eq!(stage.begin(2, "other/f", Path), Listening::Now);
        stage.hub.core.slice = Duration::ZERO;
        stage.write("other/f", "changed");
        // What is in the tree waits until its directory is listened to.
        assert_eq!(stage.begin(3, "t/7/7/deep", Path), Listening::Later);
        stage.until(2).await;
        stage.until(3).await;
        while !(stage.ready.contains(&1) && stage.ready.contains(&3)) {
            let ready = stage.poll().into_iter().filter_map(|event| match event {
                Event::Ready(key) => Some(key),
                _ => None,
            });
            let ready: Vec<_> = ready.collect();
            stage.ready.extend(ready);
        }
        assert!(!stage.ready.contains(&2), "it listened at once");
        stage.write("t/7/7/deep", "changed");
        stage.until(3).await;
    });
}

#[test]
fn a_tree_that_is_dropped_while_it_is_subscribed_leaves_nothing() {
    each(async |stage| {
        stage.forest();
        stage.hub.core.slice = Duration::ZERO;
        for polls in [0, 10, 300] {
            assert_eq!(stage.begin(1, "t", Tree), Listening::Later);
            for _ in 0..polls {
                stage.poll();
            }
            stage.hub.unsubscribe(1);
            assert!(!stage.hub.is_settled());
            while !stage.hub.is_settled() {
                let looks = stage.hub.core.looks;
                let said = stage.poll();
                assert!(!said.iter().any(|event| matches!(event, Event::Ready(_) | Event::Changed(..))), "{said:?}");
                assert!(stage.hub.core.looks <= looks + 1, "one look at a time");
            }
            let stats = stage.hub.stats();
            assert_eq!((stats.keys, stats.nodes, stats.watches, stats.polled), (0, 1, 0, 0));
        }
    });
}

#[test]
fn a_tree_that_turns_out_too_large_is_reported_once_and_never_ready() {
    each(async |stage| {
        stage.forest();
        stage.hub.core.members_max = 100;
        stage.hub.core.slice = Duration::ZERO;
        assert_eq!(stage.begin(1, "t", Tree), Listening::Later);
        let mut failed = 0;
        while !stage.hub.is_settled() {
            for event in stage.poll() {
                assert!(!matches!(event, Event::Ready(_)), "{event:?}");
                failed += usize::from(matches!(event, Event::Failed(1, _)));
            }
        }
        assert_eq!((failed, stage.hub.stats().nodes), (1, 1));
    });
}

/// Without this, a round of polling holds up everything else.
#[test]
fn a_round_of_polling_is_done_in_slices() {
    super::harness::run(super::harness::options(crate::sys::fs::hub::BackendKind::Poll), async |stage| {
        stage.forest();
        stage.subscribe(1, "t", Tree);
        stage.calm().await;
        stage.hub.core.slice = Duration::ZERO;
        stage.hub.core.tick();
        let steps = std::iter::from_fn(|| (!stage.hub.is_settled()).then(|| drop(stage.poll()))).count();
        assert!(steps > 400, "{steps}");
        stage.write("t/7/7/deep", "changed");
        stage.until(1).await;
    });
}

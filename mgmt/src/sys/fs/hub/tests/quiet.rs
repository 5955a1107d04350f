//! The check on other threads whether anything has happened since.

use std::time::Duration;

use super::harness::{options, run};
use crate::sys::fs::hub::{BackendKind, Watched};

#[test]
fn it_is_quiet_until_something_happens_be_it_read_since_or_not() {
    run(options(BackendKind::Inotify), async |stage| {
        stage.subscribe(1, "a", Watched::Path);
        let quiet = stage.hub.quiet().unwrap();
        assert!(quiet.is_quiet());
        assert!(stage.hub.take().is_empty());
        assert!(quiet.is_quiet(), "a read that finds nothing");
        stage.write("a", "");
        assert!(!quiet.is_quiet(), "it is in the queue");
        let late = stage.hub.quiet().unwrap();
        assert!(!late.is_quiet(), "so it was when this was asked for");
        stage.until(1).await;
        assert!(!quiet.is_quiet() && !late.is_quiet(), "it was read");
        assert!(stage.hub.quiet().unwrap().is_quiet());
    });
}

#[test]
fn it_is_not_quiet_as_long_as_something_is_left_to_report() {
    run(options(BackendKind::Inotify), async |stage| {
        stage.hub.core.slice = Duration::ZERO;
        stage.mkdirs("t");
        stage.subscribe(1, "t", Watched::Tree);
        stage.mkdirs("new/a/b/c");
        stage.rename("new", "t/new");
        stage.until(1).await;
        assert!(stage.hub.quiet().is_none(), "not all has been looked at");
        // This looks at all nodes that are left, and reports nothing.
        stage.subscribe(2, "other", Watched::Path);
        assert!(stage.hub.quiet().is_none(), "what was reported early is reported again");
        stage.until(1).await;
        assert!(stage.hub.quiet().unwrap().is_quiet());
    });
}

#[test]
fn where_no_queue_is_read_it_is_not_known() {
    for backend in [BackendKind::Poll, BackendKind::Notify] {
        run(options(backend), async |stage| assert!(stage.hub.quiet().is_none()));
    }
}

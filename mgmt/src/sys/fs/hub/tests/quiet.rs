//! What is asked on other threads: whether anything has happened since.

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
fn where_no_queue_is_read_it_is_not_known() {
    for backend in [BackendKind::Poll, BackendKind::Notify] {
        run(options(backend), async |stage| assert!(stage.hub.quiet().is_none()));
    }
}

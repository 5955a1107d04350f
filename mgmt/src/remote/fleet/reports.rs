//! The queue of reports to the program: what hosts report is bounded, what the run of all reports is not, since it is
//! little, and must not keep the run from being stopped.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::remote::fleet::report::FleetReport;

/// A report, and its place among those that are counted.
type Queued = (FleetReport, Option<OwnedSemaphorePermit>);

/// Where reports come in. Clones lead to the same reader.
#[derive(Clone, Debug)]
pub(super) struct Reports {
    queue: mpsc::UnboundedSender<Queued>,
    places: Arc<Semaphore>,
}

/// Where reports are read.
#[derive(Debug)]
pub(super) struct Reader(mpsc::UnboundedReceiver<Queued>);

/// A queue in which at most `max` reports of hosts wait.
pub(super) fn queue(max: usize) -> (Reports, Reader) {
    let (queue, read) = mpsc::unbounded_channel();
    (Reports { queue, places: Arc::new(Semaphore::new(max)) }, Reader(read))
}

impl Reports {
    /// Adds a report at once. An error would mean that nothing reads any more.
    pub(super) fn add(&self, report: FleetReport) {
        let _ = self.queue.send((report, None));
    }

    /// Adds a report as soon as there is a place for it.
    pub(super) async fn add_in_turn(&self, report: FleetReport) {
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let _ = self.queue.send((report, place));
    }
}

impl Reader {
    /// The next report; `None`: there will be none.
    pub(super) async fn next(&mut self) -> Option<FleetReport> {
        self.0.recv().await.map(|(report, _)| report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::fleet::roster::Verdict;

    #[tokio::test]
    async fn hosts_wait_for_a_slow_reader_and_the_run_of_all_does_not() {
        let (reports, mut reader) = queue(2);
        let listed = |n: usize| FleetReport::Listed(vec![n.to_string()]);
        reports.add_in_turn(listed(1)).await;
        reports.add_in_turn(listed(2)).await;
        let third = tokio::spawn({
            let reports = reports.clone();
            async move { reports.add_in_turn(listed(3)).await }
        });
        reports.add(FleetReport::Stopping(Verdict::Converged));
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
        assert!(matches!(reader.next().await, Some(FleetReport::Listed(names)) if names == ["1"]));
        third.await.unwrap();
        assert!(matches!(reader.next().await, Some(FleetReport::Listed(names)) if names == ["2"]));
        assert!(matches!(reader.next().await, Some(FleetReport::Stopping(Verdict::Converged))));
        // A reader that is gone keeps nothing waiting.
        drop(reader);
        reports.add_in_turn(listed(4)).await;
        reports.add_in_turn(listed(5)).await;
    }
}

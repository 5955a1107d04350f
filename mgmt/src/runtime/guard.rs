//! Guards the prefix of a running engine: if the prefix, or the journal in it, is deleted or moved away, it is made
//! again, or the engine ends.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use crate::gapi::Failure;
use crate::journal::JournalError;
use crate::runtime::drive::Request;
use crate::runtime::store::Store;
use crate::scheduler::StopStage;
use crate::sys::task::blocking;
use crate::sys::threads::on_thread;
use crate::sys::vigil::Vigil;

/// The pause before another attempt to write the journal.
const AGAIN: Duration = Duration::from_secs(5);

/// Why an engine has lost its prefix for good.
pub(crate) type Loss = Arc<OnceLock<Failure>>;

/// The guard of a prefix.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) prefix: PathBuf,
    pub(crate) store: Arc<Store>,
    pub(crate) requests: mpsc::WeakUnboundedSender<Request>,
    pub(crate) loss: Loss,
    /// Notified when something in the prefix may have gone, and when it was made again.
    pub(crate) stirred: Arc<Notify>,
}

impl Guard {
    /// Guards the prefix, after `delay`, until the engine ends. If no watch can be had, the prefix is not guarded.
    pub(crate) async fn run<T>(self, delay: Duration, mut ended: watch::Receiver<Option<T>>) {
        if tokio::time::timeout(delay, ended.wait_for(Option::is_some)).await.is_ok() {
            return;
        }
        loop {
            let lock = self.store.lock_path(&self.prefix);
            let mut vigil = match Vigil::over(&lock) {
                Ok(vigil) => vigil,
                Err(error) if self.store.is_in_place() => {
                    return tracing::debug!(target: "mgmt", "the prefix is not guarded: {error}");
                }
                Err(_) => {
                    if !self.restore().await {
                        return;
                    }
                    self.stirred.notify_one();
                    continue;
                }
            };
            // Changes from before the vigil began are seen here.
            while self.store.is_in_place() {
                let stirred = tokio::select! {
                    _ = ended.wait_for(Option::is_some) => None,
                    stirred = vigil.stirred() => Some(stirred),
                };
                match stirred {
                    Some(Ok(())) => self.stirred.notify_one(),
                    Some(Err(error)) => {
                        return tracing::debug!(target: "mgmt", "the prefix is no longer guarded: {error}");
                    }
                    // To end the vigil takes milliseconds, in which this thread has other things to do.
                    None => return drop(on_thread(|| drop(vigil)).await),
                }
            }
            if !self.restore().await {
                return;
            }
            self.stirred.notify_one();
        }
    }

    /// Makes the prefix again. Returns whether this engine has it.
    async fn restore(&self) -> bool {
        let Some(requests) = self.requests.upgrade() else { return false };
        let (store, prefix) = (Arc::clone(&self.store), self.prefix.clone());
        let (is_journal_alone, is_lock_alone) = (self.store.has_its_lock(), self.store.has_its_journal());
        match blocking(move || store.restore(&prefix)).await {
            Ok(()) if is_journal_alone => {
                tracing::warn!(
                    target: "mgmt",
                    "the journal in the prefix {} was deleted or replaced: it is written again, with all that it contained",
                    self.prefix.display()
                );
                true
            }
            Ok(()) if is_lock_alone => {
                tracing::warn!(
                    target: "mgmt",
                    "the lock file in the prefix {} was deleted or replaced: it is made again",
                    self.prefix.display()
                );
                true
            }
            Ok(()) => {
                tracing::warn!(
                    target: "mgmt",
                    "the prefix {} was deleted or moved away: it is made again, with all that the journal remembers; \
                     what resources kept there in files of their own is gone",
                    self.prefix.display()
                );
                true
            }
            Err(JournalError::Io { source, .. }) if is_closed(&source) => false,
            // No other engine can start, and all content is in memory: the writer, which has reported it, tries again.
            Err(JournalError::Io { .. }) if is_journal_alone => {
                drop(requests);
                tokio::time::sleep(AGAIN).await;
                true
            }
            Err(error) => {
                tracing::error!(
                    target: "mgmt",
                    "the prefix {} or its journal was deleted or moved away, and can't be made again, so the engine ends: {error}",
                    self.prefix.display()
                );
                let _ = self.loss.set(Failure::of("the prefix is lost", error));
                // If the loop has ended, the engine has stopped already.
                let _ = requests.send(Request::Stop(StopStage::Drain));
                false
            }
        }
    }
}

/// The journal is closed: the engine is ending anyway.
fn is_closed(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(crate::journal::CommitError::Closed))
}

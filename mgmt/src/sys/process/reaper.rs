//! Collects children whose owner is gone, so that none remains a zombie.

use std::process::Child;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// The sender to the thread that collects; `None` while there is nothing to collect.
static LINE: Mutex<Option<Sender<Child>>> = Mutex::new(None);

/// Waits in the background for this child, which has been killed. Independent of any async runtime, since that may be
/// ending.
pub(super) fn collect(mut child: Child) {
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    let mut line = LINE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(sender) = &*line {
        match sender.send(child) {
            Ok(()) => return,
            Err(returned) => child = returned.0,
        }
    }
    let (sender, receiver) = channel();
    match std::thread::Builder::new().name("mgmt-reaper".into()).spawn(move || work(&receiver)) {
        Ok(_) => {
            // The thread that has just started owns the receiver, and it sets `LINE` to `None` before it ends.
            let _ = sender.send(child);
            *line = Some(sender);
        }
        // The system gives no thread. The child has been killed, so it ends soon.
        Err(_) => drop(child.wait()),
    }
}

fn work(receiver: &Receiver<Child>) {
    let mut children: Vec<Child> = Vec::new();
    let mut pause = Duration::from_millis(1);
    loop {
        match receiver.recv_timeout(pause) {
            Ok(child) => {
                children.push(child);
                pause = Duration::from_millis(1);
            }
            Err(RecvTimeoutError::Timeout) => pause = (pause * 2).min(Duration::from_millis(100)),
            Err(RecvTimeoutError::Disconnected) => {}
        }
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        if children.is_empty() {
            let mut line = LINE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            // Senders hold the lock, so nothing can arrive after this look.
            match receiver.try_recv() {
                Ok(child) => children.push(child),
                Err(_) => {
                    *line = None;
                    return;
                }
            }
        }
    }
}

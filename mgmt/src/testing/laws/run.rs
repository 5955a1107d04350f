//! Tries all laws on a subject.

use crate::testing::laws::law::{Broken, Law, Report};
use crate::testing::laws::stage::Seen;
use crate::testing::laws::subject::Subject;
use crate::testing::laws::{cancelled, in_sync, looks, noop, once, undone, watched};

/// Tries all laws, and returns those that could be tried: without a way to break the resource, or for a kind that never
/// drifts, some laws can't be tried.
///
/// # Panics
/// If the kind breaks a law, with what was observed, at the line of the caller; or if the subject's own functions
/// panic.
#[track_caller]
pub fn check(subject: Subject) -> Vec<Law> {
    let report = report(subject);
    let broken: Vec<_> = report.broken.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    report.kept
}

/// Like [`check`], with a report in place of a panic.
///
/// # Panics
/// If the subject's own functions panic, or no thread can be started.
pub fn report(subject: Subject) -> Report {
    // In its own thread, since the caller may be in a runtime.
    let run = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime starts").block_on(try_all(&subject))
    });
    run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn try_all(subject: &Subject) -> Report {
    let mut report = Report::default();
    for law in Law::ALL.into_iter().chain([Law::UndoRestores]) {
        match hold(law, subject).await {
            Ok(true) => report.kept.push(law),
            Ok(false) => {}
            Err(seen) => {
                report.broken.push(Broken { law, kind: subject.kind, seen });
                // The other laws build on these two: their reports would only repeat this one.
                if matches!(law, Law::CheckChangesNothing | Law::ApplyThenCheckIsInSync) {
                    break;
                }
            }
        }
    }
    report
}

/// Whether the law could be tried; the error is what was observed of a broken law.
async fn hold(law: Law, subject: &Subject) -> Seen<bool> {
    match law {
        Law::CheckChangesNothing => looks::hold(subject).await,
        Law::ApplyThenCheckIsInSync => in_sync::hold(subject).await,
        Law::ApplyTwiceIsApplyOnce => once::hold(subject).await,
        Law::AnOutsideChangeIsHeard => watched::hold(subject).await,
        Law::NoopNeverApplies => noop::hold(subject).await,
        Law::CancelledApplyIsRepaired => cancelled::hold(subject).await,
        Law::UndoRestores => undone::hold(subject).await,
    }
}

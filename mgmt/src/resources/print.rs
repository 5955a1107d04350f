//! `print`: writes a text to the log of the program.

use std::sync::{Mutex, PoisonError};

use crate::id::{in_one_line, shortened};
use crate::resource::{ApplyCx, Change, CheckCx, Converge, Digest, Refresh, Result, digest_of};
use mgmt_macros::Resource;

/// Writes a text to the log of the program: once in the life of the process, again when the text changes, and at each
/// refresh. For messages with a priority, or in the systemd journal or syslog, there is `msg`. The text can't be a
/// secret.
///
/// In noop the text is written once, marked as noop; a refresh then writes nothing.
///
/// # In Rust
/// The log entries are events of `tracing` with the target `mgmt::print` and the level info.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "print", unwatched, inline)]
pub struct Print {
    /// The name of the resource.
    #[resource(name)]
    name: String,
    /// The text. It is written as one line, with escapes for line ends and control characters. Default: the name.
    msg: Option<String>,
    /// Whether the text is written only at a refresh: when a resource that notifies this one has changed. Default:
    /// false.
    #[resource(default)]
    refresh_only: bool,
}

/// The text that was written last.
#[derive(Debug, Default)]
struct Written(Mutex<Option<Digest>>);

/// The text that was written last in noop.
#[derive(Debug, Default)]
struct WrittenInNoop(Written);

impl Written {
    fn is(&self, text: Digest) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) == Some(text)
    }

    /// Returns whether another text, or none, was written before.
    fn set(&self, text: Digest) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(text) != Some(text)
    }
}

impl Converge for Print {
    type Drift = Change;

    const STANDS_ALONE: bool = true;
    const LASTS: bool = false;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        const CHARS_MAX: usize = 100;
        let text = digest_of(&self.text());
        if self.refresh_only || cx.local::<Written>().is(text) {
            return Ok(None);
        }
        // Nothing will be applied: the text is written here, marked as noop.
        if cx.is_noop() && cx.local::<WrittenInNoop>().0.set(text) {
            self.print(" (noop)");
        }
        Ok(Some(Change::new("msg", "not printed yet", format_args!("print `{}`", shortened(self.text(), CHARS_MAX)))))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        self.print("");
        cx.local::<Written>().set(digest_of(&self.text()));
        Ok(())
    }
}

impl Refresh for Print {
    async fn refresh(&self, cx: &ApplyCx) -> Result<bool> {
        self.print("");
        cx.local::<Written>().set(digest_of(&self.text()));
        Ok(true)
    }
}

impl Print {
    fn text(&self) -> &str {
        self.msg.as_deref().unwrap_or(&self.name)
    }

    fn print(&self, noop: &str) {
        // A line of another program must not look like a line of this log.
        tracing::info!(target: "mgmt::print", "print[{}]{noop}: {}", in_one_line(&self.name), in_one_line(self.text()));
    }
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use std::any::TypeId;
    use std::io::{self, Write};
    use std::sync::Arc;

    use super::*;
    use crate::resource::{Resource as _, Secret};
    use crate::testing::Fake;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        /// What this thread logs goes here from now on.
        fn start() -> (Log, tracing::subscriber::DefaultGuard) {
            let log = Log::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).without_time();
            (log, tracing::subscriber::set_default(subscriber.with_ansi(false).finish()))
        }

        /// The lines since the last call.
        fn take(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            String::from_utf8(bytes)
                .unwrap()
                .lines()
                .filter(|line| line.contains("print["))
                .map(str::to_owned)
                .collect()
        }
    }

    #[tokio::test]
    async fn a_text_is_printed_once_again_when_it_changes_and_at_each_refresh() {
        let (log, _guard) = Log::start();
        let mut host = Fake::new().unwrap();
        let print = host.put(Print::new("hello"));
        assert_eq!(print.settle().await.unwrap().changes, [Change::new("msg", "not printed yet", "print `hello`")]);
        assert_eq!(log.take(), [" INFO mgmt::print: print[hello]: hello"]);
        assert!(print.settle().await.unwrap().in_sync());
        let other = print.becomes(Print::new("hello").msg("bye"));
        other.settle().await.unwrap();
        assert!(other.refresh().await.unwrap().changed);
        assert_eq!(log.take(), [" INFO mgmt::print: print[hello]: bye"; 2]);
        assert!(other.settle().await.unwrap().in_sync());
        host.restart();
        host.put(Print::new("hello")).settle().await.unwrap();
        assert_eq!(log.take().len(), 1);
    }

    #[tokio::test]
    async fn with_refresh_only_nothing_is_printed_but_at_a_refresh() {
        let (log, _guard) = Log::start();
        let host = Fake::new().unwrap();
        let print = host.put(Print::new("p").msg("reloaded").refresh_only(true));
        assert!(print.settle().await.unwrap().in_sync());
        assert!(print.clone().noop().settle().await.unwrap().in_sync());
        assert!(log.take().is_empty());
        for _ in 0..2 {
            assert!(print.refresh().await.unwrap().changed);
            assert_eq!(log.take(), [" INFO mgmt::print: print[p]: reloaded"]);
            assert!(print.settle().await.unwrap().in_sync());
        }
    }

    #[tokio::test]
    async fn in_noop_it_is_printed_once_and_marked_so() {
        let (log, _guard) = Log::start();
        let host = Fake::new().unwrap();
        let print = host.put(Print::new("p")).noop();
        for _ in 0..2 {
            assert_eq!(print.settle().await.unwrap().changes.len(), 1);
        }
        assert_eq!(log.take(), [" INFO mgmt::print: print[p] (noop): p"]);
    }

    #[tokio::test]
    async fn a_foreign_text_stays_on_its_line_and_in_its_colours() {
        let (log, _guard) = Log::start();
        let host = Fake::new().unwrap();
        let long = "x".repeat(1000);
        let print = host.put(Print::new("a\nb").msg(format!("one\ntwo\u{1b}[2J{long}")));
        let change = print.settle().await.unwrap().changes.remove(0);
        assert!(change.to.starts_with("print `one\\ntwo\\u{1b}[2J") && change.to.len() < 150, "{change}");
        assert_eq!(log.take(), [format!(" INFO mgmt::print: print[a\\nb]: one\\ntwo\\u{{1b}}[2J{long}")]);
    }

    #[test]
    fn no_secret_can_be_sent_to_it() {
        let msg = &Print::spec().fields[0];
        assert_eq!(msg.name, "msg");
        assert!((msg.takes)(TypeId::of::<String>()) && !(msg.takes)(TypeId::of::<Secret<String>>()));
    }
}

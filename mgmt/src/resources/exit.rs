//! `exit`: ends the program.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::resource::{ApplyCx, Change, CheckCx, Converge, Refresh, Result};
use mgmt_macros::Resource;

/// Ends the program with an exit code when its turn has come: once all resources before it are as declared.
///
/// The engine stops as at a first ^C: no operation begins any more, so resources after this one do not run; repairs
/// under way may end, and a signal cancels them; running checks are cancelled. Owed refreshes are made in the next run.
/// If several resources of this kind are reached, the code of the first one counts.
///
/// In noop the program does not end. A refresh ends it too.
///
/// # In Rust
/// An engine in a program of your own stops, and [`Engine::exit_code`](crate::Engine::exit_code) returns the code; the
/// program itself continues.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "exit", unwatched, inline)]
pub struct Exit {
    /// The name of the resource.
    #[resource(name)]
    name: String,
    /// The exit code: 0 to 255. Default: 0.
    #[resource(default)]
    code: u8,
}

/// Whether the end of the program was requested.
#[derive(Debug, Default)]
struct Requested(AtomicBool);

impl Converge for Exit {
    type Drift = Change;

    const STANDS_ALONE: bool = true;
    const LASTS: bool = false;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let is_requested = cx.local::<Requested>().0.load(Ordering::Relaxed);
        Ok((!is_requested).then(|| Change::new("code", "running", format_args!("ends with code {}", self.code))))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        self.end(cx);
        Ok(())
    }
}

impl Refresh for Exit {
    async fn refresh(&self, cx: &ApplyCx) -> Result<bool> {
        self.end(cx);
        Ok(true)
    }
}

impl Exit {
    fn end(&self, cx: &ApplyCx) {
        cx.local::<Requested>().0.store(true, Ordering::Relaxed);
        cx.end_program(self.code);
    }
}

//! Standard error, written by a thread of its own: if its reader stops reading, the program continues, and signals
//! still end it.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::TermLike;

use crate::sys::terminal;

/// The most output, in bytes, that waits for the reader. Further output is dropped and counted.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// The queue to standard error. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlet(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when everything is written.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    left_out: usize,
    /// Whether a thread writes, or is about to start.
    is_writing: bool,
}

impl Outlet {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a text, to be written after all that waits. Never blocks.
    pub(crate) fn write(&self, text: Vec<u8>) {
        let mut state = self.lock();
        if state.bytes + text.len() > WAITING_BYTES_MAX {
            state.left_out += 1;
            return;
        }
        state.bytes += text.len();
        state.waiting.push_back(text);
        if state.is_writing {
            return;
        }
        state.is_writing = true;
        drop(state);
        let outlet = self.clone();
        if std::thread::Builder::new().name("mgmt-output".into()).spawn(move || outlet.work()).is_err() {
            // The system gives no thread: write here as much as is possible without waiting.
            self.write_what_goes();
        }
    }

    /// Waits until everything is written, but no longer than `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut state = self.lock();
        while state.is_writing {
            let Some(left) = end.checked_duration_since(Instant::now()) else { return };
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The work of the thread: writes until nothing waits.
    fn work(&self) {
        while let Some(text) = self.next() {
            // An error means that standard error is closed, and there is nowhere else to report it.
            let _ = io::stderr().write_all(&text);
        }
    }

    fn write_what_goes(&self) {
        while terminal::takes_more(io::stderr())
            && let Some(text) = self.next()
        {
            let _ = io::stderr().write_all(&text);
        }
        self.lock().is_writing = false;
    }

    /// The text to write next. `None`: nothing waits, and the thread must end.
    fn next(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        match state.waiting.pop_front() {
            Some(text) => {
                state.bytes -= text.len();
                Some(text)
            }
            None if state.left_out > 0 => {
                let count = std::mem::take(&mut state.left_out);
                Some(format!("({count} lines are missing here: what was written was not read)\n").into_bytes())
            }
            None => {
                state.is_writing = false;
                self.0.changed.notify_all();
                None
            }
        }
    }
}

/// The terminal of a progress bar: collects what the bar draws, and writes it as one text at each flush.
#[derive(Debug)]
pub(crate) struct Canvas {
    outlet: Outlet,
    drawn: Mutex<Vec<u8>>,
}

impl Canvas {
    pub(crate) fn new(outlet: Outlet) -> Canvas {
        Canvas { outlet, drawn: Mutex::default() }
    }

    fn draw(&self, text: &str) -> io::Result<()> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn move_cursor(&self, n: usize, way: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { self.draw(&format!("\x1b[{n}{way}")) }
    }
}

impl TermLike for Canvas {
    fn width(&self) -> u16 {
        terminal::width(io::stderr())
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.draw(text)?;
        self.draw("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.draw(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.draw("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let drawn = std::mem::take(&mut *self.drawn.lock().unwrap_or_else(PoisonError::into_inner));
        if !drawn.is_empty() {
            self.outlet.write(drawn);
        }
        Ok(())
    }
}

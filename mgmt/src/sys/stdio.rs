//! The standard input and output of this process as one conversation, which nothing else in the process disturbs: what
//! other code prints goes to standard error, and what it reads is empty.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::thread;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::{dup2_stdin, dup2_stdout};
use tokio::sync::mpsc;

/// The most bytes that are read at once.
const PART_BYTES: usize = 1 << 16;
/// The parts that wait to be taken.
const PARTS_MAX: usize = 16;
/// The stack of a thread that only reads or writes.
const STACK_BYTES: usize = 128 << 10;
/// The first number that is not a standard stream.
const FIRST: i32 = 3;

/// Both ends of the conversation.
#[derive(Debug)]
pub struct Conversation {
    /// What comes in, in parts as they come. It ends with the input, and with the first error.
    pub input: mpsc::Receiver<io::Result<Vec<u8>>>,
    /// What goes out. One part waits; the sender waits for room. It is closed when nothing can be written any more.
    pub output: mpsc::Sender<Vec<u8>>,
}

/// Takes the standard streams. Each is served by a thread of its own, which blocks: they may be anything, and may be
/// open in other processes, whose mode must not change.
///
/// # Errors
/// A stream is closed, or the system gives no descriptor or no thread.
pub fn take() -> io::Result<Conversation> {
    io::stdout().flush()?;
    let mut from = File::from(fcntl_dupfd_cloexec(io::stdin(), FIRST)?);
    let mut to = File::from(fcntl_dupfd_cloexec(io::stdout(), FIRST)?);
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(io::stderr())?;
    let (parts, input) = mpsc::channel(PARTS_MAX);
    let (output, mut wanted) = mpsc::channel::<Vec<u8>>(1);
    let reading = move || {
        let mut part = vec![0; PART_BYTES];
        loop {
            let read = match from.read(&mut part) {
                Ok(0) => return,
                Ok(count) => Ok(part[..count].to_vec()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_over = read.is_err();
            if parts.blocking_send(read).is_err() || is_over {
                return;
            }
        }
    };
    let writing = move || {
        while let Some(part) = wanted.blocking_recv() {
            if to.write_all(&part).is_err() {
                return;
            }
        }
    };
    let named = |name: &str| thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
    named("mgmt-input").spawn(reading)?;
    named("mgmt-output").spawn(writing)?;
    Ok(Conversation { input, output })
}

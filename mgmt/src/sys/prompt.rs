//! Questions to the user at the controlling terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::sys::task::blocking;

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 4096;
/// How long it takes at most until a question that is given up leaves the terminal.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Whether there is a terminal at which the user can be asked.
pub fn has_terminal() -> bool {
    terminal().is_ok()
}

fn terminal() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

/// Asks the user, and returns the answer without its end of line; `None`: the user has ended the input (^D). With
/// `is_secret`, what is typed is not shown. When the future is dropped, the terminal is left as it was.
///
/// # Errors
/// There is no terminal, or it can't be used.
pub async fn ask(question: String, is_secret: bool) -> io::Result<Option<Zeroizing<String>>> {
    let given_up = GivenUp(Arc::default());
    let flag = Arc::clone(&given_up.0);
    let answer = blocking(move || ask_here(&terminal()?, &question, is_secret, &flag)).await;
    drop(given_up);
    answer
}

/// Tells the thread that nothing waits for the answer any more.
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Restores the terminal.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // An error means that the terminal is gone.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
        let _ = (&mut &*self.terminal).write_all(b"\n");
    }
}

impl<'a> Quiet<'a> {
    fn new(terminal: &'a File) -> io::Result<Quiet<'a>> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
        // What was typed before the question is no answer to it.
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Quiet { terminal, before })
    }
}

fn ask_here(
    terminal: &File,
    question: &str,
    is_secret: bool,
    given_up: &AtomicBool,
) -> io::Result<Option<Zeroizing<String>>> {
    let quiet = is_secret.then(|| Quiet::new(terminal)).transpose()?;
    (&mut &*terminal).write_all(question.as_bytes())?;
    let mut answer = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
    let mut part = Zeroizing::new([0; 256]);
    loop {
        if given_up.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut wanted = [PollFd::new(terminal, PollFlags::IN)];
        match poll(&mut wanted, Some(&LOOK)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let read = io::Read::read(&mut &*terminal, &mut part[..])?;
        let new = part.get(..read).unwrap_or_default();
        if let Some(end) = new.iter().position(|byte| *byte == b'\n') {
            answer.extend_from_slice(new.get(..end).unwrap_or_default());
            break;
        }
        answer.extend_from_slice(new);
        if read == 0 && answer.is_empty() {
            return Ok(None);
        }
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(io::Error::other(format!("an answer of more than {ANSWER_BYTES_MAX} bytes")));
        }
        if read == 0 {
            break;
        }
    }
    drop(quiet);
    let text = std::str::from_utf8(&answer).map_err(|_| io::Error::other("the answer is not UTF-8"))?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::time::{Duration, Instant};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// Both ends of a terminal.
    fn terminal() -> (File, File) {
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&user).unwrap();
        unlockpt(&user).unwrap();
        let name = ptsname(&user, Vec::new()).unwrap();
        let program = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        (File::from(user), program)
    }

    #[test]
    fn a_secret_is_not_echoed_and_another_answer_is() {
        for (is_secret, shown) in [(true, "Password: \r\n"), (false, "Password: canary\r\n")] {
            let (mut user, program) = terminal();
            let asking = std::thread::spawn(move || {
                let answer = ask_here(&program, "Password: ", is_secret, &AtomicBool::new(false));
                (answer, program)
            });
            let mut seen = Vec::new();
            let mut part = [0; 64];
            while !seen.ends_with(b": ") {
                let read = user.read(&mut part).unwrap();
                seen.extend_from_slice(&part[..read]);
            }
            user.write_all(b"canary\n").unwrap();
            let (answer, program) = asking.join().unwrap();
            assert_eq!(answer.unwrap().unwrap().as_str(), "canary");
            while !seen.ends_with(b"\n") {
                let read = user.read(&mut part).unwrap();
                seen.extend_from_slice(&part[..read]);
            }
            assert_eq!(String::from_utf8_lossy(&seen), shown);
            assert!(tcgetattr(&program).unwrap().local_modes.contains(LocalModes::ECHO));
        }
    }

    #[test]
    fn a_question_that_is_given_up_leaves_the_terminal_as_it_was() {
        let (_user, program) = terminal();
        let given_up = Arc::new(AtomicBool::new(false));
        let asking = std::thread::spawn({
            let given_up = Arc::clone(&given_up);
            move || (ask_here(&program, "Password: ", true, &given_up), program)
        });
        std::thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        given_up.store(true, Ordering::Relaxed);
        let (answer, program) = asking.join().unwrap();
        assert!(answer.unwrap().is_none() && began.elapsed() < Duration::from_secs(1));
        assert!(tcgetattr(&program).unwrap().local_modes.contains(LocalModes::ECHO));
    }
}

//! What standard error is: a terminal and its capacity, or the stream of the journal.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::fstat;
use rustix::termios::tcgetwinsize;

/// The width in columns where it can't be determined.
const WIDTH: u16 = 80;

/// The width in columns; 80 where it can't be determined.
pub fn width(terminal: impl AsFd) -> u16 {
    tcgetwinsize(terminal).map_or(WIDTH, |size| if size.ws_col == 0 { WIDTH } else { size.ws_col })
}

/// Whether a line can be written now without waiting for a reader.
pub fn takes_more(output: impl AsFd) -> bool {
    let mut wanted = [PollFd::new(&output, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut wanted, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// Whether this output is the stream of systemd's journal with this name: the value of `JOURNAL_STREAM`, which is its
/// device and inode, `DEVICE:INODE`.
pub fn is_journal(output: impl AsFd, stream: &str) -> bool {
    fstat(output).is_ok_and(|stat| format!("{}:{}", stat.st_dev, stat.st_ino) == stream)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_full_pipe_takes_no_more() {
        let (_reader, writer) = std::io::pipe().unwrap();
        assert!(takes_more(&writer));
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        while (&writer).write(&[0; 4096]).is_ok() {}
        assert!(!takes_more(&writer));
        assert_eq!(width(&writer), WIDTH);
    }
}

//! The output of commands.

use std::time::Duration;

use crate::sys::process::*;

use super::common::*;

#[tokio::test]
async fn endless_output_is_bounded_and_does_not_block() {
    let mark = Mark::new();
    let before = resident();
    let output = run(&mark.sh("head -c 1G /dev/zero; echo end")).await.unwrap();
    let grown = resident().saturating_sub(before);
    assert!(output.status.success() && output.complete);
    assert_eq!(output.stdout.total(), (1 << 30) + 4);
    assert_eq!((output.stdout.head.len(), output.stdout.tail.len()), (OUTPUT_BYTES_MAX, OUTPUT_BYTES_MAX));
    assert!(output.stdout.tail.ends_with(b"\0end\n"));
    // Other tests run at the same time; a gigabyte would be visible nevertheless.
    assert!(grown < 200 << 20, "grew by {grown} bytes");
    mark.all_gone().await;
}

/// The memory in use, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[tokio::test]
async fn both_streams_full_at_once_do_not_deadlock() {
    let command = Command::shell("/bin/sh", "head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero").output_max(10);
    let output = run(&command).await.unwrap();
    assert_eq!((output.stdout.total(), output.stderr.total()), (3_000_000, 3_000_000));
}

#[tokio::test]
async fn output_that_never_ends_is_stopped_by_the_timeout() {
    let mark = Mark::new();
    let command = mark.sh("yes; :").timeout(Duration::from_millis(300));
    assert!(matches!(run(&command).await, Err(ProcessError::Timeout { .. })));
    assert_eq!(mark.pids(), Vec::<i32>::new());
}

#[tokio::test]
async fn output_that_is_not_utf8_is_kept_and_can_be_shown() {
    let output = run(&Command::shell("/bin/sh", r"printf 'a\377\200\033[0m\000'")).await.unwrap();
    assert_eq!(output.stdout.whole().unwrap(), b"a\xff\x80\x1b[0m\0");
    assert_eq!(output.stdout.text(), r"a\xff\x80\x1b[0m\x00");
}

#[tokio::test]
async fn who_closes_its_output_but_lives_on_is_waited_for_and_bounded_by_the_timeout() {
    let mark = Mark::new();
    let output = run(&mark.sh("exec >&- 2>&-; sleep 0.2; exit 5")).await.unwrap();
    assert_eq!(output.status, Status::Exit(5));
    let command = mark.sh("exec >&- 2>&-; sleep 1000").timeout(Duration::from_millis(200));
    assert!(matches!(run(&command).await, Err(ProcessError::Timeout { .. })));
    assert_eq!(mark.pids(), Vec::<i32>::new());
}

#[tokio::test]
async fn what_descendants_say_soon_after_the_end_is_heard() {
    let output = run(&Command::shell("/bin/sh", "(sleep 0.1; echo late) & echo early").linger(LONG)).await.unwrap();
    assert_eq!((whole(&output.stdout), output.complete), ("early\nlate\n".into(), true));
}

#[tokio::test]
async fn lines_come_as_they_are_written() {
    let mark = Mark::new();
    let command = mark.sh("echo one; echo; printf 'two\\377'; sleep 0.05; echo; echo err >&2; echo three; exit 4");
    let mut lines = spawn_lines(&command.linger(LONG)).await.unwrap();
    let mut got = Vec::new();
    let end = loop {
        match lines.next().await.unwrap().unwrap() {
            LineEvent::Line(line) => got.push(line.text()),
            end => break end,
        }
    };
    assert_eq!(got, ["one", r"two\xff", "three"]);
    let LineEvent::Ended { status, stderr } = end else { unreachable!() };
    assert_eq!((status, whole(&stderr)), (Status::Exit(4), "err\n".into()));
    assert!(lines.next().await.is_none());
    mark.all_gone().await;
}

#[tokio::test]
async fn a_line_is_there_before_the_command_ends_and_dropping_the_stream_ends_it() {
    let mark = Mark::new();
    let mut lines = spawn_lines(&mark.sh("echo event; sleep 1000 & wait")).await.unwrap();
    let LineEvent::Line(line) = lines.next().await.unwrap().unwrap() else { panic!("no line") };
    assert_eq!(line.bytes, b"event");
    // A call that is dropped loses nothing.
    assert!(tokio::time::timeout(Duration::from_millis(20), lines.next()).await.is_err());
    mark.wait_for(2).await;
    drop(lines);
    mark.all_gone().await;
}

#[tokio::test]
async fn a_stream_whose_output_ends_is_over() {
    let mark = Mark::new();
    let short =
        |script| mark.sh(script).linger(Duration::from_millis(100)).stop(Signal::TERM, Duration::from_millis(200));
    // The command closes its output and continues; or it ends while another process holds the output.
    for (script, wanted) in [
        ("echo x; trap '' TERM; exec >&- 2>&-; while :; do sleep 1; done", Status::Signal(9)),
        ("echo x; sleep 1000 & exit 0", Status::Exit(0)),
    ] {
        let mut lines = spawn_lines(&short(script)).await.unwrap();
        assert!(matches!(lines.next().await, Some(Ok(LineEvent::Line(_)))));
        let Some(Ok(LineEvent::Ended { status, .. })) = lines.next().await else { panic!("no end") };
        assert_eq!(status, wanted);
        assert_eq!(mark.pids(), Vec::<i32>::new());
    }
}

#[tokio::test]
async fn a_stream_can_be_stopped_in_an_orderly_way() {
    let mark = Mark::new();
    let mut lines = spawn_lines(&mark.sh("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done")).await.unwrap();
    lines.next().await.unwrap().unwrap();
    lines.stop().await.unwrap();
    assert_eq!(mark.pids(), Vec::<i32>::new());
}

#[tokio::test]
async fn lines_without_end_are_bounded() {
    let mark = Mark::new();
    let mut lines = spawn_lines(&mark.sh("head -c 20000000 /dev/zero; echo; echo next")).await.unwrap();
    let Some(Ok(LineEvent::Line(line))) = lines.next().await else { panic!("no line") };
    assert_eq!((line.bytes.len(), line.skipped), (LINE_BYTES_MAX, 20_000_000 - LINE_BYTES_MAX as u64));
    let Some(Ok(LineEvent::Line(line))) = lines.next().await else { panic!("no line") };
    assert_eq!(line.bytes, b"next");
}

#[tokio::test]
async fn a_command_whose_whole_output_is_wanted_is_ended_when_it_says_too_much() {
    let started = std::time::Instant::now();
    let command = Command::shell("/bin/sh", "echo so >&2; yes").output_max(1000).whole_output();
    let Err(ProcessError::TooMuch { max: 2000, output, .. }) = run(&command).await else { panic!("not too much") };
    assert!(started.elapsed() < std::time::Duration::from_secs(20) && output.stdout.head.starts_with(b"y\ny\n"));
    // Output that is still unread when the command ends counts too.
    let command = Command::shell("/bin/sh", "head -c 2001 /dev/zero").output_max(1000).whole_output();
    let ended = run(&command).await;
    assert!(
        matches!(&ended, Err(ProcessError::TooMuch { .. }))
            || ended.is_ok_and(|output| output.stdout.whole().is_none())
    );
    let command = Command::shell("/bin/sh", "head -c 2000 /dev/zero").output_max(1000).whole_output();
    assert_eq!(run(&command).await.unwrap().stdout.whole().map(<[u8]>::len), Some(2000));
}

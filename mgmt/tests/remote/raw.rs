//! The far end as a near end that misbehaves sees it: lines written by hand.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::executable::program;
use crate::kit::{LONG, There, is_alive};

/// After this time without a sign of life, the near end counts as gone; and how long a run may then take to end.
const SILENCE: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(8);

/// A far end, and the lines that it has written.
struct Raw {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Raw {
    /// Starts one on this YAML graph. `reads`: whether its output is read.
    fn start(there: &There, yaml: &str, reads: bool) -> Raw {
        std::fs::write(there.path("graph.yaml"), yaml).unwrap();
        let mut child = Command::new(program())
            .args(["remote", "run", "there", "--yaml"])
            .arg(there.path("graph.yaml"))
            .arg("--prefix")
            .arg(there.prefix())
            .env("MGMT_FAR_END", "nonce")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            if reads {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            } else {
                // Open, but not read.
                std::thread::sleep(LONG);
                drop((stdout, sender));
            }
        });
        let stdin = child.stdin.take();
        Raw { child, stdin, lines }
    }

    fn begun(there: &There, yaml: &str, reads: bool) -> Raw {
        let mut raw = Raw::start(there, yaml, reads);
        raw.send(&begin(1));
        raw
    }

    fn send(&mut self, message: &Json) {
        self.send_text(&format!("{message}\n"));
    }

    fn send_text(&mut self, text: &str) {
        // It may have ended.
        let _ = self.stdin.as_mut().unwrap().write_all(text.as_bytes());
    }

    /// The next line that is such a message.
    fn until(&self, is_wanted: impl Fn(&Json) -> bool) -> Json {
        let began = Instant::now();
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(LONG.saturating_sub(began.elapsed())) {
            match serde_json::from_str(&line) {
                Ok(message) if is_wanted(&message) => return message,
                _ => seen.push(line),
            }
        }
        panic!("no such message, but {seen:#?}")
    }

    fn until_event(&self, word: &str) -> Json {
        self.until(|message| message["v"]["event"] == word)
    }

    /// Sends a sign of life for this long.
    fn live(&mut self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            self.send(&json!({ "m": "alive" }));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits for its end.
    fn end(&mut self, most: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < most, "it has not ended after {most:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn begin(version: u32) -> Json {
    let settings = json!({ "noop": false, "alert_only": false, "no_watch": false });
    json!({ "m": "begin", "v": { "version": version, "task": "run", "settings": settings, "graph": null } })
}

/// A graph with a command that runs for long; the number of its process is in the file `pid`.
fn slow(there: &There) -> String {
    let pid = there.text("pid");
    format!(
        "graph: slow\nresources:\n  exec:\n    - name: slow\n      shell: /bin/sh\n      cmd: 'echo $$ >{pid}; exec sleep 1000'\n"
    )
}

fn file(there: &There) -> String {
    format!("graph: one\nresources:\n  file:\n    - name: {}\n      content: one\n", there.text("one"))
}

/// The process of the slow command.
fn command(there: &There) -> u32 {
    let began = Instant::now();
    loop {
        match there.read("pid").and_then(|text| text.trim().parse().ok()) {
            Some(pid) if is_alive(pid) => return pid,
            _ => assert!(began.elapsed() < LONG, "the command has not begun"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn it_ends_with_its_commands_when_its_input_ends() {
    let there = There::new();
    let mut raw = Raw::begun(&there, &slow(&there), true);
    let command = command(&there);
    raw.stdin = None;
    raw.end(GRACE);
    let began = Instant::now();
    while is_alive(command) {
        assert!(began.elapsed() < LONG, "the command still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn it_ends_when_nothing_comes_any_more_and_not_before() {
    let there = There::new();
    let mut raw = Raw::begun(&there, &file(&there), true);
    raw.until_event("converged");
    raw.live(SILENCE + Duration::from_secs(2));
    assert!(raw.child.try_wait().unwrap().is_none(), "it ended although the near end lives");
    // The pipe stays open: as when a cable is pulled out.
    let began = Instant::now();
    raw.end(SILENCE + GRACE);
    assert!(began.elapsed() > SILENCE - Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn it_ends_when_the_near_end_never_begins() {
    let there = There::new();
    let mut raw = Raw::start(&there, &file(&there), true);
    assert!(!raw.end(SILENCE + GRACE).success());
    assert!(there.read("one").is_none());
}

#[test]
fn a_near_end_of_another_version_is_refused_and_nothing_is_done() {
    let there = There::new();
    let mut raw = Raw::start(&there, &file(&there), true);
    raw.send(&begin(99));
    let end = raw.until(|message| message["m"] == "end");
    assert!(end["v"]["error"].as_str().unwrap().contains("version 99"), "{end}");
    assert_eq!(raw.end(GRACE).code(), Some(1));
    assert!(there.read("one").is_none());
}

#[test]
fn what_is_no_message_ends_the_run() {
    for text in ["garbage\n".to_owned(), format!("{}\n", "x".repeat(2 << 20))] {
        let there = There::new();
        let mut raw = Raw::begun(&there, &file(&there), true);
        raw.until_event("converged");
        raw.send_text(&text);
        raw.end(GRACE);
    }
}

#[test]
fn a_near_end_that_reads_nothing_does_not_stop_the_repairs() {
    let there = There::new();
    // Each resource is an event of some hundred bytes: the pipe is full long before all have come.
    let files: String =
        (0..2000).map(|n| format!("    - name: {}/{n}\n      content: '{n}'\n", there.dir.path().display())).collect();
    let mut raw = Raw::begun(&there, &format!("graph: many\nresources:\n  file:\n{files}"), false);
    let began = Instant::now();
    let is_there = |n: usize| there.path(&n.to_string()).exists();
    while !(0..2000).all(is_there) {
        assert!(began.elapsed() < LONG, "not all were made");
        raw.live(Duration::from_millis(200));
    }
    std::fs::remove_file(there.path("1000")).unwrap();
    while !is_there(1000) {
        assert!(began.elapsed() < LONG, "it was not repaired");
        raw.live(Duration::from_millis(200));
    }
    raw.stdin = None;
    raw.end(GRACE);
}

#[test]
fn every_line_after_the_first_one_is_a_message() {
    let there = There::new();
    let raw = Raw::begun(&there, &file(&there), true);
    let lines: Vec<String> = std::iter::from_fn(|| raw.lines.recv_timeout(Duration::from_secs(3)).ok()).collect();
    assert_eq!(lines[..2], ["".to_owned(), "mgmt far end 1 nonce".to_owned()]);
    assert!(lines.len() > 6, "{lines:?}");
    for line in &lines[2..] {
        assert!(serde_json::from_str::<Json>(line).is_ok_and(|message| message["m"].is_string()), "{line}");
    }
}

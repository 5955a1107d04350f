//! Questions of ssh (keys, passwords, passphrases) on their way to what answers them, and the answers on their way
//! back.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};
use tokio::task::{JoinHandle, JoinSet};
use zeroize::Zeroizing;

use super::den::Slot;
use super::effective::Effective;
use super::endpoint::Endpoint;
use super::options::{Answers, Question, QuestionKind, SshOptions};
use crate::sys::process::escape_lossless;

/// The longest question, in bytes.
const QUESTION_BYTES_MAX: usize = 16 << 10;
/// How often the password of the address is given: further calls may make connections of their own.
const PASSWORD_USES: u32 = 16;
/// The most questions of which the refusal is remembered.
const REFUSED_MAX: usize = 8;

/// Where the questions about one host arrive. When this is dropped, no question is answered any more.
#[derive(Debug)]
pub(super) struct Desk {
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Questions that are being answered.
    open: AtomicUsize,
    /// Questions so far, without those that the password of the address has answered.
    asked: AtomicUsize,
    /// Questions that got no answer.
    refused: Mutex<Vec<String>>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Desk {
    /// Opens the desk in the directory of the host.
    pub(super) fn open(
        slot: &Slot,
        endpoint: &Endpoint,
        effective: &Effective,
        options: &SshOptions,
    ) -> io::Result<Desk> {
        let path = slot.dir().join("q");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        let receiver = OpenOptions::new().read_write(true).open_receiver(&path)?;
        let state = Arc::new(State::default());
        let clerk = Clerk {
            host: endpoint.name().to_owned(),
            dir: slot.dir().to_owned(),
            password: endpoint.password().cloned(),
            password_uses: PASSWORD_USES,
            prompts: prompts(endpoint, effective),
            answers: options.answers.clone(),
            state: Arc::clone(&state),
            replies: Vec::new(),
            tasks: JoinSet::new(),
        };
        Ok(Desk { state, task: tokio::spawn(clerk.work(receiver)) })
    }

    /// Whether a question is being answered.
    pub(super) fn is_busy(&self) -> bool {
        self.state.open.load(Ordering::Relaxed) > 0
    }

    /// Whether there were questions that the password of the address has not answered.
    pub(super) fn was_asked(&self) -> bool {
        self.state.asked.load(Ordering::Relaxed) > 0
    }

    /// The questions that got no answer.
    pub(super) fn refused(&self) -> Vec<String> {
        self.state.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks a question that is not of ssh.
    pub(super) async fn ask(&self, answers: &dyn Answers, question: Question) -> Option<Zeroizing<String>> {
        let _open = Open::new(&self.state);
        self.state.asked.fetch_add(1, Ordering::Relaxed);
        answers.answer(question).await
    }
}

/// Counts an open question.
struct Open<'a>(&'a State);

impl Open<'_> {
    fn new(state: &State) -> Open<'_> {
        state.open.fetch_add(1, Ordering::Relaxed);
        Open(state)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How the questions begin that the password of the address answers, and how they end.
fn prompts(endpoint: &Endpoint, effective: &Effective) -> Vec<(String, String)> {
    let (user, host) = (effective.user(), endpoint.host().to_lowercase());
    let mut all = vec![
        (format!("{user}@{host}'s password:"), String::new()),
        (format!("({user}@{host}) "), "assword:".to_owned()),
    ];
    // A question without a host may be one of a host in between.
    if effective.get("proxyjump").is_none() && effective.get("proxycommand").is_none() {
        all.push((String::new(), "assword:".to_owned()));
    }
    all
}

struct Clerk {
    host: String,
    dir: std::path::PathBuf,
    /// The password of the address. A host that asks again and again does not get it.
    password: Option<Zeroizing<String>>,
    password_uses: u32,
    prompts: Vec<(String, String)>,
    answers: Option<Arc<dyn Answers>>,
    state: Arc<State>,
    /// Pipes of answers, which stay open until they were read.
    replies: Vec<Sender>,
    tasks: JoinSet<()>,
}

impl Clerk {
    async fn work(mut self, mut receiver: Receiver) {
        let mut bytes = Vec::new();
        let mut buffer = [0; 1024];
        loop {
            let Ok(count) = receiver.read(&mut buffer).await else { return };
            bytes.extend_from_slice(&buffer[..count]);
            while let Some(end) = bytes.iter().position(|byte| *byte == 0) {
                let question: Vec<u8> = bytes.drain(..=end).collect();
                let text = String::from_utf8_lossy(&question[..end]).into_owned();
                self.take(&text).await;
            }
            if bytes.len() > QUESTION_BYTES_MAX {
                tracing::debug!("{}: a question of ssh is too long", self.host);
                return;
            }
        }
    }

    async fn take(&mut self, text: &str) {
        let mut parts = text.splitn(3, '\n');
        let (Some(number), Some(hint), Some(text)) = (parts.next(), parts.next(), parts.next()) else { return };
        let kind = match hint {
            "none" => QuestionKind::Notice,
            "confirm" => QuestionKind::Key,
            _ if text.contains("(yes/no") => QuestionKind::Key,
            _ => QuestionKind::Secret,
        };
        let question = Question { host: self.host.clone(), text: shown(text), kind };
        if kind == QuestionKind::Notice {
            // ssh ends the program that asks when there is nothing to be done any more.
            if let Some(answers) = &self.answers {
                let notice = answers.answer(question);
                self.tasks.spawn(async move { drop(notice.await) });
            }
            return;
        }
        let state = Arc::clone(&self.state);
        let open = Open::new(&state);
        let own = match kind == QuestionKind::Secret && self.is_for_the_password(text) {
            true if self.password_uses > 0 => {
                self.password_uses -= 1;
                self.password.clone()
            }
            true => None,
            false => None,
        };
        let answer = match (own, &self.answers) {
            (Some(password), _) => Some(password),
            (None, Some(answers)) => {
                state.asked.fetch_add(1, Ordering::Relaxed);
                answers.answer(question.clone()).await
            }
            (None, None) => None,
        };
        drop(open);
        if answer.is_none() {
            let mut refused = self.state.refused.lock().unwrap_or_else(PoisonError::into_inner);
            if refused.len() < REFUSED_MAX {
                refused.push(question.text);
            }
        }
        if let Err(error) = self.reply(number, answer).await {
            tracing::debug!("{}: an answer does not reach ssh: {error}", self.host);
        }
    }

    fn is_for_the_password(&self, text: &str) -> bool {
        let text = text.trim();
        self.prompts.iter().any(|(begin, end)| text.starts_with(begin.as_str()) && text.ends_with(end.as_str()))
    }

    async fn reply(&mut self, number: &str, answer: Option<Zeroizing<String>>) -> io::Result<()> {
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let path = self.dir.join(format!("a.{number}"));
        // Open for reading too, so that the answer waits until it is read.
        let mut pipe = OpenOptions::new().read_write(true).open_sender(Path::new(&path))?;
        let mut line = Zeroizing::new(Vec::with_capacity(answer.as_ref().map_or(0, |a| a.len()) + 2));
        match &answer {
            Some(answer) if !answer.as_bytes().contains(&b'\n') => {
                line.push(b'0');
                line.extend_from_slice(std::ffi::OsStr::new(answer.as_str()).as_bytes());
            }
            _ => line.push(b'1'),
        }
        line.push(b'\n');
        pipe.write_all(&line).await?;
        self.replies.push(pipe);
        Ok(())
    }
}

/// The question with nothing in it that a terminal obeys; its lines stay.
fn shown(text: &str) -> String {
    let lines: Vec<String> = text.trim().lines().map(|line| escape_lossless(line.as_bytes())).collect();
    lines.join("\n")
}

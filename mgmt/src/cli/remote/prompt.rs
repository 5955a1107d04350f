//! Answers the questions of ssh and sudo at the terminal, one after the other.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::cli::logs::Screen;
use crate::id::{harmless, in_one_line};
use crate::sys::prompt;
use crate::sys::ssh::{Answer, Answers, Question, QuestionKind};

/// The user at the terminal.
#[derive(Debug)]
pub(crate) struct Prompt {
    screen: Screen,
    /// Held by the host that asks.
    turn: Arc<Mutex<()>>,
}

impl Prompt {
    pub(crate) fn new(screen: Screen) -> Prompt {
        Prompt { screen, turn: Arc::default() }
    }
}

impl Answers for Prompt {
    fn answer(&self, question: Question) -> Answer {
        let (screen, turn) = (self.screen.clone(), Arc::clone(&self.turn));
        Box::pin(async move {
            let text = format!("{}: {}", in_one_line(&question.host), harmless(question.text.trim_end()));
            if question.kind == QuestionKind::Notice {
                screen.say(&text);
                return None;
            }
            let _turn = turn.lock().await;
            // The lines of the hosts at work would be drawn over what is typed.
            screen.bar.finish_and_clear();
            match prompt::ask(format!("{text} "), question.kind == QuestionKind::Secret).await {
                Ok(answer) => answer,
                Err(error) => {
                    screen.complain(&format!("the question can't be asked: {error}"));
                    None
                }
            }
        })
    }
}

//! Talking with a model: one prompt, or a chat in the terminal.

mod attachments;
mod block;
mod command;
mod completion;
mod editor;
mod figures;
mod interrupts;
mod keeping;
mod markdown;
mod paths;
mod screen;
mod terminal;
mod text_editor;
mod type_ahead;

use std::ops::ControlFlow;

pub use figures::Totals;
pub use interrupts::{Interrupts, fail};
pub use keeping::Keeping;
pub use markdown::markdown;
pub use screen::{Screen, StatusLine, note};
pub use terminal::chat;
pub use type_ahead::TypeAhead;

use crate::runner::{Answer, Conversation, Ended, Event, Repetition, RunnerError, Session};

/// A model that is ready, and the means to show and to stop what it says.
#[derive(Debug)]
pub struct Talk<'m> {
    /// The model.
    pub session: Session<'m>,
    /// Where answers go.
    pub screen: Screen,
    /// What Ctrl-C asks for.
    pub interrupts: Interrupts,
    /// Whether to print figures after each answer.
    pub stats: bool,
    /// What keeps the conversation.
    pub keeping: Keeping,
    /// What the answers took so far.
    pub totals: Totals,
}

impl Talk<'_> {
    /// Answers the last question of `conversation` on the screen.
    ///
    /// # Errors
    /// Those of [`Session::answer`].
    pub fn answer(&mut self, conversation: &mut Conversation) -> Result<Answer, RunnerError> {
        // The question is kept before it is answered: nothing but an answer is ever lost.
        self.keeping.keep(conversation, &self.session);
        let answer = self.show(|session, on| session.answer(conversation, on));
        self.keeping.keep_answer(conversation, &self.session);
        answer
    }

    /// Continues `prompt` on the screen.
    ///
    /// # Errors
    /// Those of [`Session::complete`].
    pub fn complete(&mut self, prompt: &str) -> Result<Answer, RunnerError> {
        self.show(|session, on| session.complete(prompt, on))
    }

    /// Streams what `generate` makes to the screen until it ends or Ctrl-C ends it.
    fn show(
        &mut self,
        generate: impl FnOnce(
            &mut Session<'_>,
            &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
        ) -> Result<Answer, RunnerError>,
    ) -> Result<Answer, RunnerError> {
        let answering = self.interrupts.answering();
        let screen = &mut self.screen;
        screen.begin_answer();
        let answer = generate(&mut self.session, &mut |event| {
            if answering.stopped() {
                return ControlFlow::Break(());
            }
            screen.show(&event)
        });
        screen.end_answer();
        drop(answering);
        if let Ok(answer) = &answer {
            match answer.ended {
                Ended::ContextFull => note(&format!(
                    "the context of {} tokens is full, so the answer ends here; `-c` makes it larger",
                    self.session.context()
                )),
                Ended::Repetition(Repetition { tokens, times }) => note(&format!(
                    "the answer only repeats itself ({}, {times} times), so it ends here; \
                     `--no-loop-stop` lets it go on",
                    match tokens {
                        1 => "the same token".to_owned(),
                        n => format!("the same {n} tokens"),
                    }
                )),
                _ => {}
            }
            let only_thoughts = answer.text.is_empty() && !answer.thoughts.is_empty();
            if only_thoughts && answer.ended != Ended::Interrupted {
                note("the model thought, and gave no answer");
            }
            self.totals.add(&answer.figures);
            if self.stats {
                figures::print(&answer.figures);
            }
        }
        answer
    }
}

//! What answers took, in words.

use std::fmt::Write as _;
use std::time::Duration;

use super::note;
use crate::runner::{Figures, Session};

/// What all answers of a chat took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    answers: usize,
    all: Figures,
    last: Option<Figures>,
}

impl Totals {
    pub(super) fn add(&mut self, figures: &Figures) {
        self.answers += 1;
        self.last = Some(*figures);
        self.all.prompt_tokens += figures.prompt_tokens;
        self.all.reused_tokens += figures.reused_tokens;
        self.all.prompt_time += figures.prompt_time;
        self.all.answer_tokens += figures.answer_tokens;
        self.all.answer_time += figures.answer_time;
    }

    /// What `/stats` prints of a chat of so many turns.
    pub(super) fn report(&self, session: &Session<'_>, turns: usize) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{name:<12} {value}");
        };
        let (held, room) = (session.held(), session.context());
        let free = room.saturating_sub(held);
        line(
            "context",
            format!("{held} of {} used, {free} free", tokens(room)),
        );
        line("turns", turns.to_string());
        line("seed", session.options().sampling.seed.to_string());
        if let Some(last) = &self.last {
            line("last prompt", prompt(last));
            line("last answer", answer(last));
        }
        if self.answers > 1 {
            line("all prompts", prompt(&self.all));
            line(
                "all answers",
                format!("{} in {} answers", answer(&self.all), self.answers),
            );
        }
        text
    }
}

/// Notes what an answer took.
pub(super) fn print(figures: &Figures) {
    note(&format!("prompt: {}", prompt(figures)));
    note(&format!("answer: {}", answer(figures)));
    let speculated = figures.speculated;
    if speculated.proposed > 0 {
        note(&format!(
            "speculation: {} tokens proposed, {} of them right",
            speculated.proposed, speculated.accepted,
        ));
    }
}

fn prompt(figures: &Figures) -> String {
    format!(
        "{}, {:.1} tokens/s, {} more were in the context",
        tokens(figures.prompt_tokens),
        rate(figures.prompt_tokens, figures.prompt_time),
        figures.reused_tokens,
    )
}

fn answer(figures: &Figures) -> String {
    format!(
        "{}, {:.1} tokens/s",
        tokens(figures.answer_tokens),
        rate(figures.answer_tokens, figures.answer_time),
    )
}

fn rate(tokens: usize, time: Duration) -> f64 {
    tokens as f64 / time.as_secs_f64().max(1e-9)
}

/// So many tokens.
pub(super) fn tokens(count: usize) -> String {
    match count {
        1 => "1 token".to_owned(),
        n => format!("{n} tokens"),
    }
}

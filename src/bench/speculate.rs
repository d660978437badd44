//! `bench speculate`: what proposing tokens gains in a fixed set of prompts, each answered with and
//! without in turn.
//!
//! The prompts are of our own, and what people ask for: to summarise, to edit, to go on with code and
//! lists, where an answer repeats what it was given; and free chat, where it does not, and where
//! nothing may be lost. At temperature 0 the texts have to be the same, token for token.

use std::fmt;
use std::ops::ControlFlow;

use serde::Serialize;

use super::quantize::median;
use crate::runner::{Answer, Conversation, RunnerError, Session, Speculate};

/// A prompt of the set.
#[derive(Clone, Copy, Debug)]
pub struct Prompt {
    /// Its name; what is before the hyphen says what is asked for.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

macro_rules! prompts {
    ($($name:literal)*) => {
        &[$(Prompt {
            name: $name,
            text: include_str!(concat!("prompts/", $name, ".txt")),
        }),*]
    };
}

/// The set.
pub const PROMPTS: &[Prompt] = prompts!(
    "summarise-harbour" "summarise-meeting"
    "edit-replace" "edit-spelling" "edit-japanese"
    "code-rename" "code-tests" "code-comment"
    "list-numbers" "list-packing" "list-schedule"
    "chat-sky" "chat-guitar" "chat-fox" "chat-state"
);

impl Prompt {
    /// Whether the answer has nothing to repeat.
    pub fn is_free_chat(&self) -> bool {
        self.name.starts_with("chat-")
    }
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The prompt's name.
    pub prompt: &'static str,
    /// Tokens of the answer.
    pub tokens: usize,
    /// Tokens per second, one after the other.
    pub plain_ts: f64,
    /// The same with proposals.
    pub speculative_ts: f64,
    /// How many times as fast: the median of each pair that was measured in turn.
    pub ratio: f64,
    /// Tokens proposed.
    pub proposed: usize,
    /// Of them, those that were right.
    pub accepted: usize,
    /// Whether both said the same.
    pub same_text: bool,
}

impl Line {
    /// What the columns are.
    pub const HEADER: &'static str = "prompt              tokens   plain t/s   speculative t/s   ratio   proposed   right   text";
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let right = match self.proposed {
            0 => "-".to_owned(),
            proposed => format!("{:.0} %", 100.0 * self.accepted as f64 / proposed as f64),
        };
        write!(
            f,
            "{:<18} {:>7} {:>11.2} {:>17.2} {:>6.2}x {:>10} {:>7}   {}",
            self.prompt,
            self.tokens,
            self.plain_ts,
            self.speculative_ts,
            self.ratio,
            self.proposed,
            right,
            if self.same_text { "same" } else { "DIFFERS" },
        )
    }
}

/// Answers one prompt both ways, so often, each time in a conversation that begins anew. Without one it is
/// continued as it is.
///
/// # Errors
/// Where the template fails or llama.cpp does.
pub fn measure(
    session: &mut Session<'_>,
    begin: impl Fn() -> Result<Option<Conversation>, RunnerError>,
    prompt: Prompt,
    speculate: Speculate,
    repetitions: u32,
) -> Result<Line, RunnerError> {
    let mut answer = |speculate| {
        session.options_mut().speculate = speculate;
        match begin()? {
            Some(mut conversation) => {
                conversation.ask(prompt.text.trim_end().to_owned());
                session.answer(&mut conversation, |_| ControlFlow::Continue(()))
            }
            None => session.complete(prompt.text, |_| ControlFlow::Continue(())),
        }
    };
    // The prompt is read before the clock runs, and then held.
    answer(Speculate::Off)?;
    let rate = |answer: &Answer| {
        let figures = &answer.figures;
        figures.answer_tokens as f64 / figures.answer_time.as_secs_f64().max(1e-9)
    };
    let (mut plain_ts, mut speculative_ts, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut same_text = true;
    let mut last = None;
    for _ in 0..repetitions.max(1) {
        let plain = answer(Speculate::Off)?;
        let speculative = answer(speculate)?;
        same_text &= plain.text == speculative.text
            && plain.figures.answer_tokens == speculative.figures.answer_tokens;
        plain_ts.push(rate(&plain));
        speculative_ts.push(rate(&speculative));
        ratios.push(rate(&speculative) / rate(&plain).max(1e-9));
        last = Some(speculative.figures);
    }
    let figures = last.unwrap_or_default();
    Ok(Line {
        prompt: prompt.name,
        tokens: figures.answer_tokens,
        plain_ts: median(plain_ts.into_iter()),
        speculative_ts: median(speculative_ts.into_iter()),
        ratio: median(ratios.into_iter()),
        proposed: figures.speculated.proposed,
        accepted: figures.speculated.accepted,
        same_text,
    })
}

/// The geometric mean of the ratios; `None` of none.
pub fn geometric_mean<'a>(lines: impl Iterator<Item = &'a Line>) -> Option<f64> {
    let logarithms: Vec<f64> = lines.map(|line| line.ratio.ln()).collect();
    let count = logarithms.len();
    (count > 0).then(|| (logarithms.iter().sum::<f64>() / count as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(ratio: f64) -> Line {
        Line {
            prompt: "summarise-meeting",
            tokens: 120,
            plain_ts: 60.0,
            speculative_ts: 60.0 * ratio,
            ratio,
            proposed: 80,
            accepted: 60,
            same_text: true,
        }
    }

    #[test]
    fn ratios_are_averaged_as_factors() {
        let mean = geometric_mean([line(0.5), line(2.0)].iter()).unwrap();
        assert!((mean - 1.0).abs() < 1e-9);
        assert_eq!(geometric_mean([].iter()), None);
    }

    #[test]
    fn columns_end_under_their_headings() {
        let line = line(1.5).to_string();
        for (heading, value) in [
            ("tokens", "120"),
            ("plain t/s", "60.00"),
            ("ratio", "1.50x"),
            ("right", "75 %"),
        ] {
            let end = |text: &str, word: &str| text.find(word).unwrap() + word.len();
            assert_eq!(end(Line::HEADER, heading), end(&line, value), "{line}");
        }
    }

    #[test]
    fn the_set_has_work_and_chat() {
        let chats = PROMPTS
            .iter()
            .filter(|prompt| prompt.is_free_chat())
            .count();
        assert!(chats >= 3 && PROMPTS.len() >= chats + 8);
        assert!(PROMPTS.iter().all(|prompt| !prompt.text.trim().is_empty()));
    }
}

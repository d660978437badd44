//! What reminds of a chat that is taken up.

use crate::chat::note;
use crate::runner::Conversation;
use crate::sessions::SessionFile;

/// Reminds of a chat that is taken up: how long it is, and what was said last.
pub(super) fn tell_where_it_stood(file: Option<&SessionFile>, conversation: &Conversation) {
    /// Lines of the last answer that are shown.
    const LINES: usize = 8;
    let Some(file) = file.filter(|file| file.is_kept()) else {
        return;
    };
    let turns = match conversation.turns().len() {
        1 => "1 turn".to_owned(),
        n => format!("{n} turns"),
    };
    let last = file
        .last_time()
        .map(|time| format!(", the last of {}", readable(time)));
    note(&format!(
        "`{}` is taken up: {turns}{}",
        file.name(),
        last.unwrap_or_default()
    ));
    if let Some(turn) = conversation.turns().last() {
        note(&format!(
            "> {}",
            turn.question.lines().next().unwrap_or_default()
        ));
        let answer = turn.answer.as_deref().unwrap_or_default();
        let lines: Vec<&str> = answer.lines().collect();
        let hidden = lines.len().saturating_sub(LINES);
        if hidden > 0 {
            note("…");
        }
        lines[hidden..].iter().for_each(|line| note(line));
        if turn.answer.is_none() {
            note("it has no answer yet; /regen answers it");
        }
    }
}

/// A time of a file's lines without its seconds.
fn readable(time: &str) -> String {
    time.replacen('T', " ", 1)
        .chars()
        .take("2026-11-26 09:30".len())
        .collect()
}

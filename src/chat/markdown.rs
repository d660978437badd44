//! A conversation as Markdown.

use crate::runner::Turn;

/// The system message, and every question and answer below a heading.
pub fn markdown(system: Option<&str>, turns: &[Turn]) -> String {
    let mut parts = Vec::new();
    parts.extend(system.map(|system| format!("## System\n\n{system}\n")));
    for turn in turns {
        parts.push(format!("## User\n\n{}\n", turn.question));
        parts.extend(
            turn.answer
                .iter()
                .map(|answer| format!("## Assistant\n\n{answer}\n")),
        );
    }
    parts.join("\n")
}

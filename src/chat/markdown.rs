//! A chat as Markdown, for people and for other programs.

use crate::runner::Turn;

/// The system message and the turns, each under a heading. What was said is itself Markdown mostly, and
/// stays as it is; a block of code that was left open is closed, so that what follows is not in it.
pub fn markdown(system: Option<&str>, turns: &[Turn]) -> String {
    let mut parts = Vec::new();
    if let Some(system) = system {
        parts.push(section("System", system));
    }
    for turn in turns {
        parts.push(section("User", &turn.question));
        let thoughts = match turn.thoughts.is_empty() {
            true => String::new(),
            false => format!(
                "<details><summary>Thoughts</summary>\n\n{}\n\n</details>\n\n",
                closed(&turn.thoughts)
            ),
        };
        if let Some(answer) = &turn.answer {
            parts.push(section(
                "Assistant",
                &format!("{thoughts}{}", closed(answer)),
            ));
        }
    }
    parts.join("\n")
}

fn section(heading: &str, text: &str) -> String {
    format!("## {heading}\n\n{}\n", closed(text))
}

/// `text` without space at its end, and with the fence that it lacks.
fn closed(text: &str) -> String {
    let text = text.trim_end();
    match open_fence(text) {
        Some(fence) => format!("{text}\n{fence}"),
        None => text.to_owned(),
    }
}

/// The fence of the block of code that `text` leaves open.
fn open_fence(text: &str) -> Option<&str> {
    let mut open: Option<&str> = None;
    for line in text.lines() {
        let Some((fence, rest)) = fence(line) else {
            continue;
        };
        open = match open {
            None => Some(fence),
            Some(before) => {
                let closes = fence.starts_with(before) && rest.trim().is_empty();
                Some(before).filter(|_| !closes)
            }
        };
    }
    open
}

/// The three or more signs that a line begins with, and what is behind them.
fn fence(line: &str) -> Option<(&str, &str)> {
    let text = line.trim_start_matches(' ');
    if line.len() - text.len() > 3 {
        return None;
    }
    let sign = text.chars().next().filter(|c| ['`', '~'].contains(c))?;
    let rest = text.trim_start_matches(sign);
    let fence = &text[..text.len() - rest.len()];
    // Code within a line may begin one.
    (fence.len() >= 3 && !(sign == '`' && rest.contains('`'))).then_some((fence, rest))
}

/// A fence that is in no line of `text`.
pub(super) fn fence_for(text: &str) -> String {
    let longest = text.lines().filter_map(fence).map(|(fence, _)| fence.len());
    "`".repeat(longest.max().map_or(3, |longest| longest + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(question: &str, answer: Option<&str>, thoughts: &str) -> Turn {
        Turn {
            question: question.to_owned(),
            answer: answer.map(ToOwned::to_owned),
            thoughts: thoughts.to_owned(),
        }
    }

    #[test]
    fn every_message_has_a_heading() {
        let turns = [
            turn("こんにちは", Some("# Hello\n\n- *you*"), ""),
            turn("Why?", Some("So.\n"), "hm"),
            turn("And?", None, ""),
        ];
        assert_eq!(
            markdown(Some("Be short."), &turns),
            "## System\n\nBe short.\n\n## User\n\nこんにちは\n\n## Assistant\n\n# Hello\n\n- *you*\n\n\
             ## User\n\nWhy?\n\n## Assistant\n\n<details><summary>Thoughts</summary>\n\nhm\n\n\
             </details>\n\nSo.\n\n## User\n\nAnd?\n"
        );
        assert_eq!(markdown(None, &[]), "");
    }

    #[test]
    fn a_block_of_code_that_was_cut_off_is_closed() {
        let open = |text: &str| open_fence(text).map(ToOwned::to_owned);
        assert_eq!(open("```rust\nfn main() {"), Some("```".to_owned()));
        assert_eq!(open("```rust\nfn main() {}\n```"), None);
        assert_eq!(open("````\n```\nx\n```"), Some("````".to_owned()));
        assert_eq!(open("~~~\n```"), Some("~~~".to_owned()));
        assert_eq!(open("```a``` and so on"), None);
        assert_eq!(open("    ```"), None);
        let text = markdown(None, &[turn("a", Some("```\nx"), "")]);
        assert_eq!(text, "## User\n\na\n\n## Assistant\n\n```\nx\n```\n");
    }

    #[test]
    fn a_fence_is_longer_than_those_within() {
        assert_eq!(fence_for("a"), "```");
        assert_eq!(fence_for("```\n  `````x\n"), "``````");
    }
}

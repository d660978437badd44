//! The lines of a kept chat: what is written is what is said, and what is read may be anything.

use serde::{Deserialize, Deserializer, Serialize};

use crate::runner::{Conversation, Role, Sampling, Turn};

/// The version of the form. A newer one is not read.
pub(super) const VERSION: u32 = 1;

/// The first line: what holds for the whole chat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Head {
    /// [`VERSION`].
    pub(super) session: u32,
    /// The program that wrote it.
    pub(super) program: String,
    /// When the chat began.
    pub(super) created: String,
    /// The model's own name.
    pub(super) model: String,
    /// Its file.
    pub(super) path: String,
    /// Digest of the file.
    pub(super) fingerprint: String,
    /// Digest of the chat template.
    pub(super) template: String,
}

/// Every other line: what one of them said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Message {
    pub(super) role: Role,
    pub(super) content: String,
    /// What the model thought before it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) thoughts: String,
    #[serde(default)]
    pub(super) time: String,
    /// The model that said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    /// How it was chosen.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "if_possible"
    )]
    pub(super) sampling: Option<Sampling>,
}

/// What is nice to know is no reason to refuse what was said.
fn if_possible<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Sampling>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// What could be read of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Read {
    pub(super) head: Head,
    pub(super) messages: Vec<Message>,
    pub(super) damage: Vec<Damage>,
    /// Whether a line can be appended: all lines are whole, and each is in its place.
    pub(super) appendable: bool,
}

/// Reads all lines that can be read.
pub(super) fn read(bytes: &[u8]) -> Read {
    let mut found = Read {
        appendable: bytes.ends_with(b"\n"),
        ..Read::default()
    };
    let mut lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    let last_is_cut = lines.pop().is_some_and(|rest| {
        let cut = !rest.is_empty();
        if cut {
            lines.push(rest);
        }
        cut
    });
    let count = lines.len();
    for (index, line) in lines.into_iter().enumerate() {
        let damage = |reason: String| Damage {
            line: index + 1,
            reason,
        };
        // Editors of other systems end lines so; blank ones are no harm.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if index == 0 {
            match serde_json::from_slice::<Head>(line) {
                Ok(head) if head.session > 0 => {
                    found.head = head;
                    continue;
                }
                // The first line may be the one that was lost.
                _ => found.appendable = false,
            }
        }
        match serde_json::from_slice::<Message>(line) {
            Ok(message) => found.messages.push(message),
            Err(_) if last_is_cut && index + 1 == count => {
                found.damage.push(damage("it is cut".to_owned()));
            }
            Err(error) => found.damage.push(damage(reason(&error, index == 0))),
        }
    }
    found.appendable &= found.loses_nothing();
    found
}

/// What is wrong with a line, without serde's count of lines, which is always 1.
fn reason(error: &serde_json::Error, first: bool) -> String {
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or_default();
    match first {
        true => "expected a line that says what chat it is".to_owned(),
        false => format!("{what}, at byte {}", error.column()),
    }
}

impl Read {
    /// The system message: the first.
    pub(super) fn system(&self) -> Option<&str> {
        let system = self
            .messages
            .iter()
            .find(|message| message.role == Role::System);
        system.map(|message| message.content.as_str())
    }

    /// Questions and their answers. An answer without a question is none: its line was lost.
    pub(super) fn turns(&self) -> Vec<Turn> {
        let mut turns: Vec<Turn> = Vec::new();
        for message in &self.messages {
            match message.role {
                Role::System => {}
                Role::User => turns.push(Turn {
                    question: message.content.clone(),
                    answer: None,
                    thoughts: String::new(),
                }),
                Role::Assistant => {
                    if let Some(turn) = turns.last_mut().filter(|turn| turn.answer.is_none()) {
                        turn.answer = Some(message.content.clone());
                        turn.thoughts.clone_from(&message.thoughts);
                    }
                }
            }
        }
        turns
    }

    /// Whether all that the file has is in the conversation that is made of it.
    pub(super) fn loses_nothing(&self) -> bool {
        self.damage.is_empty() && self.is_in_order()
    }

    /// Whether the messages are what a conversation is written as.
    fn is_in_order(&self) -> bool {
        let roles: Vec<Role> = self.messages.iter().map(|message| message.role).collect();
        let talk = roles.strip_prefix(&[Role::System]).unwrap_or(&roles);
        let in_turn = [Role::User, Role::Assistant];
        talk.iter().zip(in_turn.iter().cycle()).all(|(a, b)| a == b)
    }
}

/// What a conversation is written as: roles, contents and thoughts.
pub(super) fn said(conversation: &Conversation) -> Vec<(Role, &str, &str)> {
    let mut said = Vec::new();
    said.extend(
        conversation
            .system()
            .map(|system| (Role::System, system, "")),
    );
    for turn in conversation.turns() {
        said.push((Role::User, turn.question.as_str(), ""));
        let answer = turn.answer.as_deref();
        said.extend(answer.map(|answer| (Role::Assistant, answer, turn.thoughts.as_str())));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"session":1,"model":"m"}"#;

    fn line(role: &str, content: &str) -> String {
        serde_json::json!({ "role": role, "content": content }).to_string()
    }

    fn whole() -> String {
        let lines = [
            HEAD.to_owned(),
            line("system", "短く"),
            line("user", "日本の首都は?"),
            line("assistant", "東京。"),
            line("user", "b"),
            line("assistant", "c"),
        ];
        lines.join("\n") + "\n"
    }

    #[test]
    fn a_whole_file() {
        let found = read(whole().as_bytes());
        assert_eq!(found.damage, []);
        assert!(found.appendable);
        assert_eq!(found.system(), Some("短く"));
        let turns = found.turns();
        assert_eq!(turns[0].question, "日本の首都は?");
        assert_eq!(turns[1].answer.as_deref(), Some("c"));
        // What editors leave behind is no damage.
        let edited = whole().replace('\n', "\r\n\n");
        let edited = read(edited.as_bytes());
        assert_eq!((edited.damage.len(), edited.turns()), (0, turns));
    }

    #[test]
    fn every_prefix_has_the_lines_before_it() {
        let whole = whole();
        for end in 0..whole.len() {
            let found = read(&whole.as_bytes()[..end]);
            let lines = whole[..whole.floor_char_boundary(end)]
                .matches('\n')
                .count();
            assert!(found.messages.len() >= lines.saturating_sub(1), "{end}");
            assert!(found.damage.len() <= 1);
            if let [damage] = &found.damage[..] {
                assert_eq!(
                    (damage.line, damage.reason.as_str()),
                    (lines + 1, "it is cut")
                );
            }
            assert_eq!(
                found.appendable,
                end > 0 && whole.as_bytes()[end - 1] == b'\n'
            );
        }
    }

    #[test]
    fn damage_in_the_middle_is_said_and_the_rest_is_there() {
        let mut lines: Vec<String> = whole().lines().map(str::to_owned).collect();
        lines[2] = r#"{"role":"user","content":"#.to_owned();
        let found = read((lines.join("\n") + "\n").as_bytes());
        assert_eq!(found.damage.len(), 1);
        assert_eq!(found.damage[0].line, 3);
        assert!(!found.appendable);
        let turns = found.turns();
        assert_eq!(turns.len(), 1, "the answer to the lost question is no turn");
        assert_eq!(turns[0].question, "b");

        lines[0] = "\u{0}\u{0}".to_owned();
        lines[2] = line("robot", "x");
        let found = read((lines.join("\n") + "\n").as_bytes());
        let at: Vec<usize> = found.damage.iter().map(|damage| damage.line).collect();
        assert_eq!(at, [1, 3]);
        assert_eq!(found.turns().len(), 1);
    }

    #[test]
    fn sampling_that_is_none_is_left_out() {
        let line = r#"{"role":"user","content":"q","sampling":{"temperature":"hot"}}"#;
        let found = read(format!("{HEAD}\n{line}\n").as_bytes());
        assert_eq!(
            (found.messages.len(), &found.messages[0].sampling),
            (1, &None)
        );
        let line = r#"{"role":"user","content":"q","sampling":{"temperature":0.5,"later":1}}"#;
        let found = read(format!("{HEAD}\n{line}\n").as_bytes());
        let sampling = found.messages[0].sampling.as_ref().unwrap();
        assert!((sampling.temperature - 0.5).abs() < 1e-6);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic() {
        let whole = whole();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let found = read(&bytes);
                assert!(found.messages.len() + found.damage.len() >= 4);
                let _ = (found.turns(), found.system());
            }
        }
    }
}

//! What a line typed into the chat asks for.

use std::fmt::Write as _;

use crate::nearest;

/// A line of the chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Nothing.
    Blank,
    /// Said to the model.
    Say(&'a str),
    /// `/undo`
    Undo,
    /// `/retry`, with the seed that may follow.
    Retry(&'a str),
    /// `/regen`
    Regenerate,
    /// `/edit`
    Edit,
    /// `/system`, with its text.
    System(&'a str),
    /// `/set`, with a name and a value, either of which may be missing.
    Set(&'a str),
    /// `/read`, with a path.
    Read(&'a str),
    /// `/export`, with a path.
    Export(&'a str),
    /// `/save`, with a name.
    Save(&'a str),
    /// `/load`, with a name.
    Load(&'a str),
    /// `/sessions`
    Sessions,
    /// `/stats`
    Stats,
    /// `/clear`
    Clear,
    /// `/help`
    Help,
    /// `/quit`
    Quit,
    /// A command that does not exist.
    Unknown(&'a str),
    /// A command that takes nothing, and what was behind it.
    Superfluous(&'a str),
}

/// What stands behind a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Text,
    /// The name of an option and its value.
    Setting,
    /// A file's name.
    Path,
    /// The name of a chat.
    Chat,
}

/// A command.
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    /// What `/help` writes behind the name.
    argument: &'static str,
    about: &'static str,
    line: for<'a> fn(&'a str) -> Line<'a>,
}

/// All commands, in the order of `/help`.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "/undo",
        takes: Takes::Nothing,
        argument: "",
        about: "take back the last question and its answer",
        line: |_| Line::Undo,
    },
    Command {
        name: "/retry",
        takes: Takes::Text,
        argument: " [SEED]",
        about: "answer the last question anew, with another seed from here on",
        line: |text| Line::Retry(text),
    },
    Command {
        name: "/regen",
        takes: Takes::Nothing,
        argument: "",
        about: "answer the last question anew, with the options as they are now",
        line: |_| Line::Regenerate,
    },
    Command {
        name: "/edit",
        takes: Takes::Nothing,
        argument: "",
        about: "change the last question, in $VISUAL or $EDITOR where there is one",
        line: |_| Line::Edit,
    },
    Command {
        name: "/system",
        takes: Takes::Text,
        argument: " [TEXT]",
        about: "set the system message; without TEXT, remove it",
        line: |text| Line::System(text),
    },
    Command {
        name: "/set",
        takes: Takes::Setting,
        argument: " [NAME [VALUE]]",
        about: "set an option of the answers, as in `/set temp 0.7`; alone, show all",
        line: |text| Line::Set(text),
    },
    Command {
        name: "/read",
        takes: Takes::Path,
        argument: " [PATH]",
        about: "put a text file into the next question; alone, say what waits",
        line: |text| Line::Read(text),
    },
    Command {
        name: "/export",
        takes: Takes::Path,
        argument: " FILE",
        about: "write the chat into a new file, as Markdown",
        line: |text| Line::Export(text),
    },
    Command {
        name: "/save",
        takes: Takes::Text,
        argument: " NAME",
        about: "keep this chat by that name",
        line: |text| Line::Save(text),
    },
    Command {
        name: "/load",
        takes: Takes::Chat,
        argument: " NAME",
        about: "take up another chat; this one is kept",
        line: |text| Line::Load(text),
    },
    Command {
        name: "/sessions",
        takes: Takes::Nothing,
        argument: "",
        about: "list the chats that are kept",
        line: |_| Line::Sessions,
    },
    Command {
        name: "/stats",
        takes: Takes::Nothing,
        argument: "",
        about: "tokens, speed and what is free of the context",
        line: |_| Line::Stats,
    },
    Command {
        name: "/clear",
        takes: Takes::Nothing,
        argument: "",
        about: "forget what was said; the system message stays",
        line: |_| Line::Clear,
    },
    Command {
        name: "/help",
        takes: Takes::Nothing,
        argument: "",
        about: "show this",
        line: |_| Line::Help,
    },
    Command {
        name: "/quit",
        takes: Takes::Nothing,
        argument: "",
        about: "leave; so does Ctrl-D",
        line: |_| Line::Quit,
    },
];

/// Commands by the names they have elsewhere.
const ALSO: [(&str, &str); 3] = [("/exit", "/quit"), ("/bye", "/quit"), ("/?", "/help")];

/// Keys and signs, for `/help`.
const KEYS: [(&str, &str); 5] = [
    ("\"\"\"", "begins a message of several lines, and ends it"),
    (
        "\\",
        "at the end of a line: the message goes on in the next",
    ),
    (
        "Ctrl-C",
        "stop the answer, or leave the message; a second one leaves",
    ),
    ("Up, Ctrl-R", "earlier lines, and a search in them"),
    ("Tab", "complete a command, an option or a path"),
];

/// What `/help` prints.
pub(super) fn help() -> String {
    let commands = COMMANDS.iter().map(|command| {
        let usage = format!("{}{}", command.name, command.argument);
        (usage, command.about)
    });
    let keys = KEYS.iter().map(|(key, about)| ((*key).to_owned(), *about));
    let mut text = String::new();
    for (usage, about) in commands.chain(keys) {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{usage:<21} {about}");
    }
    text
}

/// The command that was probably meant by one that does not exist.
pub(super) fn near(name: &str) -> Option<&'static str> {
    nearest::of(name, COMMANDS.iter().map(|command| command.name))
}

impl<'a> Line<'a> {
    /// Reads a line. A command is a slash and letters, alone or before a space; other lines that
    /// begin with a slash, a path for example, are said to the model.
    pub(super) fn parse(line: &'a str) -> Self {
        let line = line.trim();
        let (word, text) = match line.split_once(char::is_whitespace) {
            Some((word, text)) => (word, text.trim()),
            None => (line, ""),
        };
        let also = ALSO.iter().find(|(other, _)| *other == word);
        let meant = also.map_or(word, |(_, meant)| meant);
        if let Some(command) = COMMANDS.iter().find(|command| command.name == meant) {
            return match command.takes {
                Takes::Nothing if !text.is_empty() => Self::Superfluous(word),
                _ => (command.line)(text),
            };
        }
        let name = word.strip_prefix('/').unwrap_or_default();
        let is_command = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic());
        match line {
            "" => Self::Blank,
            _ if is_command => Self::Unknown(word),
            _ => Self::Say(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_what_is_none() {
        let cases = [
            ("", Line::Blank),
            (" \t", Line::Blank),
            (" 元気? ", Line::Say("元気?")),
            ("/help", Line::Help),
            ("/?", Line::Help),
            ("/clear ", Line::Clear),
            ("/regen", Line::Regenerate),
            ("/quit", Line::Quit),
            ("/exit", Line::Quit),
            ("/system", Line::System("")),
            ("/system  短く 答えて", Line::System("短く 答えて")),
            ("/system\u{3000}短く", Line::System("短く")),
            ("/set temp 0.7", Line::Set("temp 0.7")),
            ("/read  a b.txt ", Line::Read("a b.txt")),
            ("/retry 7", Line::Retry("7")),
            ("/retry", Line::Retry("")),
            ("/save 旅行", Line::Save("旅行")),
            ("/load a b", Line::Load("a b")),
            ("/save", Line::Save("")),
            ("/sessions", Line::Sessions),
            ("/quti", Line::Unknown("/quti")),
            ("/quit now", Line::Superfluous("/quit")),
            ("/etc/passwd is what?", Line::Say("/etc/passwd is what?")),
            ("/", Line::Say("/")),
            ("1/2", Line::Say("1/2")),
        ];
        for (line, expected) in cases {
            assert_eq!(Line::parse(line), expected, "{line:?}");
        }
        assert_eq!(near("/exprot"), Some("/export"));
        assert_eq!(near("/mine"), None);
    }

    #[test]
    fn help_tells_every_command_and_fits_a_terminal() {
        let help = help();
        for command in COMMANDS {
            assert!(help.lines().any(|line| line.starts_with(command.name)));
            assert!(!matches!(
                Line::parse(command.name),
                Line::Unknown(_) | Line::Say(_)
            ));
        }
        let longest = help.lines().max_by_key(|line| line.len()).unwrap();
        assert!(longest.len() <= 92, "{longest}");
    }
}

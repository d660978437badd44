//! What a line typed into the chat asks for.

/// A line of the chat.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Nothing.
    Blank,
    /// Said to the model.
    Say(&'a str),
    /// `/help`
    Help,
    /// `/clear`
    Clear,
    /// `/regen`
    Regenerate,
    /// `/system`, with its text.
    System(&'a str),
    /// `/save`, with a name.
    Save(&'a str),
    /// `/load`, with a name.
    Load(&'a str),
    /// `/sessions`
    Sessions,
    /// `/quit`
    Quit,
    /// A command that does not exist.
    Unknown(&'a str),
}

/// The commands, for completion.
pub(super) const NAMES: [&str; 8] = [
    "/clear",
    "/help",
    "/load",
    "/quit",
    "/regen",
    "/save",
    "/sessions",
    "/system",
];

/// What `/help` prints.
pub(super) const HELP: &str = "\
/regen          answer the last question anew
/system TEXT    set the system message; without TEXT, remove it
/clear          forget what was said; the system message stays
/save NAME      keep this chat by that name
/load NAME      take up another chat
/sessions       list the chats that are kept
/quit           leave; so does Ctrl-D
Ctrl-C          stop the answer; a second one leaves
Up, Ctrl-R      earlier lines, and a search in them";

impl<'a> Line<'a> {
    /// Reads a line. A command is a slash and letters, alone or before a space; other lines that
    /// begin with a slash, a path for example, are said to the model.
    pub(super) fn parse(line: &'a str) -> Self {
        let line = line.trim();
        let (word, text) = match line.split_once(char::is_whitespace) {
            Some((word, text)) => (word, text.trim()),
            None => (line, ""),
        };
        let name = word.strip_prefix('/').unwrap_or_default();
        let is_command = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic());
        match (word, text) {
            _ if line.is_empty() => Self::Blank,
            ("/system", text) => Self::System(text),
            ("/save", name) => Self::Save(name),
            ("/load", name) => Self::Load(name),
            ("/sessions", "") => Self::Sessions,
            ("/help", "") => Self::Help,
            ("/clear", "") => Self::Clear,
            ("/regen", "") => Self::Regenerate,
            ("/quit" | "/exit" | "/bye", "") => Self::Quit,
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
            ("/clear ", Line::Clear),
            ("/regen", Line::Regenerate),
            ("/quit", Line::Quit),
            ("/system", Line::System("")),
            ("/system  短く 答えて", Line::System("短く 答えて")),
            ("/system\u{3000}短く", Line::System("短く")),
            ("/save 旅行", Line::Save("旅行")),
            ("/load a b", Line::Load("a b")),
            ("/save", Line::Save("")),
            ("/sessions", Line::Sessions),
            ("/quti", Line::Unknown("/quti")),
            ("/quit now", Line::Unknown("/quit")),
            ("/etc/passwd is what?", Line::Say("/etc/passwd is what?")),
            ("/", Line::Say("/")),
            ("1/2", Line::Say("1/2")),
        ];
        for (line, expected) in cases {
            assert_eq!(Line::parse(line), expected, "{line:?}");
        }
    }

    #[test]
    fn help_tells_every_command() {
        for name in NAMES.iter().filter(|&&name| name != "/help") {
            assert!(HELP.contains(name), "{name}");
            assert!(!matches!(
                Line::parse(name),
                Line::Unknown(_) | Line::Say(_)
            ));
        }
    }
}

//! What the Tab key completes: commands, options, paths.

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::command::{COMMANDS, Takes};
use crate::runner::settings::SETTINGS;
use crate::sessions::Sessions;

/// Completes what stands before the cursor.
#[derive(Default)]
pub(super) struct Completions {
    paths: FilenameCompleter,
}

impl Completer for Completions {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> Result<(usize, Vec<Pair>), ReadlineError> {
        let typed = &line[..position];
        let Some((word, rest)) = typed.split_once(char::is_whitespace) else {
            let names = COMMANDS.iter().map(|command| (command.name, command.takes));
            let names = names.filter(|_| typed.starts_with('/'));
            return Ok((
                0,
                matching(
                    typed,
                    names.map(|(name, takes)| (name, takes != Takes::Nothing)),
                ),
            ));
        };
        let begins = position - rest.trim_start().len();
        let command = COMMANDS.iter().find(|command| command.name == word);
        match command.map(|command| command.takes) {
            // It looks for the beginning of the path itself, which may be in quotes.
            Some(Takes::Path) => self.paths.complete_path(line, position),
            Some(Takes::Setting) => {
                let names = SETTINGS.iter().map(|setting| (setting.name, true));
                Ok((begins, matching(&typed[begins..], names)))
            }
            Some(Takes::Chat) => {
                let chats = Sessions::open().map(|sessions| sessions.names());
                let chats = chats.unwrap_or_default();
                let names = chats.iter().map(|name| (name.as_str(), false));
                Ok((begins, matching(&typed[begins..], names)))
            }
            _ => Ok((position, Vec::new())),
        }
    }
}

/// The names that begin with what is `typed`, with a space where something follows them.
fn matching<'n>(typed: &str, names: impl Iterator<Item = (&'n str, bool)>) -> Vec<Pair> {
    names
        .filter(|(name, _)| name.starts_with(typed))
        .map(|(name, goes_on)| Pair {
            display: name.to_owned(),
            replacement: name.to_owned() + if goes_on { " " } else { "" },
        })
        .collect()
}

impl Hinter for Completions {
    type Hint = String;
}

impl Highlighter for Completions {}

impl Validator for Completions {}

impl Helper for Completions {}

#[cfg(test)]
mod tests {
    use rustyline::history::DefaultHistory;

    use super::*;

    fn complete(line: &str) -> Vec<String> {
        let history = DefaultHistory::new();
        let context = Context::new(&history);
        let completions = Completions::default();
        let (begins, found) = completions.complete(line, line.len(), &context).unwrap();
        let found = found
            .into_iter()
            .map(|pair| format!("{}{}", &line[..begins], pair.replacement));
        found.collect()
    }

    #[test]
    fn commands_and_options() {
        assert_eq!(complete("/re"), ["/retry ", "/regen", "/read "]);
        assert_eq!(complete("/q"), ["/quit"]);
        assert_eq!(complete("/set te"), ["/set temp "]);
        assert_eq!(
            complete("/set xtc"),
            ["/set xtc-probability ", "/set xtc-threshold "]
        );
        let none: [&str; 0] = [];
        for line in ["", "te", "hello /r", "/quit x", "/system te", "/set temp 0"] {
            assert_eq!(complete(line), none, "{line:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn paths_that_can_be_read_again() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["メモ 一.txt", "メモ 二.txt", "plain.txt", "it's.txt"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let dir = dir.path().display().to_string();
        assert_eq!(
            complete(&format!("/export {dir}/pl")),
            [format!("/export {dir}/plain.txt")]
        );
        for (typed, name) in [
            ("メモ", "メモ 一.txt"),
            ("it", "it's.txt"),
            ("メモ\\ 二", "メモ 二.txt"),
        ] {
            let line = format!("/read {dir}/{typed}");
            let completed = complete(&line).remove(0);
            let path = super::super::paths::typed(completed.strip_prefix("/read ").unwrap());
            assert_eq!(
                path.display().to_string(),
                format!("{dir}/{name}"),
                "{completed}"
            );
        }
        let quoted = complete(&format!("/read \"{dir}/メモ 二")).remove(0);
        let path = super::super::paths::typed(quoted.strip_prefix("/read ").unwrap());
        assert_eq!(path.display().to_string(), format!("{dir}/メモ 二.txt"));
    }
}

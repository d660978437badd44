//! The model card, `README.md`: its YAML front matter and its title.

use std::path::Path;

use serde_yaml_ng::{Mapping, Value};

use crate::source::text_file;

/// Cards are read this far; the front matter and the title stand at the top.
const MAX_CARD_BYTES: u64 = 1 << 20;

/// What a model card says about its model.
#[derive(Debug, Default)]
pub struct ModelCard {
    front_matter: Mapping,
    title: Option<String>,
}

impl ModelCard {
    /// Reads `README.md` of a checkpoint folder. A card is never a reason to stop: one that
    /// cannot be read is empty, with a note for the user.
    pub fn read(dir: &Path) -> (Self, Option<String>) {
        let read = text_file::read_beginning(&dir.join("README.md"), MAX_CARD_BYTES);
        let parsed = read.and_then(|bytes| {
            let bytes = bytes.unwrap_or_default();
            Ok(Self::parse(&text_file::lossy_text(&bytes)?))
        });
        parsed.unwrap_or_else(|problem| {
            let note = format!("README.md is ignored: {problem}");
            (Self::default(), Some(note))
        })
    }

    fn parse(text: &str) -> (Self, Option<String>) {
        let (yaml, body) = split_front_matter(text);
        let title = body
            .lines()
            .find_map(|line| line.strip_prefix("# "))
            .map(|title| title.trim().to_owned());
        // Tabs do not indent in YAML, and yet some cards have them.
        match serde_yaml_ng::from_str(&yaml.replace('\t', "  ")) {
            Ok(Value::Mapping(front_matter)) => (
                Self {
                    front_matter,
                    title,
                },
                None,
            ),
            Ok(Value::Null) => (
                Self {
                    front_matter: Mapping::new(),
                    title,
                },
                None,
            ),
            Ok(_) => (
                Self {
                    front_matter: Mapping::new(),
                    title,
                },
                Some("the front matter of README.md is ignored: it is no mapping".into()),
            ),
            Err(error) => (
                Self {
                    front_matter: Mapping::new(),
                    title,
                },
                Some(format!("the front matter of README.md is ignored: {error}")),
            ),
        }
    }

    /// The first of `keys` that the front matter has, as text.
    pub fn text(&self, keys: &[&str]) -> Option<String> {
        keys.iter()
            .find_map(|key| scalar(self.front_matter.get(*key)?))
    }

    /// The values of the first of `keys` that the front matter has: a list, or one value alone.
    pub fn list(&self, keys: &[&str]) -> Option<Vec<String>> {
        keys.iter()
            .find_map(|key| match self.front_matter.get(*key)? {
                Value::Null => None,
                Value::Sequence(items) => Some(items.iter().filter_map(scalar).collect()),
                other => scalar(other).map(|text| vec![text]),
            })
    }

    /// The first heading, where it is a model's name and not a sentence: one word with a dash.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref().filter(|title| {
            !title.contains(char::is_whitespace)
                && title.contains('-')
                && title.starts_with(char::is_alphanumeric)
        })
    }
}

/// The YAML between the two `---` lines at the top, and the rest.
fn split_front_matter(text: &str) -> (&str, &str) {
    let Some(rest) = text
        .strip_prefix("---\n")
        .or_else(|| text.strip_prefix("---\r\n"))
    else {
        return ("", text);
    };
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return (&rest[..at], &rest[at + line.len()..]);
        }
        at += line.len();
    }
    ("", text)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        // `language: no` is Norwegian.
        Value::Bool(false) => Some("no".into()),
        Value::Bool(true) => Some("true".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_matter_and_title() {
        let (card, note) = ModelCard::parse(
            "---\nlicense: llama2\nlanguage:\n- ja\n- no\nversion: 0.1\n---\n\n# A-Model-7B\ntext\n",
        );
        assert_eq!(note, None);
        assert_eq!(
            card.text(&["licence", "license"]).as_deref(),
            Some("llama2")
        );
        assert_eq!(card.text(&["version"]).as_deref(), Some("0.1"));
        assert_eq!(
            card.list(&["language"]),
            Some(vec!["ja".into(), "no".into()])
        );
        assert_eq!(card.list(&["license"]), Some(vec!["llama2".into()]));
        assert_eq!(card.title(), Some("A-Model-7B"));
    }

    #[test]
    fn a_card_without_front_matter_or_with_a_broken_one_is_no_error() {
        for (text, noted) in [
            ("", false),
            ("# Model Card for something", false),
            ("---\nlicense: mit\nno end", false),
            ("---\na: [1\n---\n", true),
            ("---\n- a\n---\n", true),
        ] {
            let (card, note) = ModelCard::parse(text);
            assert_eq!(
                (card.text(&["license"]), note.is_some()),
                (None, noted),
                "{text:?}"
            );
            assert_eq!(card.title(), None);
        }
    }
}

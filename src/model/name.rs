//! What a model's name says: `Swallow-MoE-2x13B-v0.1` is basename, size label and version.
//!
//! The rules are those by which llama.cpp's converter takes names apart, so that a file gets the
//! same name from both where both start from the same one. The convention is described in
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#gguf-naming-convention>.

use std::sync::LazyLock;

use regex::Regex;

/// A model's name, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameParts {
    /// The name without the organization.
    pub full: String,
    /// What stands before the slash.
    pub organization: Option<String>,
    /// For example `Swallow-MoE`.
    pub basename: Option<String>,
    /// For example `Instruct`.
    pub finetune: Option<String>,
    /// For example `v0.1`.
    pub version: Option<String>,
    /// For example `2x13B`.
    pub size_label: Option<String>,
}

/// What one dash-separated word of a name is. A trailing version may still be counted to the
/// basename while the name is read, so that is a flag of its own.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Unknown,
    Version,
    Encoding,
    Size,
    Finetune,
}

struct Word {
    text: String,
    kind: Kind,
    in_basename: bool,
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|error| unreachable!("constant pattern: {error}"))
}

static VERSION: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)^(v|iter)?\d+([.]\d+)*$"));
static ENCODING: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)^(i?q\d(_\w)*|b?fp?(16|32))$"));
static SIZE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)^((a|\d+x)?\d+([._]\d+)?[kmbt]\d?|small|mini|medium|large|x?xl)$")
});
static FINETUNE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)^(chat|instruct|vision|lora)$"));
/// Words that are left as they are in a title: versions, and what begins with a digit.
static NO_TITLE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(v\d+(\.\d+)*|\d.*)$"));

impl NameParts {
    /// Takes `id` apart, `ORG/NAME` or `NAME`. A size in the name counts as such only where it is
    /// near the `parameters` the model has.
    pub fn of(id: &str, parameters: u64) -> Self {
        if id.contains(' ') {
            // A sentence, not an identifier.
            return Self {
                full: id.into(),
                ..Self::default()
            };
        }
        let (organization, full) = match id.split_once('/') {
            Some((org, name)) if !org.is_empty() && !org.starts_with('.') => (Some(org), name),
            Some((_, name)) => (None, name),
            None => (None, id),
        };
        let words = classify(full, parameters);

        let join = |pick: &dyn Fn(&Word) -> bool| {
            let picked: Vec<&str> = words
                .iter()
                .filter(|w| pick(w))
                .map(|w| w.text.as_str())
                .collect();
            (!picked.is_empty()).then(|| picked.join("-"))
        };
        let size_label = {
            let mut sizes: Vec<&str> = Vec::new();
            for word in words.iter().filter(|w| w.kind == Kind::Size) {
                if !sizes.contains(&word.text.as_str()) {
                    sizes.push(&word.text);
                }
            }
            (!sizes.is_empty()).then(|| sizes.join("-"))
        };
        let finetune = join(&|w| w.kind == Kind::Finetune);
        let version = join(&|w| w.kind == Kind::Version && !w.in_basename);
        let basename = join(&|w| w.in_basename)
            // Nothing but a basename says nothing: the word may be anything.
            .filter(|_| size_label.is_some() || finetune.is_some() || version.is_some());
        Self {
            full: full.into(),
            organization: organization.map(Into::into),
            basename,
            finetune,
            version,
            size_label,
        }
    }
}

fn classify(name: &str, parameters: u64) -> Vec<Word> {
    let mut words: Vec<Word> = name
        .split('-')
        .filter(|text| !text.is_empty())
        .enumerate()
        .map(|(i, text)| classify_word(text, i == 0, parameters))
        .collect();

    // `large` is no size beside `7B`.
    let has_number =
        |w: &Word| w.kind == Kind::Size && w.text.contains(|c: char| c.is_ascii_digit());
    if words.iter().any(has_number) {
        for word in &mut words {
            if word.kind == Kind::Size && word.text.chars().all(char::is_alphabetic) {
                word.kind = Kind::Unknown;
            }
        }
    }

    // The basename runs from the start as long as words are plain, or versions amid them.
    let mut at_start = true;
    for word in &mut words {
        let plain = word.kind == Kind::Unknown && word.text.starts_with(char::is_alphabetic);
        if at_start && (plain || word.kind == Kind::Version) {
            word.in_basename = true;
        } else {
            at_start = false;
            if word.kind == Kind::Unknown {
                word.kind = Kind::Finetune;
            }
        }
    }
    // A version at the end is the version, not part of the basename.
    for word in words.iter_mut().rev() {
        if !(word.in_basename && word.kind == Kind::Version) {
            break;
        }
        word.in_basename = false;
    }
    words
}

fn classify_word(text: &str, first: bool, parameters: u64) -> Word {
    let (text, kind) = if VERSION.is_match(text) {
        (text.to_owned(), Kind::Version)
    } else if ENCODING.is_match(text) {
        (text.to_uppercase(), Kind::Encoding)
    } else if !first && SIZE.is_match(text) {
        size_word(text, parameters)
    } else if !first && FINETUNE.is_match(text) {
        (text.to_owned(), Kind::Finetune)
    } else {
        (text.to_owned(), Kind::Unknown)
    };
    Word {
        text,
        kind,
        in_basename: false,
    }
}

/// Normalizes a size (`7b1` is `7.1B`, `13b` is `13B`) and doubts one that is far from the model's:
/// `128k` is a context length.
fn size_word(text: &str, parameters: u64) -> (String, Kind) {
    let mut text = text.replace('_', ".");
    let bytes = text.as_bytes();
    if let [.., unit, digit] = bytes
        && digit.is_ascii_digit()
    {
        text = format!(
            "{}.{}{}",
            &text[..text.len() - 2],
            *digit as char,
            *unit as char
        );
    }
    let Some(number) = text.get(..text.len() - 1) else {
        return (text, Kind::Size);
    };
    if number.ends_with(|c: char| c.is_ascii_digit()) {
        text = format!("{number}{}", text[number.len()..].to_uppercase());
    }
    let exponent = match text.as_bytes().last() {
        Some(b'K') => 3,
        Some(b'M') => 6,
        Some(b'B') => 9,
        Some(b'T') => 12,
        _ => return (text, Kind::Size),
    };
    let number = &text[..text.len() - 1];
    if let Ok(size) = number.parse::<f64>()
        && parameters > 0
        && (size * 10f64.powi(exponent) - parameters as f64).abs() > (7 * parameters / 8) as f64
    {
        return (
            format!("{number}{}", text[number.len()..].to_lowercase()),
            Kind::Finetune,
        );
    }
    (text, Kind::Size)
}

/// `superswallow-13b-v0.2` → `Superswallow 13b v0.2`.
pub fn title(id: &str) -> String {
    let capitalize = |word: &str| {
        let lowercase =
            word.chars().any(char::is_lowercase) && !word.chars().any(char::is_uppercase);
        if lowercase && !NO_TITLE.is_match(word) {
            capitalize_runs(word)
        } else {
            word.to_owned()
        }
    };
    id.replace('-', " ")
        .split_whitespace()
        .map(capitalize)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Upper case for the first letter of every run of letters.
fn capitalize_runs(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut in_run = false;
    for c in word.chars() {
        if in_run {
            out.push(c);
        } else {
            out.extend(c.to_uppercase());
        }
        in_run = c.is_alphabetic();
    }
    out
}

/// A parameter count as a size label: two digits at least, `13B`, `1.5B`, `135M`.
pub fn size_label(parameters: u64) -> String {
    let n = parameters as f64;
    let (scaled, unit) = match n {
        n if n > 1e12 => (n * 1e-12, 'T'),
        n if n > 1e9 => (n * 1e-9, 'B'),
        n if n > 1e6 => (n * 1e-6, 'M'),
        n => (n * 1e-3, 'K'),
    };
    let whole = scaled.round_ties_even();
    let digits = if whole == 0.0 {
        0
    } else {
        format!("{whole:.0}").len()
    };
    format!("{scaled:.*}{unit}", 2usize.saturating_sub(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_taken_apart() {
        let parts = NameParts::of("Aratako/Swallow-MoE-2x13B-v0.1", 21_624_181_760);
        assert_eq!(parts.organization.as_deref(), Some("Aratako"));
        assert_eq!(parts.basename.as_deref(), Some("Swallow-MoE"));
        assert_eq!(parts.size_label.as_deref(), Some("2x13B"));
        assert_eq!(parts.version.as_deref(), Some("v0.1"));
        assert_eq!(parts.finetune, None);
        assert_eq!(title(&parts.full), "Swallow MoE 2x13B v0.1");
    }

    /// `(id, parameters, basename, finetune, version, size)`, as the reference converter has them.
    #[test]
    fn other_names_are_taken_apart() {
        type Case = (&'static str, u64, [Option<&'static str>; 4]);
        let cases: [Case; 9] = [
            (
                "Mistral-7B-Instruct-v0.2",
                7_200_000_000,
                [Some("Mistral"), Some("Instruct"), Some("v0.2"), Some("7B")],
            ),
            (
                "Superswallow-13b-v0.2",
                13_000_000_000,
                [Some("Superswallow"), None, Some("v0.2"), Some("13B")],
            ),
            (
                "Swallow-13b-instruct-hf",
                13_000_000_000,
                [Some("Swallow"), Some("instruct-hf"), None, Some("13B")],
            ),
            (
                "Llama-3-8B-Instruct-128k",
                8_000_000_000,
                [Some("Llama-3"), Some("Instruct-128k"), None, Some("8B")],
            ),
            (
                "bloom-7b1",
                7_100_000_000,
                [Some("bloom"), None, None, Some("7.1B")],
            ),
            ("merge", 1000, [None, None, None, None]),
            (
                "SmolLM2-135M-Instruct",
                134_515_008,
                [Some("SmolLM2"), Some("Instruct"), None, Some("135M")],
            ),
            ("stories260K", 260_000, [None, None, None, None]),
            ("My Fine Model", 1000, [None, None, None, None]),
        ];
        for (id, parameters, [basename, finetune, version, size]) in cases {
            let p = NameParts::of(id, parameters);
            let found = [p.basename, p.finetune, p.version, p.size_label];
            let expected = [basename, finetune, version, size].map(|s| s.map(str::to_owned));
            assert_eq!(found, expected, "{id}");
        }
    }

    #[test]
    fn sizes_have_two_digits() {
        let cases = [
            (13_015_864_320, "13B"),
            (1_540_000_000, "1.5B"),
            (134_515_008, "135M"),
            (292_800, "293K"),
            (999, "1.0K"),
            (40, "0.04K"),
        ];
        for (n, expected) in cases {
            assert_eq!(size_label(n), expected, "{n}");
        }
    }
}

//! Files that may have been meant, where one was named that is not there.

use std::fmt::Write as _;

use crate::gguf::shown;

/// Those of `paths` that are like `path`, the most similar first: of the same kind, or where that has no
/// ending, as a tag has none, with it in their name. Of a model in parts only the first.
pub(super) fn like<'a>(path: &str, paths: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = path.to_lowercase();
    let kind = kind(&wanted);
    let mut like: Vec<(f64, &str)> = paths
        .filter_map(|other| {
            let lower = other.to_lowercase();
            let is_like = match kind {
                Some(kind) => self::kind(&lower) == Some(kind),
                None => lower.contains(&wanted),
            };
            let is_first = !is_later_part(&lower) || is_later_part(&wanted);
            let similarity = strsim::normalized_damerau_levenshtein(&wanted, &lower);
            (is_like && is_first).then_some((similarity, other))
        })
        .collect();
    like.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    like.into_iter().map(|(_, other)| other).collect()
}

/// The ending of a file's name; a version such as `v0.1` is none.
pub(super) fn kind(path: &str) -> Option<&str> {
    let (_, kind) = path.rsplit_once('.')?;
    let fits = !kind.contains('/') && kind.contains(|c: char| c.is_alphabetic());
    fits.then_some(kind)
}

/// Whether a name in lower case is that of a GGUF's part behind the first.
fn is_later_part(name: &str) -> bool {
    let part = name
        .strip_suffix(".gguf")
        .and_then(|stem| stem.rsplit_once("-of-"))
        .and_then(|(rest, _)| rest.rsplit_once('-'));
    part.is_some_and(|(_, no)| {
        no.len() == 5 && no.bytes().all(|b| b.is_ascii_digit()) && no != "00001"
    })
}

/// The GGUF files among `paths`, in order; of a model in parts the first.
pub(crate) fn ggufs<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut ggufs = like(".gguf", paths);
    ggufs.sort_unstable();
    ggufs
}

/// So many of something, as a sentence has it.
pub(super) fn counted(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// A few of many names, for a sentence.
pub(crate) fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 4;
    let mut text = String::new();
    for (i, name) in names.iter().take(SHOWN).enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        let _ = write!(text, "{comma}`{}`", shown(name.as_ref()));
    }
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => text,
        Some(more) => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_may_have_been_meant() {
        let files = [
            "README.md",
            "config.json",
            "m-Q4_K_M.gguf",
            "m-Q8_0-00001-of-00002.gguf",
            "m-Q8_0-00002-of-00002.gguf",
            "tokenizer.json",
        ];
        let like = |path: &str| like(path, files.iter().copied());
        assert_eq!(like("q4_k_m"), ["m-Q4_K_M.gguf"]);
        assert_eq!(like("Q8_0"), ["m-Q8_0-00001-of-00002.gguf"]);
        assert_eq!(
            like("m-q8_0.gguf"),
            ["m-Q4_K_M.gguf", "m-Q8_0-00001-of-00002.gguf"]
        );
        assert_eq!(
            like("m-Q8_0-00003-of-00002.gguf")[0],
            "m-Q8_0-00001-of-00002.gguf"
        );
        assert_eq!(like("tokenizer_config.json")[0], "tokenizer.json");
        assert!(like("latest").is_empty());
        assert_eq!(kind("a/m-v0.1"), None);
    }

    #[test]
    fn a_few_of_many() {
        assert_eq!(quoted(&["a"]), "`a`");
        assert_eq!(quoted(&["a", "b", "c", "d"]), "`a`, `b`, `c`, `d`");
        assert_eq!(quoted(&["a"; 6]), "`a`, `a`, `a`, `a` and 2 more");
    }
}

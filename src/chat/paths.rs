//! File names as people type them: with a `~`, in quotes, with spaces that a `\` stands before.

use std::path::PathBuf;

/// The path that `text` means. A file of just that name comes first, whatever signs are in it.
pub(super) fn typed(text: &str) -> PathBuf {
    let as_it_is = PathBuf::from(text);
    if as_it_is.symlink_metadata().is_ok() {
        return as_it_is;
    }
    let words = match cfg!(windows) {
        // There a `\` is between folders.
        true => None,
        false => shlex::split(text),
    };
    let unquoted = match words.as_deref() {
        Some([word]) => word.clone(),
        _ => without_quotes(text).to_owned(),
    };
    match (home_relative(&unquoted), etcetera::home_dir()) {
        // In quotes the sign is one like others.
        (Some(rest), Ok(home)) if text.starts_with('~') => home.join(rest),
        _ => unquoted.into(),
    }
}

/// What a quote stands before; it need not end, because completion does not end it.
fn without_quotes(text: &str) -> &str {
    let inner = |quote| {
        let inner = text.strip_prefix(quote)?;
        Some(inner.strip_suffix(quote).unwrap_or(inner))
    };
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

fn home_relative(path: &str) -> Option<&str> {
    let rest = path.strip_prefix('~')?;
    match rest.strip_prefix(std::path::is_separator) {
        Some(rest) => Some(rest),
        None => rest.is_empty().then_some(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_they_are_typed() {
        let home = etcetera::home_dir().unwrap();
        let plain = |text: &str| PathBuf::from(text);
        assert_eq!(typed("a.txt"), plain("a.txt"));
        assert_eq!(typed("日本語 の.txt"), plain("日本語 の.txt"));
        assert_eq!(typed("'a b.txt'"), plain("a b.txt"));
        assert_eq!(typed("\"a b.txt\""), plain("a b.txt"));
        assert_eq!(typed("\"a b.txt"), plain("a b.txt"));
        assert_eq!(typed("it's.txt"), plain("it's.txt"));
        assert_eq!(typed("~/a.txt"), home.join("a.txt"));
        assert_eq!(typed("~a.txt"), plain("~a.txt"));
        assert_eq!(typed("~"), home);
        if cfg!(unix) {
            assert_eq!(typed(r"a\ b.txt"), plain("a b.txt"));
            assert_eq!(typed("'~/a.txt'"), plain("~/a.txt"));
        }
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("a\\ b'");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(typed(odd.to_str().unwrap()), odd);
    }
}

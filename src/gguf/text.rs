//! Showing bytes of a file without letting them play with the terminal.

use std::fmt::Write as _;

/// `bytes` as one line of text: control characters, direction marks and everything else that
/// does not print become Rust escapes (`\n`, `\u{202e}`), bytes that are not UTF-8 become `\xNN`.
pub fn escape(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\'' | '\\' => shown.push(c),
                _ => shown.extend(c.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// A name out of a file as a message shows it: escaped, and not endless.
pub(crate) fn shown(name: &str) -> String {
    const CHARS: usize = 120;
    match name.char_indices().nth(CHARS) {
        Some((end, _)) => escape(&name.as_bytes()[..end]) + "…",
        None => escape(name.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn text_stays_and_controls_are_escaped() {
        let cases: &[(&[u8], &str)] = &[
            (
                "こんにちは, \"GGUF\" \\o/".as_bytes(),
                "こんにちは, \"GGUF\" \\o/",
            ),
            (
                b"red \x1b[31m bell \x07\n",
                "red \\u{1b}[31m bell \\u{7}\\n",
            ),
            ("\u{202e}fdp.exe".as_bytes(), "\\u{202e}fdp.exe"),
            ("\u{9b}31m".as_bytes(), "\\u{9b}31m"),
            (b"caf\xe9 \xff", "caf\\xe9 \\xff"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(escape(bytes), *expected);
        }
    }
}

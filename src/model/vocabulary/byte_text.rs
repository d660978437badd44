//! Bytes as printable characters, one for each: how GPT-2's kind of vocabulary writes its tokens.
//!
//! The 188 printable bytes of Latin-1 stand for themselves; the other 68 are U+0100 and on, in the
//! order of the bytes.

/// What a tokenizer writes for a token of this content: the bytes that its characters stand for,
/// or the content itself if one of them stands for none.
pub(super) fn plain(content: &str) -> String {
    match content.chars().map(byte_of).collect::<Option<Vec<u8>>>() {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        None => content.to_owned(),
    }
}

/// The characters that stand for these bytes.
pub(super) fn written(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| CHARACTERS[usize::from(*byte)])
        .collect()
}

/// The character of each byte.
const CHARACTERS: [char; 256] = {
    let mut characters = ['\0'; 256];
    let (mut byte, mut next) = (0, '\u{100}' as u32);
    while byte < 256 {
        characters[byte] = if is_printable(byte as u8) {
            byte as u8 as char
        } else {
            next += 1;
            match char::from_u32(next - 1) {
                Some(character) => character,
                None => '\0',
            }
        };
        byte += 1;
    }
    characters
};

const fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The byte that a character stands for.
fn byte_of(character: char) -> Option<u8> {
    match u8::try_from(character) {
        Ok(byte) => Some(byte).filter(|byte| is_printable(*byte)),
        Err(_) => {
            let index = (character as usize).checked_sub(0x100)?;
            (0..=u8::MAX).filter(|byte| !is_printable(*byte)).nth(index)
        }
    }
}

//! What is seen on the screen when a line of wide characters is edited.

use std::num::NonZero;

use vt100::Parser;

use super::room::{QUOTES, Room, quit};
use super::terminal::Running;

/// Columns of the screen: odd, so that a wide character does not fit at the end of a row.
const COLUMNS: NonZero<u16> = NonZero::new(21).unwrap();

const ROWS: NonZero<u16> = NonZero::new(40).unwrap();

/// The screen when it has this text, from its last prompt on, and the cursor where it belongs: so many
/// columns right of the row's beginning.
fn wait_for_screen(chat: &Running, expected: &[&str], cursor: (usize, u16)) {
    let mut found = (Vec::new(), (0, 0));
    for _ in 0..600 {
        let mut parser = Parser::new(ROWS, COLUMNS, 0);
        parser.process(chat.terminal.shown().as_bytes());
        let screen = parser.screen();
        let rows: Vec<String> = screen.rows(0, COLUMNS.get()).collect();
        let last = rows
            .iter()
            .rposition(|row| row.starts_with("> "))
            .unwrap_or(0);
        let rows: Vec<String> = rows[last..]
            .iter()
            .map(|row| row.trim_end().to_owned())
            .collect();
        let rows: Vec<String> = rows.into_iter().take_while(|row| !row.is_empty()).collect();
        let (row, column) = screen.cursor_position();
        found = (rows, (usize::from(row).wrapping_sub(last), column));
        if found.0 == expected && found.1 == cursor {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{found:?}, expected {expected:?}, {cursor:?}");
}

#[test]
fn the_cursor_stands_where_wide_characters_are_edited() {
    let room = Room::new();
    let mut chat = room.chat(QUOTES);
    chat.terminal.set_size(COLUMNS.get(), ROWS.get());
    // The editor asks for the size when a line begins.
    chat.terminal.type_in("x\r");
    chat.terminal.wait_for("<x>");
    let left = "\x1b[D";
    chat.terminal.type_in("日本語ｱx");
    wait_for_screen(&chat, &["> 日本語ｱx"], (0, 10));
    chat.terminal.type_in(left.repeat(3));
    wait_for_screen(&chat, &["> 日本語ｱx"], (0, 6));
    chat.terminal.type_in("の\x7f\x7f");
    wait_for_screen(&chat, &["> 日語ｱx"], (0, 4));
    // Nineteen columns are free: the tenth wide character begins the next row.
    chat.terminal.type_in("\x15一二三四五六七八九十百");
    wait_for_screen(&chat, &["> 一二三四五六七八九", "十百語ｱx"], (1, 4));
    chat.terminal.type_in(left.repeat(3));
    wait_for_screen(&chat, &["> 一二三四五六七八九", "十百語ｱx"], (0, 18));
    chat.terminal.type_in("x");
    wait_for_screen(&chat, &["> 一二三四五六七八x九", "十百語ｱx"], (0, 19));
    chat.terminal.type_in("\r");
    chat.terminal.wait_for("一二三四五六七八x九十百");
    quit(chat);
}

//! The chats as a table.

use indicatif::DecimalBytes;
use jiff::ZonedDateTime;

use super::Listed;
use crate::gguf::escape;
use crate::table::Cell::{Left, Right};
use crate::table::aligned;

/// A line for each chat, below a line that says what is what.
pub fn table(chats: &[Listed]) -> String {
    let head = ["NAME", "TURNS", "MODEL", "LAST USED", "SIZE"];
    let mut rows = vec![
        head.iter()
            .map(|name| match *name {
                "TURNS" | "SIZE" => Right((*name).to_owned()),
                name => Left(name.to_owned()),
            })
            .collect(),
    ];
    for chat in chats {
        rows.push(vec![
            Left(chat.name.to_string()),
            Right(chat.turns.to_string()),
            Left(escape(chat.model.as_bytes())),
            Left(last_used(chat)),
            Right(DecimalBytes(chat.text_bytes + chat.state_bytes).to_string()),
        ]);
    }
    aligned(&rows)
}

/// When a chat was last written, by the user's clock.
fn last_used(chat: &Listed) -> String {
    match ZonedDateTime::try_from(chat.last_used) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => "-".to_owned(),
    }
}

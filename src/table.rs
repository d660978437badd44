//! Tables in plain text: columns aligned by the width that a terminal gives each character.

use unicode_width::UnicodeWidthStr;

/// A cell of a table; numbers stand at its right.
#[derive(Debug)]
pub(crate) enum Cell {
    Left(String),
    Right(String),
}

use Cell::{Left, Right};

impl Cell {
    fn text(&self) -> &str {
        match self {
            Left(text) | Right(text) => text,
        }
    }
}

/// The rows, all of as many cells, a line each: indented by two, two blanks between columns,
/// none at the end of a line.
pub(crate) fn aligned(rows: &[Vec<Cell>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .map(|row| row[column].text().width())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (cell, width) in row.iter().zip(&widths) {
            let gap = " ".repeat(width - cell.text().width());
            match cell {
                Left(text) => line.extend([" ", text, &gap]),
                Right(text) => line.extend([" ", &gap, text]),
            }
            line.push(' ');
        }
        out.extend([line.trim_end(), "\n"]);
    }
    out
}

/// Digits in groups of three: `12,345`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

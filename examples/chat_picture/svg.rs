//! A screen as an SVG.

use std::fmt::Write as _;

use vt100::{Cell, Color, Screen};

/// A cell, in pixels.
const WIDTH: f32 = 9.0;
const HEIGHT: f32 = 20.0;

/// Around the cells.
const MARGIN: f32 = 16.0;

/// The window's bar, with its three buttons.
const BAR: f32 = 30.0;
const BUTTONS: [&str; 3] = ["#ff5f57", "#febc2e", "#28c840"];

const BACKGROUND: &str = "#1b1d23";
const TEXT: &str = "#dcdfe4";

/// The eight colours, and their bright ones.
const COLOURS: [&str; 16] = [
    "#5c6370", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#dcdfe4",
    "#7f848e", "#ff7b86", "#b5e890", "#ffd68a", "#7cc4ff", "#e19df2", "#6fd3e0", "#ffffff",
];

/// How a run of cells looks.
#[derive(Clone, Copy, PartialEq)]
struct Look {
    colour: Color,
    bold: bool,
    dim: bool,
    /// Each character has two cells.
    wide: bool,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        Self {
            colour: cell.fgcolor(),
            bold: cell.bold(),
            dim: cell.dim(),
            wide: cell.is_wide(),
        }
    }
}

/// Everything down to the cursor's row.
pub(crate) fn picture(screen: &Screen) -> String {
    let columns = screen.size().1.get();
    let (last, column) = screen.cursor_position();
    let width = f32::from(columns) * WIDTH + 2.0 * MARGIN;
    let height = f32::from(last + 1) * HEIGHT + BAR + MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"ui-monospace, 'Cascadia Code', Menlo, Consolas, \
         'DejaVu Sans Mono', 'Noto Sans Mono CJK JP', monospace\" font-size=\"15\" fill=\"{TEXT}\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
    );
    for (i, colour) in BUTTONS.iter().enumerate() {
        let x = MARGIN + 4.0 + 20.0 * i as f32;
        push(
            &mut svg,
            format_args!("<circle cx=\"{x}\" cy=\"17\" r=\"6\" fill=\"{colour}\"/>\n"),
        );
    }
    for row in 0..=last {
        for (begin, text, look) in runs(screen, row, columns) {
            draw(&mut svg, row, begin, &text, look);
        }
    }
    let (x, y) = place(last, column);
    push(
        &mut svg,
        format_args!(
            "<rect x=\"{x}\" y=\"{}\" width=\"{WIDTH}\" height=\"17\" opacity=\".7\"/>\n",
            y - 13.0
        ),
    );
    svg + "</svg>\n"
}

/// The runs of a row that look the same: where they begin, and what is in them.
fn runs(screen: &Screen, row: u16, columns: u16) -> Vec<(u16, String, Look)> {
    let mut runs: Vec<(u16, String, Look)> = Vec::new();
    for column in 0..columns {
        let Some(cell) = screen
            .cell(row, column)
            .filter(|cell| !cell.is_wide_continuation())
        else {
            continue;
        };
        let look = Look::of(cell);
        let text = if cell.has_contents() {
            cell.contents()
        } else {
            " "
        };
        match runs.last_mut() {
            Some((_, run, before)) if *before == look => run.push_str(text),
            _ => runs.push((column, text.to_owned(), look)),
        }
    }
    runs.retain(|(_, text, _)| !text.trim().is_empty());
    runs
}

fn draw(svg: &mut String, row: u16, begin: u16, text: &str, look: Look) {
    let cell = if look.wide { 2.0 * WIDTH } else { WIDTH };
    // Space is not drawn, and only moves what is.
    let space = text.chars().take_while(|c| *c == ' ').count();
    let text = text.trim_end_matches(' ').trim_start_matches(' ');
    let (x, y) = place(row, begin);
    let x = x + space as f32 * cell;
    let length = text.chars().count() as f32 * cell;
    push(
        svg,
        format_args!(
            "<text x=\"{x}\" y=\"{y}\" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\""
        ),
    );
    if let Color::Idx(index) = look.colour {
        let colour = COLOURS.get(usize::from(index)).unwrap_or(&TEXT);
        push(svg, format_args!(" fill=\"{colour}\""));
    }
    if look.bold {
        svg.push_str(" font-weight=\"bold\"");
    }
    if look.dim {
        svg.push_str(" opacity=\".6\"");
    }
    svg.push('>');
    for character in text.chars() {
        match character {
            // Of ordinary spaces only one would be drawn.
            ' ' => svg.push('\u{a0}'),
            '<' => svg.push_str("&lt;"),
            '&' => svg.push_str("&amp;"),
            other => svg.push(other),
        }
    }
    svg.push_str("</text>\n");
}

/// Where the text of a cell stands.
fn place(row: u16, column: u16) -> (f32, f32) {
    let x = MARGIN + f32::from(column) * WIDTH;
    (x, BAR + f32::from(row) * HEIGHT + 15.0)
}

fn push(svg: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = svg.write_fmt(text);
}

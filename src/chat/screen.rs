//! Answers on stdout, everything else on stderr.

use std::io::{self, Stdout, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use console::Term;

use crate::runner::Event;

/// Tells the user something that is no answer, on stderr.
pub fn note(text: &str) {
    let text = console::style(text).for_stderr().dim();
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Streams answers to stdout, and thoughts to the terminal that stderr may be.
#[derive(Debug)]
pub struct Screen {
    stdout: Stdout,
    /// Whether thoughts are only spoken of and not shown.
    hide_thoughts: bool,
    thoughts: Thoughts,
    /// Why writing failed; nothing is written after that.
    error: Option<io::Error>,
    status: StatusLine,
    /// Whether something of the answer was written.
    answer_began: bool,
    /// What is to be noted after the answer, so as not to stand in the middle of it.
    notes: Vec<String>,
}

impl Screen {
    /// Writes to stdout. With `hide_thoughts` it only says that the model thinks.
    pub fn new(hide_thoughts: bool) -> Self {
        Self {
            stdout: io::stdout(),
            hide_thoughts,
            thoughts: Thoughts::None,
            error: None,
            status: StatusLine::new(),
            answer_began: false,
            notes: Vec::new(),
        }
    }

    /// Why stdout could not be written, where it could not.
    pub fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    pub(super) fn begin_answer(&mut self) {
        self.status = StatusLine::new();
        self.answer_began = false;
        self.thoughts = Thoughts::None;
    }

    /// Shows what happens; ends the answer where it cannot be shown.
    pub(super) fn show(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Reading { done, total } => {
                if !self.answer_began && self.thoughts == Thoughts::None {
                    let text = format!("reading the prompt: {done} of {total} tokens");
                    self.status.show(&text);
                }
                ControlFlow::Continue(())
            }
            Event::Thought(text) => {
                self.think(text);
                self.go_on()
            }
            Event::Text("") => self.go_on(),
            Event::Text(text) => self.write(text),
            Event::Forgot { turns } => {
                let turns = match turns {
                    1 => "the oldest turn was".to_owned(),
                    n => format!("the {n} oldest turns were"),
                };
                let text = format!("the context is full: {turns} forgotten");
                if self.answer_began || self.thoughts != Thoughts::None {
                    self.notes.push(text);
                } else {
                    self.status.clear();
                    note(&text);
                }
                ControlFlow::Continue(())
            }
        }
    }

    /// The one line end after an answer, and the notes. Where there is no answer, there is no
    /// line to end.
    pub(super) fn end_answer(&mut self) {
        self.status.clear();
        self.end_thoughts();
        if self.answer_began {
            // An error is kept for whoever asks.
            let _ = self.write("\n");
        }
        for text in self.notes.drain(..) {
            note(&text);
        }
    }

    /// Thoughts are no answer, so they go where notes go, and only where somebody sees them.
    fn think(&mut self, text: &str) {
        if let Thoughts::None = self.thoughts {
            self.thoughts = match self.hide_thoughts || !Term::stderr().is_term() {
                true => Thoughts::Hidden(Instant::now()),
                false => Thoughts::Shown,
            };
            self.status.clear();
            if self.thoughts == Thoughts::Shown && !console::colors_enabled_stderr() {
                note(THINKING);
            }
        }
        match self.thoughts {
            Thoughts::Hidden(since) => {
                let seconds = since.elapsed().as_secs();
                self.status.show(&format!("{THINKING} {seconds} s"));
            }
            _ => {
                let text = console::style(text).for_stderr().dim();
                let _ = write!(io::stderr(), "{text}");
            }
        }
    }

    /// An empty line between the thoughts and the answer.
    fn end_thoughts(&mut self) {
        if self.thoughts == Thoughts::Shown {
            let end = match console::colors_enabled_stderr() {
                true => "\n\n".to_owned(),
                false => format!("\n{THOUGHT}\n\n"),
            };
            let _ = io::stderr().write_all(end.as_bytes());
        }
        self.thoughts = Thoughts::None;
    }

    fn write(&mut self, text: &str) -> ControlFlow<()> {
        self.status.clear();
        self.end_thoughts();
        self.answer_began = true;
        if self.error.is_none() {
            let written = self.stdout.write_all(text.as_bytes());
            self.error = written.and_then(|()| self.stdout.flush()).err();
        }
        self.go_on()
    }

    fn go_on(&self) -> ControlFlow<()> {
        match self.error {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    }
}

/// What begins and ends thoughts where they cannot be dim.
const THINKING: &str = "thinking…";
const THOUGHT: &str = "… thought";

/// What is seen of the thoughts before an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thoughts {
    /// There are none, or they are over.
    None,
    /// The thoughts themselves.
    Shown,
    /// For how long it thinks.
    Hidden(Instant),
}

/// A line on the terminal that says what is being waited for, and goes away.
#[derive(Debug)]
pub struct StatusLine {
    terminal: Term,
    began: Instant,
    /// What is shown, and since when.
    shown: Option<(String, Instant)>,
}

impl StatusLine {
    /// Waiting for less than this needs no explanation.
    const PATIENCE: Duration = Duration::from_millis(700);

    /// Nobody reads faster.
    const PAUSE: Duration = Duration::from_millis(100);

    /// Nothing is shown yet.
    pub fn new() -> Self {
        Self {
            terminal: Term::stderr(),
            began: Instant::now(),
            shown: None,
        }
    }

    /// Shows `text` in place of what is shown, if stderr is a terminal and it took a while.
    pub fn show(&mut self, text: &str) {
        if !self.terminal.is_term() || self.began.elapsed() < Self::PATIENCE {
            return;
        }
        let width = usize::from(self.terminal.size().1);
        let text = console::truncate_str(text, width.saturating_sub(1), "…").into_owned();
        let shown = self.shown.as_ref();
        if shown.is_some_and(|(old, since)| *old == text || since.elapsed() < Self::PAUSE) {
            return;
        }
        // Over what is there, in one piece: a line that is cleared first blinks.
        let old = shown.map_or(0, |(old, _)| console::measure_text_width(old));
        let rest = " ".repeat(old.saturating_sub(console::measure_text_width(&text)));
        let line = format!("\r{}{rest}", console::style(&text).for_stderr().dim());
        let written = self.terminal.write_str(&line);
        self.shown = written.is_ok().then(|| (text, Instant::now()));
    }

    /// Removes what is shown.
    pub fn clear(&mut self) {
        if self.shown.take().is_some() {
            // A line left over is no reason to stop.
            let _ = self.terminal.clear_line();
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Default for StatusLine {
    fn default() -> Self {
        Self::new()
    }
}

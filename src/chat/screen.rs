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

/// Streams answers to stdout.
#[derive(Debug)]
pub struct Screen {
    stdout: Stdout,
    /// Why writing failed; nothing is written after that.
    error: Option<io::Error>,
    status: StatusLine,
    /// Whether something of the answer was written.
    answer_began: bool,
    /// What is to be noted after the answer, so as not to stand in the middle of it.
    notes: Vec<String>,
}

impl Screen {
    /// Writes to stdout.
    pub fn new() -> Self {
        Self {
            stdout: io::stdout(),
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
    }

    /// Shows what happens; ends the answer where it cannot be shown.
    pub(super) fn show(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Reading { done, total } => {
                if !self.answer_began {
                    let text = format!("reading the prompt: {done} of {total} tokens");
                    self.status.show(&text);
                }
                ControlFlow::Continue(())
            }
            Event::Text("") => self.go_on(),
            Event::Text(text) => self.write(text),
            Event::Forgot { turns } => {
                let turns = match turns {
                    1 => "the oldest turn was".to_owned(),
                    n => format!("the {n} oldest turns were"),
                };
                let text = format!("the context is full: {turns} forgotten");
                if self.answer_began {
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
        if self.answer_began {
            // An error is kept for whoever asks.
            let _ = self.write("\n");
        }
        for text in self.notes.drain(..) {
            note(&text);
        }
    }

    fn write(&mut self, text: &str) -> ControlFlow<()> {
        self.status.clear();
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

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

/// A line on the terminal that says what is being waited for, and goes away.
#[derive(Debug)]
pub struct StatusLine {
    terminal: Term,
    began: Instant,
    shown: bool,
}

impl StatusLine {
    /// Waiting for less than this needs no explanation.
    const PATIENCE: Duration = Duration::from_millis(700);

    /// Nothing is shown yet.
    pub fn new() -> Self {
        Self {
            terminal: Term::stderr(),
            began: Instant::now(),
            shown: false,
        }
    }

    /// Shows `text` in place of what is shown, if stderr is a terminal and it took a while.
    pub fn show(&mut self, text: &str) {
        if self.terminal.is_term() && self.began.elapsed() >= Self::PATIENCE {
            self.clear();
            let width = usize::from(self.terminal.size().1);
            let text = console::truncate_str(text, width.saturating_sub(1), "…");
            let text = console::style(text).for_stderr().dim();
            self.shown = self.terminal.write_str(&text.to_string()).is_ok();
        }
    }

    /// Removes what is shown.
    pub fn clear(&mut self) {
        if self.shown {
            // A line left over is no reason to stop.
            let _ = self.terminal.clear_line();
            self.shown = false;
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

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
}

impl Screen {
    /// Writes to stdout.
    pub fn new() -> Self {
        Self {
            stdout: io::stdout(),
            error: None,
            status: StatusLine::new(),
        }
    }

    /// Why stdout could not be written, where it could not.
    pub fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    pub(super) fn begin_answer(&mut self) {
        self.status = StatusLine::new();
    }

    /// Shows what happens; ends the answer where it cannot be shown.
    pub(super) fn show(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Reading { done, total } => {
                self.status
                    .show(&format!("reading the prompt: {done} of {total} tokens"));
                ControlFlow::Continue(())
            }
            Event::Text("") => self.go_on(),
            Event::Text(text) => self.write(text),
            Event::Forgot { turns } => {
                self.status.clear();
                let turns = match turns {
                    1 => "the oldest turn was".to_owned(),
                    n => format!("the {n} oldest turns were"),
                };
                note(&format!("the context is full: {turns} forgotten"));
                ControlFlow::Continue(())
            }
        }
    }

    /// The one line end after an answer; in an error's place there is none.
    pub(super) fn end_answer(&mut self, is_answer: bool) {
        self.status.clear();
        if is_answer {
            let _ = self.write("\n");
        }
    }

    fn write(&mut self, text: &str) -> ControlFlow<()> {
        self.status.clear();
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

impl Default for StatusLine {
    fn default() -> Self {
        Self::new()
    }
}

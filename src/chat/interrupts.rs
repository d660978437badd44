//! Ctrl-C: the first stops the answer, the second leaves the program. And what else ends it at once.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::type_ahead;

/// What shells report of a program that Ctrl-C ended: 128 and the number of SIGINT.
const EXIT_CODE: i32 = 130;

/// Listens to Ctrl-C. Outside a chat also to the signals that ask a program to end; in a chat those
/// do it by themselves, when they have put the terminal back.
#[derive(Clone, Debug)]
pub struct Interrupts(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// An answer is being made.
    answering: AtomicBool,
    /// A chat does something else between two lines, which a first Ctrl-C does not end.
    between_lines: AtomicBool,
    /// It is asked to stop.
    stop: Arc<AtomicBool>,
    /// Another program has the terminal, and Ctrl-C is for that one.
    lent: AtomicBool,
}

impl Interrupts {
    /// Starts to listen. Once in a program.
    ///
    /// # Errors
    /// Where the system lets nobody listen, or something else listens.
    pub fn install() -> Result<Self, ctrlc::Error> {
        let state = Arc::new(State::default());
        let heard = Arc::clone(&state);
        ctrlc::set_handler(move || {
            if heard.lent.load(Ordering::SeqCst) {
                return;
            }
            let busy = heard.answering.load(Ordering::SeqCst)
                || heard.between_lines.load(Ordering::SeqCst);
            if !busy || heard.stop.swap(true, Ordering::SeqCst) {
                leave();
            }
        })?;
        Ok(Self(state))
    }

    /// Until this is dropped, Ctrl-C is a request to stop the answer.
    pub fn answering(&self) -> Answering {
        self.0.answering.store(true, Ordering::SeqCst);
        Answering(Arc::clone(&self.0))
    }

    /// From here on a chat goes on, which one Ctrl-C does not end, but where a line is read.
    pub(super) fn begin_chat(&self) {
        self.0.between_lines.store(true, Ordering::SeqCst);
    }

    /// Reads a line with `read`, which hears Ctrl-C as a key where the terminal lets it.
    pub(super) fn reading<T>(&self, read: impl FnOnce() -> T) -> T {
        self.0.between_lines.store(false, Ordering::SeqCst);
        let found = read();
        self.0.between_lines.store(true, Ordering::SeqCst);
        found
    }

    /// Whether Ctrl-C came between an answer and the next line.
    pub(super) fn came_between(&self) -> bool {
        self.0.stop.swap(false, Ordering::SeqCst)
    }

    /// While `other` runs, Ctrl-C is for the program that has the terminal then.
    pub(super) fn lend<T>(&self, other: impl FnOnce() -> T) -> T {
        self.0.lent.store(true, Ordering::SeqCst);
        let done = other();
        self.0.lent.store(false, Ordering::SeqCst);
        done
    }

    /// Ends the program as Ctrl-C does.
    pub fn leave(&self) -> ! {
        leave()
    }
}

/// An answer is being made.
#[derive(Debug)]
pub struct Answering(Arc<State>);

impl Answering {
    /// The flag that is set when it is asked to stop.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.stop)
    }

    /// Whether it is asked to stop.
    pub fn stopped(&self) -> bool {
        self.0.stop.load(Ordering::SeqCst)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.store(false, Ordering::SeqCst);
        self.0.stop.store(false, Ordering::SeqCst);
    }
}

/// Ends the program, and leaves the terminal as it was.
fn leave() -> ! {
    type_ahead::abandon();
    exit(EXIT_CODE)
}

/// Ends the program with an error, on whatever thread and whatever is under way, and leaves the terminal as
/// it was.
pub fn fail(error: &str) -> ! {
    type_ahead::abandon();
    // An answer or a status stands there without the end of its line, perhaps.
    let line_end = match io::stdout().is_terminal() || io::stderr().is_terminal() {
        true => "\n",
        false => "",
    };
    // Not by `eprintln!`, which panics where stderr is closed.
    let _ = writeln!(io::stderr(), "{line_end}error: {error}");
    exit(1)
}

/// Ends the program at once. llama.cpp may be computing on other threads, which the clean-up of
/// an ordinary exit would pull the floor from under.
#[cfg(unix)]
fn exit(code: i32) -> ! {
    // SAFETY: `_exit` has no precondition; it runs no handlers and no destructors.
    unsafe { libc::_exit(code) }
}

#[cfg(not(unix))]
fn exit(code: i32) -> ! {
    std::process::exit(code)
}

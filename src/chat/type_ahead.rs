//! What is typed while nobody reads it: it waits in the terminal, unseen, for the next prompt.
//!
//! While the model loads and while it answers, the terminal neither shows what is typed nor
//! gathers it to lines: it keeps the keys. The line editor then reads them as if they were typed
//! at its prompt, so that lines are sent one after the other, and one that was not ended stands
//! there to be gone on with, as in a shell. Ctrl-C is heard at once, and takes nothing with it.
//!
//! Four things together lose nothing:
//!
//! - Between keys and lines (`ICANON`) a terminal keeps its queue when it changes, and no change
//!   here asks it to flush. Keys have no longest line, beyond which a terminal would drop them:
//!   where the queue is full (4096 bytes on Linux) the sender waits. Nor is a Ctrl-C heard
//!   then that comes behind so much, before the next prompt.
//! - The line editor reads a burst in one piece and keeps what comes after the end of a line
//!   (rustyline's feature `buffer-redux`).
//! - Pastes are bracketed for as long as the chat lasts, not only at its prompts.
//! - `NOFLSH`: a key that is a signal does not empty the queue.
//!
//! A chat that ends otherwise than by `/quit` or Ctrl-D, or is stopped by Ctrl-Z, flushes the queue:
//! what was written for the model is not to be run by the shell.
//!
//! On Windows there is nothing to do: a console shows and gathers only what a program waits for.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use other as system;
#[cfg(unix)]
use unix as system;

/// Keeps what is typed for the next prompt, for as long as it lives. One at a time in a program.
#[derive(Debug)]
pub struct TypeAhead(());

impl TypeAhead {
    /// From here on what is typed waits. Where stdin is no terminal nothing happens.
    pub fn hold() -> Self {
        system::hold();
        Self(())
    }

    /// Reads with `read`, to which what waits is given.
    pub(super) fn give<T>(&self, read: impl FnOnce() -> T) -> T {
        system::before_reading();
        let found = read();
        system::after_reading();
        found
    }

    /// Lends the terminal, as it was before the chat, to the program that `run` runs. What waits goes to
    /// that program.
    pub(super) fn lend<T>(&self, run: impl FnOnce() -> T) -> T {
        let lent = system::lend();
        let done = run();
        if lent {
            system::take_back();
        }
        done
    }

    /// The chat is over, and what is typed from here on is for whoever comes next.
    pub fn release(self) {
        system::release(false);
    }
}

impl Drop for TypeAhead {
    /// Where the chat was not over: an error or a panic.
    fn drop(&mut self) {
        system::release(true);
    }
}

/// Puts the terminal back as it was, when the program is about to end at once.
pub(super) fn abandon() {
    system::release(true);
}

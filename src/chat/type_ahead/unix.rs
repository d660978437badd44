//! The terminal's modes. In statics, because signal handlers put them back; nothing here allocates
//! or locks, but for [`hold`].

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::getpgrp;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};

use super::signals;

/// A terminal's modes, and whether it is asked to mark pastes.
struct Modes {
    /// As they were before the chat.
    before: Termios,
    /// While what is typed waits.
    waiting: Termios,
    /// The line editor edits here; else it reads whole lines, as they come.
    edits: bool,
}

static MODES: OnceLock<Modes> = OnceLock::new();

/// Whether what is typed is for the chat.
static HELD: AtomicBool = AtomicBool::new(false);

/// Terminals on which rustyline does not edit.
const PLAIN: [&str; 3] = ["dumb", "cons25", "emacs"];

const MARK_PASTES: &[u8] = b"\x1b[?2004h";
const DO_NOT_MARK_PASTES: &[u8] = b"\x1b[?2004l";

pub(super) fn hold() {
    let Ok(before) = tcgetattr(stdin()) else {
        return;
    };
    let term = std::env::var("TERM").unwrap_or_default();
    let edits = !PLAIN.iter().any(|name| name.eq_ignore_ascii_case(&term));
    let mut waiting = before.clone();
    waiting
        .local_modes
        .remove(LocalModes::ECHO | LocalModes::ECHONL);
    waiting.local_modes.insert(LocalModes::NOFLSH);
    if edits {
        waiting
            .local_modes
            .remove(LocalModes::ICANON | LocalModes::IEXTEN);
        waiting.special_codes[SpecialCodeIndex::VMIN] = 1;
        waiting.special_codes[SpecialCodeIndex::VTIME] = 0;
    }
    MODES.get_or_init(|| Modes {
        before,
        waiting,
        edits,
    });
    HELD.store(true, Ordering::SeqCst);
    signals::install();
    resume();
}

/// Makes what is typed wait, also after another program had the terminal.
pub(super) fn resume() {
    with_terminal(|modes| {
        set(&modes.waiting, OptionalActions::Now);
        if modes.edits {
            write(MARK_PASTES);
        }
    });
}

/// Leaves the terminal to another program for a while, without what waits in it.
pub(super) fn pause() {
    with_terminal(|modes| put_back(modes, OptionalActions::Flush));
}

/// Leaves the terminal to a program that we wait for, whose signals are no concern of ours. False where
/// there was nothing to leave.
pub(super) fn lend() -> bool {
    with_terminal(|modes| put_back(modes, OptionalActions::Now));
    HELD.swap(false, Ordering::SeqCst)
}

/// Takes the terminal back that was lent.
pub(super) fn take_back() {
    HELD.store(true, Ordering::SeqCst);
    resume();
}

/// Leaves the terminal for good; with `flush`, without what waits in it.
pub(super) fn release(flush: bool) {
    let action = match flush {
        true => OptionalActions::Flush,
        false => OptionalActions::Now,
    };
    with_terminal(|modes| put_back(modes, action));
    HELD.store(false, Ordering::SeqCst);
}

/// The line editor sets the modes it needs and puts back those it finds. Where it does not edit,
/// the terminal does and has to show it.
pub(super) fn before_reading() {
    with_terminal(|modes| {
        if !modes.edits {
            set(&modes.before, OptionalActions::Now);
        }
    });
}

pub(super) fn after_reading() {
    with_terminal(|modes| {
        if !modes.edits {
            set(&modes.waiting, OptionalActions::Now);
        }
    });
}

/// Does `what` if the terminal is ours: a program in the background that changed it would be
/// stopped.
fn with_terminal(what: impl FnOnce(&Modes)) {
    if HELD.load(Ordering::SeqCst)
        && let Some(modes) = MODES.get()
        // An error says that it is nobody's.
        && tcgetpgrp(stdin()).map_or(true, |group| group == getpgrp())
    {
        what(modes);
    }
}

fn put_back(modes: &Modes, action: OptionalActions) {
    if modes.edits {
        write(DO_NOT_MARK_PASTES);
    }
    set(&modes.before, action);
}

fn set(modes: &Termios, action: OptionalActions) {
    // A terminal that is gone needs no modes.
    let _ = tcsetattr(stdin(), action, modes);
}

fn write(sequence: &[u8]) {
    // Where it cannot be written pastes come without marks.
    let _ = rustix::io::write(stdout(), sequence);
}

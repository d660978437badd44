//! Signals that take the terminal from the program: they put it back first. Ctrl-C is not among
//! them; [`Interrupts`](crate::chat::Interrupts) hears it.

use std::mem::MaybeUninit;
use std::ptr;

use libc::{SIGABRT, SIGCONT, SIGHUP, SIGQUIT, SIGTERM, SIGTSTP, c_int, sighandler_t};

use super::unix;

pub(super) fn install() {
    for signal in [SIGABRT, SIGHUP, SIGQUIT, SIGTERM, SIGTSTP, SIGCONT] {
        if action(signal) != libc::SIG_IGN {
            set_action(signal, on_signal as *const () as sighandler_t);
        }
    }
}

/// Runs wherever the signal meets the program, so it calls nothing but what is safe there.
extern "C" fn on_signal(signal: c_int) {
    match signal {
        SIGCONT => unix::resume(),
        SIGTSTP => unix::pause(),
        _ => unix::release(true),
    }
    if signal == SIGCONT {
        return;
    }
    // What the signal does by itself: it ends the program, or stops it until it is continued.
    set_action(signal, libc::SIG_DFL);
    // SAFETY: `raise` has no precondition, and is safe in a signal handler.
    unsafe {
        libc::raise(signal);
    }
    set_action(signal, on_signal as *const () as sighandler_t);
    unix::resume();
}

fn action(signal: c_int) -> sighandler_t {
    let mut found = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the null pointer asks for no change; `found` has room for the answer, and zeros are
    // one (the default action) where the call fails.
    unsafe {
        libc::sigaction(signal, ptr::null(), found.as_mut_ptr());
        found.assume_init().sa_sigaction
    }
}

fn set_action(signal: c_int, action: sighandler_t) {
    // SAFETY: zeros are a valid `sigaction` without flags and with an empty mask; `action` is a
    // handler of this signature or one of the constants. `SA_NODEFER` lets a handler raise its own signal.
    unsafe {
        let mut new = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        new.sa_sigaction = action;
        new.sa_flags = libc::SA_RESTART | libc::SA_NODEFER;
        libc::sigaction(signal, &new, ptr::null_mut());
    }
}

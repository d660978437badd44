//! Workers that are lost while they are needed.
//!
//! llama.cpp's client knows two ends: where a connection breaks it aborts the program, and where nothing
//! comes it waits. The first is caught by ggml's callback before an abort, the second by asking each worker
//! for a greeting now and then, which our workers answer at any time. llama.cpp's own `rpc-server` answers
//! nobody while it has a client; such a worker is believed to be there for as long as its connection is.

use std::ffi::{CStr, c_char};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::error::reason;
use super::protocol::{Connection, Failure};
use super::{Endpoint, Remote, ggml};

/// Ends the program, with the message of what was lost; called on any thread.
pub type Loss = fn(&str) -> !;

/// How often a worker is asked whether it is there.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long it may take to answer that.
const PATIENCE: Duration = Duration::from_millis(2500);

/// How long a worker that has always answered may be silent.
const SILENCE: Duration = Duration::from_secs(7);

struct Watched {
    remotes: Vec<Remote>,
    on_loss: Loss,
}

static WATCHED: OnceLock<Watched> = OnceLock::new();
static LOST: AtomicBool = AtomicBool::new(false);

/// How many calculations are under way, and a change of that.
static COMPUTING: Mutex<usize> = Mutex::new(0);
static BEGUN: Condvar = Condvar::new();

/// While this lives, workers are needed.
#[derive(Debug)]
pub(in crate::runner) struct Computing(());

/// Says that from here on workers are needed, if there are any.
pub(in crate::runner) fn computing() -> Computing {
    *COMPUTING.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    BEGUN.notify_all();
    Computing(())
}

impl Drop for Computing {
    fn drop(&mut self) {
        *COMPUTING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

/// Watches these workers until the program ends. Once in a program.
pub(super) fn begin(remotes: &[Remote], on_loss: Loss) {
    let watched = Watched {
        remotes: remotes.to_vec(),
        on_loss,
    };
    if WATCHED.set(watched).is_err() {
        return;
    }
    ggml::before_abort(on_abort);
    for remote in remotes {
        let remote = remote.clone();
        thread::spawn(move || watch(&remote));
    }
}

/// Asks one worker again and again, while it is needed.
fn watch(remote: &Remote) {
    let mut answers = false;
    let mut heard = Instant::now();
    loop {
        if wait_for_work() {
            heard = Instant::now();
        }
        match Connection::open(remote.address, PATIENCE) {
            Ok(_) => {
                answers = true;
                heard = Instant::now();
            }
            Err(failure) if answers && heard.elapsed() >= SILENCE => {
                lose(&is_gone(&remote.endpoint, &failure));
            }
            Err(_) => {}
        }
        thread::sleep(INTERVAL);
    }
}

/// Waits until workers are needed; whether it had to.
fn wait_for_work() -> bool {
    let mut computing = COMPUTING.lock().unwrap_or_else(PoisonError::into_inner);
    let idle = *computing == 0;
    while *computing == 0 {
        computing = BEGUN
            .wait(computing)
            .unwrap_or_else(PoisonError::into_inner);
    }
    idle
}

/// ggml is about to abort the program.
unsafe extern "C" fn on_abort(message: *const c_char) {
    let message = match message.is_null() {
        true => "",
        // SAFETY: ggml gives a string that ends with a zero and lives for the length of this call.
        false => unsafe { CStr::from_ptr(message) }
            .to_str()
            .unwrap_or_default(),
    };
    if message.contains("ggml-rpc") {
        lose(&who_is_gone());
    }
    // What ggml would have said without this callback.
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// Ends the program, once: several connections may break together.
fn lose(message: &str) -> ! {
    if !LOST.swap(true, Ordering::SeqCst)
        && let Some(watched) = WATCHED.get()
    {
        (watched.on_loss)(message);
    }
    loop {
        thread::park();
    }
}

/// Which worker it was. Its connection broke before its port was closed, perhaps, so it is asked twice.
fn who_is_gone() -> String {
    let remotes = WATCHED.get().map_or(&[][..], |watched| &watched.remotes);
    for _ in 0..2 {
        let failures: Vec<_> = thread::scope(|scope| {
            let asked: Vec<_> = remotes
                .iter()
                .map(|remote| scope.spawn(|| Connection::open(remote.address, PATIENCE).err()))
                .collect();
            asked
                .into_iter()
                .map(|asked| asked.join().unwrap_or(None))
                .collect()
        });
        for (remote, failure) in remotes.iter().zip(&failures) {
            if let Some(failure @ Failure::NoConnection(_)) = failure {
                return is_gone(&remote.endpoint, failure);
            }
        }
        thread::sleep(Duration::from_millis(300));
    }
    match remotes {
        [one] => format!(
            "the worker {} ended the connection; ask anew, and see what it says of it",
            one.endpoint
        ),
        several => {
            let names: Vec<_> = several
                .iter()
                .map(|remote| remote.endpoint.to_string())
                .collect();
            format!(
                "one of the workers {} ended the connection; ask anew, and see what they say of it",
                names.join(", ")
            )
        }
    }
}

fn is_gone(endpoint: &Endpoint, failure: &Failure) -> String {
    let why = match failure {
        Failure::NoConnection(error) => reason(error),
        Failure::Silent => format!("it has not answered for {} seconds", SILENCE.as_secs()),
        Failure::Stranger | Failure::Version(_) => "something else is at its place".to_owned(),
    };
    format!("the worker {endpoint} is gone: {why}; start it again, then ask anew")
}

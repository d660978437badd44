//! llama.cpp's log: silent, or on stderr; its last errors are kept, because a load that fails
//! gives no other reason.
//!
//! Not through `llama_cpp_2::send_logs_to_tracing`: that panics, across the C boundary, on a line
//! that has no level.

use std::ffi::{CStr, c_char, c_void};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use llama_cpp_sys_2::{
    GGML_LOG_LEVEL_CONT, GGML_LOG_LEVEL_DEBUG, GGML_LOG_LEVEL_ERROR, GGML_LOG_LEVEL_NONE,
    ggml_log_level,
};

static VERBOSE: AtomicBool = AtomicBool::new(false);
static ERRORS: Mutex<Errors> = Mutex::new(Errors::new());

/// Sends the log of llama.cpp and ggml, but for what is for its developers, to stderr (`verbose`)
/// or nowhere.
pub(super) fn install(verbose: bool) {
    VERBOSE.store(verbose, Ordering::Relaxed);
    // SAFETY: the callback is a function that lives as long as the program and uses no user data;
    // llama_log_set hands it to ggml too.
    unsafe { llama_cpp_sys_2::llama_log_set(Some(on_log), std::ptr::null_mut()) };
}

/// Whether the log goes to stderr.
pub(super) fn is_verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// The first error logged since the last call, without the function that logged it.
pub(super) fn take_first_error() -> Option<String> {
    let mut errors = ERRORS.lock().unwrap_or_else(|poison| poison.into_inner());
    errors.take_first()
}

unsafe extern "C" fn on_log(level: ggml_log_level, text: *const c_char, _user_data: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: llama.cpp gives a NUL-terminated string that lives for the length of this call.
    let text = unsafe { CStr::from_ptr(text) }.to_bytes();
    let mut errors = ERRORS.lock().unwrap_or_else(|poison| poison.into_inner());
    errors.push(level, &String::from_utf8_lossy(text));
    if VERBOSE.load(Ordering::Relaxed) && errors.level != GGML_LOG_LEVEL_DEBUG {
        // A log that cannot be written is no reason to fail, nor to panic through C.
        let _ = std::io::stderr().write_all(text);
    }
}

/// The first lines of level error, joined from the pieces they are logged in.
#[derive(Debug)]
struct Errors {
    text: String,
    /// Level of the last piece, which continuations of it share.
    level: ggml_log_level,
}

impl Errors {
    /// Enough for the reason of a failure; a program that logs errors for ever keeps no more.
    const MAX_BYTES: usize = 4096;

    const fn new() -> Self {
        Self {
            text: String::new(),
            level: GGML_LOG_LEVEL_NONE,
        }
    }

    fn push(&mut self, level: ggml_log_level, text: &str) {
        if level != GGML_LOG_LEVEL_CONT {
            self.level = level;
        }
        if self.level == GGML_LOG_LEVEL_ERROR && self.text.len() + text.len() <= Self::MAX_BYTES {
            self.text.push_str(text);
        }
    }

    fn take_first(&mut self) -> Option<String> {
        let text = std::mem::take(&mut self.text);
        let line = text.lines().find(|line| !line.trim().is_empty())?.trim();
        let message = match line.split_once(": ") {
            Some((function, message)) if !function.contains(' ') => message,
            _ => line,
        };
        Some(message.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use llama_cpp_sys_2::GGML_LOG_LEVEL_INFO;

    use super::*;

    #[test]
    fn the_first_error_is_kept_without_its_function() {
        let mut errors = Errors::new();
        errors.push(GGML_LOG_LEVEL_INFO, "loading\n");
        errors.push(
            GGML_LOG_LEVEL_ERROR,
            "llama_model_load: error loading model: ",
        );
        errors.push(GGML_LOG_LEVEL_CONT, "missing tensor 'x'\n");
        errors.push(GGML_LOG_LEVEL_NONE, "no level\n");
        errors.push(GGML_LOG_LEVEL_CONT, "more of no level\n");
        errors.push(GGML_LOG_LEVEL_ERROR, "failed to load model\n");
        assert_eq!(
            errors.take_first().as_deref(),
            Some("error loading model: missing tensor 'x'")
        );
        assert_eq!(errors.take_first(), None);
    }

    #[test]
    fn errors_without_end_are_not_kept() {
        let mut errors = Errors::new();
        for _ in 0..1000 {
            errors.push(GGML_LOG_LEVEL_ERROR, "the same again and again\n");
        }
        assert!(errors.text.len() <= Errors::MAX_BYTES);
    }
}

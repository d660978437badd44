//! The program in a terminal of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bstr::ByteSlice as _;
use rustix::process::{Pid, Signal};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::support::text;

/// For a machine that is busy with other tests; nothing waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Written behind the last that a program has shown.
const END: &str = "\x02the end of the program\x03";

/// A terminal, its keyboard and its screen.
pub(crate) struct Terminal {
    keyboard: File,
    /// Kept open, so that the modes can be looked at when the program has ended.
    line: OwnedFd,
    screen: Arc<Screen>,
}

#[derive(Default)]
struct Screen {
    shown: Mutex<Vec<u8>>,
    more: Condvar,
}

/// A program in a terminal.
pub(crate) struct Running {
    pub(crate) terminal: Terminal,
    child: Child,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let line = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let keyboard = File::from(master);
        let mut output = keyboard.try_clone().unwrap();
        let screen = Arc::new(Screen::default());
        let shows = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends when nobody holds the line any more.
            while let Ok(n @ 1..) = output.read(&mut bytes) {
                shows.shown.lock().unwrap().extend(&bytes[..n]);
                shows.more.notify_all();
            }
        });
        Self {
            keyboard,
            line: line.into(),
            screen,
        }
    }

    /// Starts `command` with this terminal as its own.
    pub(crate) fn run(self, command: &mut Command) -> Running {
        self.run_as("xterm", command)
    }

    /// As [`Self::run`], with a terminal that has colours.
    pub(super) fn run_in_colour(self, command: &mut Command) -> Running {
        command.env_remove("NO_COLOR");
        self.start("xterm-256color", command)
    }

    /// As [`Self::run`], with a terminal of this kind.
    pub(crate) fn run_as(self, kind: &str, command: &mut Command) -> Running {
        self.start(kind, command.env("NO_COLOR", "1"))
    }

    fn start(self, kind: &str, command: &mut Command) -> Running {
        let line = || self.line.try_clone().unwrap();
        command
            .stdin(line())
            .stdout(line())
            .stderr(line())
            .env("TERM", kind);
        // SAFETY: two system calls, which is what may be done between fork and exec.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        Running {
            terminal: self,
            child,
        }
    }

    pub(crate) fn type_in(&mut self, keys: impl AsRef<[u8]>) {
        self.keyboard.write_all(keys.as_ref()).unwrap();
    }

    /// Bytes that were typed and read by nobody.
    pub(crate) fn waiting(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.line).unwrap()
    }

    pub(crate) fn modes(&self) -> Termios {
        tcgetattr(&self.line).unwrap()
    }

    /// The cells of the screen, so many in a row and so many rows.
    pub(super) fn set_size(&self, columns: u16, rows: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.line, size).unwrap();
    }

    /// Everything that was shown so far.
    pub(crate) fn shown(&self) -> String {
        text(&self.screen.shown.lock().unwrap())
    }

    /// Waits until `expected` was shown so many times.
    pub(crate) fn wait_for_times(&self, times: usize, expected: &str) {
        let began = Instant::now();
        let mut shown = self.screen.shown.lock().unwrap();
        let (mut found, mut looked_at) = (0, 0);
        loop {
            while let Some(at) = shown[looked_at..].find(expected) {
                looked_at += at + expected.len();
                found += 1;
            }
            if found >= times {
                return;
            }
            // It may have begun to be shown.
            looked_at = looked_at.max((shown.len() + 1).saturating_sub(expected.len()));
            if began.elapsed() > PATIENCE {
                let end = shown.len().saturating_sub(2000);
                let so_far = text(&shown[end..]);
                drop(shown);
                panic!("not shown {times} times: {expected:?}\nbut: {so_far:?}");
            }
            let second = Duration::from_secs(1);
            shown = self.screen.more.wait_timeout(shown, second).unwrap().0;
        }
    }

    pub(crate) fn wait_for(&self, expected: &str) {
        self.wait_for_times(1, expected);
    }

    /// Waits until all is shown that was written: a program may have ended before it is read.
    fn show_all(&self) {
        rustix::io::write(&self.line, END.as_bytes()).unwrap();
        self.wait_for(END);
        let mut shown = self.screen.shown.lock().unwrap();
        let at = shown.find(END).unwrap();
        shown.drain(at..at + END.len());
    }
}

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the terminal's modes are such.
    pub(crate) fn wait_for_modes(&self, what: &str, are: impl Fn(&Termios) -> bool) {
        let began = Instant::now();
        while !are(&self.terminal.modes()) {
            assert!(began.elapsed() < PATIENCE, "the terminal is never {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end of the program, and until all is shown that it wrote.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.terminal.show_all();
                return status;
            }
            let shown = || self.terminal.shown();
            assert!(began.elapsed() < PATIENCE, "it does not end: {:?}", shown());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    /// A test that fails leaves nothing behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether what is typed is shown and gathered to lines.
pub(crate) fn is_ordinary(modes: &Termios) -> bool {
    let ordinary = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
    modes.local_modes.contains(ordinary) && !modes.local_modes.contains(LocalModes::NOFLSH)
}

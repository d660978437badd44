//! A terminal, with a program in it.

use std::error::Error;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::{Parser, Screen};

/// The cells of the terminal: rows enough for the whole chat, of which only those in use are drawn.
const COLUMNS: NonZero<u16> = NonZero::new(84).unwrap();
const ROWS: NonZero<u16> = NonZero::new(200).unwrap();

/// The longest that an answer takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// A prompt at which nothing happens for so long waits for the user.
const QUIET: Duration = Duration::from_millis(500);

pub(crate) struct Terminal {
    keyboard: File,
    output: Receiver<Vec<u8>>,
    parser: Parser,
    child: Child,
}

impl Terminal {
    /// Starts `command`, for which the shell's line has the words `shown`.
    pub(crate) fn run(command: &mut Command, shown: &str) -> Result<Self, Box<dyn Error>> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let line = File::options()
            .read(true)
            .write(true)
            .open(name.to_str()?)?;
        let size = Winsize {
            ws_row: ROWS.get(),
            ws_col: COLUMNS.get(),
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&line, size)?;
        command
            .stdin(line.try_clone()?)
            .stdout(line.try_clone()?)
            .stderr(line)
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR");
        // SAFETY: two system calls, which is what may be done between fork and exec.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn()?;
        let keyboard = File::from(master);
        let mut reader = keyboard.try_clone()?;
        let (send, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends with the program, which holds the other end.
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                if send.send(bytes[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        let mut parser = Parser::new(ROWS, COLUMNS, 0);
        parser.process(format!("\x1b[1m$ {shown}\x1b[0m\r\n").as_bytes());
        Ok(Self {
            keyboard,
            output,
            parser,
            child,
        })
    }

    /// What is seen.
    pub(crate) fn screen(&self) -> &Screen {
        self.parser.screen()
    }

    /// Types a line, as fast as somebody who types fast, so that the editor shows each key.
    pub(crate) fn enter(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        for key in line.chars().chain(['\r']) {
            write!(self.keyboard, "{key}")?;
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Waits until the program waits for a line.
    pub(crate) fn wait_for_prompt(&mut self) -> Result<(), Box<dyn Error>> {
        let began = Instant::now();
        loop {
            match self.output.recv_timeout(QUIET) {
                Ok(bytes) => self.parser.process(&bytes),
                Err(RecvTimeoutError::Timeout) if self.is_at_prompt() => return Ok(()),
                Err(RecvTimeoutError::Timeout) if began.elapsed() < PATIENCE => {}
                Err(_) => {
                    let shown = self.screen().contents();
                    return Err(format!("no prompt came; this was seen:\n{shown}").into());
                }
            }
        }
    }

    /// Whether the cursor stands behind a prompt with nothing after it.
    fn is_at_prompt(&self) -> bool {
        let (row, column) = self.screen().cursor_position();
        let line = self.screen().rows(0, COLUMNS.get()).nth(usize::from(row));
        let line = line.unwrap_or_default();
        column == 2 && [">", "."].contains(&line.trim_end())
    }

    /// Ends the chat.
    pub(crate) fn leave(mut self) -> Result<(), Box<dyn Error>> {
        self.enter("/quit")?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Terminal {
    /// Where a prompt did not come.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

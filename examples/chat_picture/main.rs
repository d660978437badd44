//! A picture of a real chat: runs a program in a terminal of its own, types what stdin says line by line,
//! each when the chat is at its prompt, and writes what is on the screen then as an SVG.
//!
//! `chat_picture OUT.svg COMMAND-AS-SHOWN PROGRAM [ARGUMENT]... < LINES`; `scripts/chat-picture.sh` calls it.

#[cfg(unix)]
mod svg;
#[cfg(unix)]
mod terminal;

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::io::{self, BufRead as _};
    use std::process::Command;

    let mut arguments = std::env::args_os().skip(1);
    let (Some(output), Some(shown), Some(program)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("expected: chat_picture OUT.svg COMMAND-AS-SHOWN PROGRAM [ARGUMENT]...".into());
    };
    let mut command = Command::new(program);
    command.args(arguments);
    let mut terminal = terminal::Terminal::run(&mut command, &shown.to_string_lossy())?;
    terminal.wait_for_prompt()?;
    for line in io::stdin().lock().lines() {
        terminal.enter(&line?)?;
        terminal.wait_for_prompt()?;
    }
    std::fs::write(output, svg::picture(terminal.screen()))?;
    terminal.leave()?;
    Ok(())
}

#[cfg(not(unix))]
fn main() {
    eprintln!("error: pictures are made on Unix");
    std::process::exit(1);
}

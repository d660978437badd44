//! What is asked on the command line or through a pipe.

use std::io::{self, IsTerminal, Read};

use anyhow::{Context as _, bail};

use crate::cli::RunArgs;

/// The one prompt to answer; `None` for a chat.
pub(super) fn one_prompt(args: &RunArgs) -> anyhow::Result<Option<String>> {
    let prompt = match args.prompt.as_deref() {
        Some("-") => read_prompt()?,
        Some(prompt) => prompt.to_owned(),
        None if !io::stdin().is_terminal() => read_prompt()?,
        None if args.raw => bail!("`--raw` needs a prompt: give `-p`"),
        None if !io::stdout().is_terminal() => {
            bail!("stdout is not a terminal, which a chat needs: give a prompt with `-p`")
        }
        None => return Ok(None),
    };
    // A raw prompt may be empty: the token that begins a sequence is a beginning.
    if prompt.trim().is_empty() && !args.raw {
        bail!("the prompt is empty");
    }
    Ok(Some(prompt))
}

/// The largest prompt read from stdin, in bytes.
const MAX_PROMPT: u64 = 16 << 20;

/// All of stdin, but for the line end that `echo` and editors put last.
fn read_prompt() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    io::stdin()
        .take(MAX_PROMPT + 1)
        .read_to_end(&mut bytes)
        .context("cannot read the prompt from stdin")?;
    if bytes.len() as u64 > MAX_PROMPT {
        bail!("the prompt on stdin is longer than {MAX_PROMPT} bytes");
    }
    let mut prompt = String::from_utf8(bytes)
        .map_err(|error| error.utf8_error().valid_up_to())
        .map_err(|offset| anyhow::anyhow!("the prompt on stdin is not UTF-8 at byte {offset}"))?;
    if prompt.ends_with('\n') {
        prompt.pop();
        if prompt.ends_with('\r') {
            prompt.pop();
        }
    }
    Ok(prompt)
}

//! `swallow-gguf sessions`

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::print;
use crate::chat::{markdown, note};
use crate::cli::{SessionsArgs, SessionsCommand};
use crate::runner::Turn;
use crate::sessions::{Kept, Listed, SessionName, Sessions, table};

pub(super) fn execute(args: SessionsArgs) -> anyhow::Result<()> {
    let sessions = Sessions::open()?;
    match args.command {
        None => list(&sessions, args.json),
        Some(SessionsCommand::List { json }) => list(&sessions, json),
        Some(SessionsCommand::Show { name }) => {
            let kept = read(&sessions, &name)?;
            print(&plain(kept.system.as_deref(), &kept.turns))
        }
        Some(SessionsCommand::Export {
            name,
            output,
            force,
        }) => {
            let kept = read(&sessions, &name)?;
            let text = markdown(kept.system.as_deref(), &kept.turns);
            match output {
                None => print(&text),
                Some(path) => write(&path, force, &text),
            }
        }
        Some(SessionsCommand::Rm { names }) => remove(&sessions, &names),
    }
}

fn list(sessions: &Sessions, json: bool) -> anyhow::Result<()> {
    let chats = sessions.list();
    if json {
        let chats: Vec<Value> = chats.iter().map(as_json).collect();
        return print(&format!("{:#}\n", Value::from(chats)));
    }
    if chats.is_empty() {
        note("no chat is kept yet; `swallow-gguf run MODEL` begins one");
        return Ok(());
    }
    for chat in &chats {
        if let Some(problem) = &chat.problem {
            note(&format!("`{}`: {problem}", chat.name));
        }
    }
    print(&table(&chats))
}

fn as_json(chat: &Listed) -> Value {
    json!({
        "name": chat.name.as_str(),
        "turns": chat.turns,
        "model": chat.model,
        "path": chat.path,
        "created": chat.created,
        "last_used": Timestamp::try_from(chat.last_used).ok().map(|time| time.to_string()),
        "text_bytes": chat.text_bytes,
        "state_bytes": chat.state_bytes,
        "problem": chat.problem,
    })
}

/// What was said in a chat; what cannot be read of it is told.
fn read(sessions: &Sessions, name: &str) -> anyhow::Result<Kept> {
    let kept = sessions.read(&sessions.named(name)?)?;
    for damage in &kept.damage {
        note(&format!(
            "line {} of `{}` is left out: {}",
            damage.line,
            kept.path.display(),
            damage.reason
        ));
    }
    Ok(kept)
}

/// As the chat looked: what was asked behind `>`.
fn plain(system: Option<&str>, turns: &[Turn]) -> String {
    let mut text = String::new();
    if let Some(system) = system {
        text += &format!("system: {system}\n\n");
    }
    for turn in turns {
        for line in turn.question.lines() {
            text += &format!("> {line}\n");
        }
        if let Some(answer) = &turn.answer {
            text += &format!("{answer}\n");
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn write(path: &Path, force: bool, text: &str) -> anyhow::Result<()> {
    let mut options = File::options();
    match force {
        true => options.write(true).create(true).truncate(true),
        false => options.write(true).create_new(true),
    };
    let mut file = match options.open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!(
                "`{}` is there already; `--force` replaces it",
                path.display()
            )
        }
        file => file.with_context(|| format!("cannot write `{}`", path.display()))?,
    };
    file.write_all(text.as_bytes())
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// Removes all or, where one of the names is none, nothing.
fn remove(sessions: &Sessions, names: &[String]) -> anyhow::Result<()> {
    let mut chats: Vec<SessionName> = Vec::new();
    for name in names {
        let name = sessions.named(name)?;
        if !chats.contains(&name) {
            chats.push(name);
        }
    }
    for name in &chats {
        sessions.remove(name)?;
        note(&format!("removed `{name}`"));
    }
    Ok(())
}

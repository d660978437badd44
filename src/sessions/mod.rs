//! The chats that are kept: a readable file each, and llama.cpp's state beside it.
//!
//! ```text
//! NAME.jsonl       a line with what holds for all, then a line for each message
//! NAME.state       what llama.cpp held at its end (`runner::Session::save_state`); may go at any time
//! NAME.lock        locked while a chat has it
//! NAME.*.part      being written
//! NAME.jsonl.damaged   what a file was before it was written anew without what nobody can read
//! ```
//!
//! The text is kept for ever, and says all that was said, also what the context has no room for. It
//! mirrors the conversation: an answer is appended, and what is taken back goes by writing the file anew,
//! which then appears whole. States are large, so only those of the chats used last are kept.

mod error;
mod file;
mod lines;
mod list;
mod lock;
mod name;
mod table;

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;

pub use error::SessionError;
pub use file::{About, SessionFile};
pub use lines::Damage;
pub use list::{Listed, MOST_STATE_BYTES};
pub use name::SessionName;
pub use table::table;

use crate::{nearest, places, runner::Turn};
use lines::VERSION;
use lock::Lock;

/// Bytes of the largest chat that is read.
const MAX_BYTES: u64 = 256 << 20;

/// Chats that may begin in one minute.
const MAX_PER_MINUTE: u32 = 1000;

/// The folder of the chats.
#[derive(Clone, Debug)]
pub struct Sessions {
    folder: PathBuf,
}

/// What was said in a chat.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The file.
    pub path: PathBuf,
    /// The name of the model it was last with.
    pub model: String,
    /// The system message.
    pub system: Option<String>,
    /// Questions and answers.
    pub turns: Vec<Turn>,
    /// Lines that cannot be read.
    pub damage: Vec<Damage>,
}

impl Sessions {
    /// The user's.
    ///
    /// # Errors
    /// Where the platform names no folder for them.
    pub fn open() -> Result<Self, SessionError> {
        let state = places::state().ok_or(SessionError::NoFolder)?;
        Ok(Self::at(state.join("sessions")))
    }

    /// Those in a folder of somebody's choice.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder, which need not be there.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the state of a chat is.
    pub fn state_path(&self, name: &SessionName) -> PathBuf {
        self.folder.join(format!("{name}.state"))
    }

    fn text_path(&self, name: &SessionName) -> PathBuf {
        self.folder.join(format!("{name}.jsonl"))
    }

    fn lock_path(&self, name: &SessionName) -> PathBuf {
        self.folder.join(format!("{name}.lock"))
    }

    /// Whether there is a chat of this name.
    pub fn has(&self, name: &SessionName) -> bool {
        self.text_path(name).exists()
    }

    /// The chat of this name, which has to be there.
    ///
    /// # Errors
    /// Where it is not, with the name that was probably meant.
    pub fn named(&self, name: &str) -> Result<SessionName, SessionError> {
        let found = SessionName::new(name).ok().filter(|name| self.has(name));
        found.ok_or_else(|| {
            let names = self.names();
            let near = nearest::of(name, names.iter().map(SessionName::as_str));
            SessionError::Unknown {
                name: crate::gguf::escape(name.as_bytes()),
                near: near.map(str::to_owned),
            }
        })
    }

    /// What was said in a chat.
    ///
    /// # Errors
    /// Where its file cannot be read, or is of a newer version.
    pub fn read(&self, name: &SessionName) -> Result<Kept, SessionError> {
        let path = self.text_path(name);
        let found = read_file(&path)?;
        Ok(Kept {
            model: found.head.model.clone(),
            system: found.system().map(str::to_owned),
            turns: found.turns(),
            damage: found.damage,
            path,
        })
    }

    /// Takes a chat, or a name for one: nobody else can until what is returned is dropped.
    ///
    /// # Errors
    /// Where another program has it, or its file cannot be read.
    pub fn take(&self, name: &SessionName) -> Result<SessionFile, SessionError> {
        places::create_private_folder(&self.folder)
            .map_err(SessionError::io("make the folder", &self.folder))?;
        let lock = Lock::take(&self.lock_path(name), name)?;
        SessionFile::new(self.clone(), name.clone(), lock)
    }

    /// Takes a name for a chat that nobody named.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn begin(&self) -> Result<SessionFile, SessionError> {
        let now = ZonedDateTime::now();
        for nth in 1..MAX_PER_MINUTE {
            let name = SessionName::by_time(&now, nth);
            if self.has(&name) {
                continue;
            }
            match self.take(&name) {
                Err(SessionError::InUse { .. }) => {}
                Ok(file) if file.is_kept() => {}
                taken => return taken,
            }
        }
        self.take(&SessionName::by_time(&now, MAX_PER_MINUTE))
    }

    /// Removes a chat, its state and all that is of it.
    ///
    /// # Errors
    /// Where it is in use, or cannot be removed.
    pub fn remove(&self, name: &SessionName) -> Result<(), SessionError> {
        let _lock = Lock::take(&self.lock_path(name), name)?;
        let text = self.text_path(name);
        fs::remove_file(&text).map_err(SessionError::io("remove", &text))?;
        for beside in [self.state_path(name), places::beside(&text, "damaged")] {
            for path in [places::beside(&beside, "part"), beside] {
                // It need not be there.
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }
}

/// What can be read of the chat at `path`.
fn read_file(path: &Path) -> Result<lines::Read, SessionError> {
    let file = File::open(path).map_err(SessionError::io("read", path))?;
    let found = file
        .metadata()
        .map_err(SessionError::io("read", path))?
        .len();
    if found > MAX_BYTES {
        return Err(SessionError::TooLarge {
            path: path.to_owned(),
            found,
            most: MAX_BYTES,
        });
    }
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    let read = file.take(MAX_BYTES).read_to_end(&mut bytes);
    read.map_err(SessionError::io("read", path))?;
    let found = lines::read(&bytes);
    if found.head.session > VERSION {
        return Err(SessionError::Newer {
            path: path.to_owned(),
            version: found.head.session,
        });
    }
    Ok(found)
}

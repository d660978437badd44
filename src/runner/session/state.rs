//! What llama.cpp holds of a conversation, in a file: so that a chat is taken up without reading its
//! text again.
//!
//! ```text
//! llama.cpp's own file     its magic, the tokens, their keys and values
//! JSON                     what the state is of, and the length and digest of what is before
//! u64, u64, 8 bytes        length and digest of the JSON, and MAGIC
//! ```
//!
//! llama.cpp believes what it reads and may end the program over it, so it never sees a file that is
//! not byte for byte what it wrote, nor one of another model, template, context or version. Digests
//! are XXH3: they guard against what is cut or damaged, not against forgery.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::Session;
use crate::places;

/// The last bytes of a state file.
const MAGIC: &[u8; 8] = b"SWGSTAT1";

/// Length and digest of the JSON, and [`MAGIC`].
const TAIL: usize = 8 + 8 + MAGIC.len();

/// More JSON than a state has.
const MAX_JSON: u64 = 64 << 10;

/// Of llama.cpp's sources, whose form of a state may change with each.
const LLAMA_CPP: &str = "llama-cpp-sys-2 0.1.161";

/// All that decides whether a state means the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateIdentity {
    /// This program and llama.cpp.
    version: String,
    /// Digest of the model's file.
    model: String,
    /// Digest of the chat template.
    template: String,
    /// Tokens of the context.
    context: usize,
    /// The options that change what is computed.
    settings: String,
}

impl StateIdentity {
    /// A state of these digests of model and template, made with `settings` in a context of so many
    /// tokens.
    pub fn new(model: &str, template: &str, context: usize, settings: &str) -> Self {
        Self {
            version: format!(
                "{} {}, {LLAMA_CPP}",
                env!("CARGO_PKG_NAME"),
                env!("CARGO_PKG_VERSION")
            ),
            model: model.to_owned(),
            template: template.to_owned(),
            context,
            settings: settings.to_owned(),
        }
    }

    /// What of `self` is not so in `other`.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        let differs = [
            (self.version != other.version, "version"),
            (self.model != other.model, "model"),
            (self.template != other.template, "chat template"),
            (self.context != other.context, "context size"),
            (self.settings != other.settings, "setting"),
        ];
        differs
            .into_iter()
            .find(|(differs, _)| *differs)
            .map(|(_, what)| what)
    }
}

/// A state that was saved or loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Tokens whose keys and values it has.
    pub tokens: usize,
    /// How many of the conversation's oldest turns are not in it.
    pub forgotten: usize,
    /// Bytes of its file.
    pub bytes: u64,
}

/// Why a state was not saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file cannot be read or written.
    #[error("cannot use the state `{}`", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },

    /// It is not as it was written.
    #[error("the state `{}` is damaged: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: &'static str,
    },

    /// It means nothing here.
    #[error("the state `{}` is of another {what}", .path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What it was made with that is not so now.
        what: &'static str,
    },

    /// llama.cpp does not write or take it.
    #[error("llama.cpp does not take the state `{}`: {reason}", .path.display())]
    LlamaCpp {
        /// The file.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
}

impl StateError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }

    /// Whether there is no state.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// What stands behind llama.cpp's bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    identity: StateIdentity,
    tokens: usize,
    forgotten: usize,
    bytes: u64,
    digest: String,
}

impl Session<'_> {
    /// Bytes that [`Session::save_state`] would write, about.
    pub fn state_size(&self) -> u64 {
        self.engine.state_size()
    }

    /// Writes what the context holds to `path`, which appears whole or not at all. `forgotten` of the
    /// conversation's oldest turns are not in it.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save_state(
        &self,
        path: &Path,
        identity: &StateIdentity,
        forgotten: usize,
    ) -> Result<State, StateError> {
        let part = places::beside(path, "part");
        let saved = self.write_state(&part, identity, forgotten);
        let renamed = saved.and_then(|state| {
            fs::rename(&part, path).map_err(StateError::io(path))?;
            Ok(state)
        });
        if renamed.is_err() {
            // What is left of it is of no use to anybody.
            let _ = fs::remove_file(&part);
        }
        renamed
    }

    fn write_state(
        &self,
        path: &Path,
        identity: &StateIdentity,
        forgotten: usize,
    ) -> Result<State, StateError> {
        // llama.cpp opens it by its name, and leaves the mode as it is.
        places::create_private(path).map_err(StateError::io(path))?;
        let written = self.engine.save(path);
        let written = written.map_err(|error| StateError::LlamaCpp {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let mut file = File::options().read(true).append(true).open(path);
        let file = file
            .as_mut()
            .map_err(|error| io::Error::new(error.kind(), error.to_string()));
        let file = file.map_err(StateError::io(path))?;
        let (bytes, digest) = digest(file, u64::MAX).map_err(StateError::io(path))?;
        if bytes != written {
            let reason = "it is shorter than what was written; is the disk full?";
            return Err(StateError::LlamaCpp {
                path: path.to_owned(),
                reason: reason.to_owned(),
            });
        }
        let label = Label {
            identity: identity.clone(),
            tokens: self.held(),
            forgotten,
            bytes,
            digest,
        };
        let mut json =
            serde_json::to_vec(&label).map_err(|error| StateError::io(path)(error.into()))?;
        let (length, check) = (json.len() as u64, xxh3_64(&json));
        json.extend(length.to_le_bytes());
        json.extend(check.to_le_bytes());
        json.extend(MAGIC);
        file.write_all(&json).map_err(StateError::io(path))?;
        Ok(State {
            tokens: label.tokens,
            forgotten,
            bytes: bytes + json.len() as u64,
        })
    }

    /// Takes up the state at `path`, in place of what the context holds.
    ///
    /// # Errors
    /// Where the file is damaged or of something else than `identity`. Nothing is held then.
    pub fn load_state(
        &mut self,
        path: &Path,
        identity: &StateIdentity,
    ) -> Result<State, StateError> {
        let mut file = File::open(path).map_err(StateError::io(path))?;
        let damaged = |reason| StateError::Damaged {
            path: path.to_owned(),
            reason,
        };
        let label = read_label(&mut file).map_err(StateError::io(path))?;
        let label = label.map_err(damaged)?;
        if let Some(what) = identity.difference(&label.identity) {
            return Err(StateError::Other {
                path: path.to_owned(),
                what,
            });
        }
        file.rewind().map_err(StateError::io(path))?;
        let found = digest(&mut file, label.bytes).map_err(StateError::io(path))?;
        if found != (label.bytes, label.digest) {
            return Err(damaged("its bytes do not have their digest"));
        }
        let bytes = file.metadata().map_err(StateError::io(path))?.len();
        if !self.engine.load(path, label.tokens) {
            return Err(StateError::LlamaCpp {
                path: path.to_owned(),
                reason: "it has another shape".to_owned(),
            });
        }
        Ok(State {
            tokens: label.tokens,
            forgotten: label.forgotten,
            bytes,
        })
    }
}

/// The label of a state file, where it is whole; else what is wrong.
fn read_label(file: &mut File) -> io::Result<Result<Label, &'static str>> {
    let length = file.metadata()?.len();
    let Some(end) = length.checked_sub(TAIL as u64) else {
        return Ok(Err("it is cut"));
    };
    file.seek(SeekFrom::Start(end))?;
    let mut tail = [0; TAIL];
    file.read_exact(&mut tail)?;
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| tail[at + i]));
    let (json_length, check) = (number(0), number(8));
    if &tail[16..] != MAGIC {
        return Ok(Err("it is cut"));
    }
    let Some(begin) = end
        .checked_sub(json_length)
        .filter(|_| json_length <= MAX_JSON)
    else {
        return Ok(Err("the length of its label is impossible"));
    };
    file.seek(SeekFrom::Start(begin))?;
    let mut json = vec![0; json_length as usize];
    file.read_exact(&mut json)?;
    if xxh3_64(&json) != check {
        return Ok(Err("its label does not have its digest"));
    }
    Ok(match serde_json::from_slice::<Label>(&json) {
        Ok(label) if label.bytes == begin => Ok(label),
        Ok(_) => Err("it is cut"),
        Err(_) => Err("its label cannot be read"),
    })
}

/// Length and XXH3 (128 bits) of at most so many bytes from where `file` is.
fn digest(file: &mut File, most: u64) -> io::Result<(u64, String)> {
    let mut buffer = vec![0; 1 << 20];
    let mut hash = Xxh3::new();
    let mut length = 0;
    let mut rest = file.take(most);
    loop {
        let read = match rest.read(&mut buffer) {
            Ok(0) => return Ok((length, format!("{:032x}", hash.digest128()))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        hash.update(&buffer[..read]);
        length += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_sources() {
        let (name, version) = LLAMA_CPP.split_once(' ').unwrap();
        let pinned = format!("{name} = \"={version}\"");
        assert!(
            include_str!("../../../Cargo.toml").contains(&pinned),
            "{pinned}"
        );
    }

    #[test]
    fn what_differs_is_named() {
        let identity = StateIdentity::new("m", "t", 8, "s");
        assert_eq!(identity.difference(&identity), None);
        let other = StateIdentity::new("m", "t", 9, "s");
        assert_eq!(identity.difference(&other), Some("context size"));
        let other = StateIdentity::new("n", "t", 9, "s");
        assert_eq!(identity.difference(&other), Some("model"));
    }
}

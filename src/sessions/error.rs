//! What can go wrong with kept chats.

use std::io;
use std::path::{Path, PathBuf};

/// Why a chat is not kept, listed or taken up.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The platform names no home.
    #[error(
        "there is no folder to keep chats in: set `HOME` or `XDG_STATE_HOME`, or chat with `--no-session`"
    )]
    NoFolder,

    /// A file or folder cannot be used.
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        /// What was tried: read, write or remove.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },

    /// A name that not every system can give a file.
    #[error("a chat cannot be called `{name}`: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// There is no such chat.
    #[error("there is no chat `{name}`{}", meant(.near.as_deref()))]
    Unknown {
        /// The name.
        name: String,
        /// The name that was probably meant.
        near: Option<String>,
    },

    /// No chat with this model was kept.
    #[error("there is no chat with `{model}` to continue; `swallow-gguf sessions` lists the chats")]
    NoneOf {
        /// The model's name.
        model: String,
    },

    /// A name that another chat has.
    #[error(
        "there is a chat `{name}` already; choose another name, or take it up with `/load {name}`"
    )]
    Taken {
        /// The name.
        name: String,
    },

    /// Another program has it.
    #[error("the chat `{name}` is open in another window; end it there first")]
    InUse {
        /// The name.
        name: String,
    },

    /// A newer version of this program wrote it.
    #[error("`{}` is a chat of version {version}, expected at most {}: a newer swallow-gguf wrote it", .path.display(), super::VERSION)]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },

    /// More than a chat can be.
    #[error("`{}` has {found} bytes, expected a chat of at most {most}", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The largest that is read.
        most: u64,
    },
}

impl SessionError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

fn meant(near: Option<&str>) -> String {
    match near {
        Some(near) => format!("; did you mean `{near}`?"),
        None => "; `swallow-gguf sessions` lists the chats".to_owned(),
    }
}

//! What can go wrong between us and the hub.

use std::{io, path::PathBuf};

use indicatif::DecimalBytes;

use super::like;

/// What stopped the work with the hub, with what was asked for and what to do.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// What names a repository or file does not.
    #[error("`{given}`: {expected}")]
    Name {
        /// What was given.
        given: String,
        /// What was expected in its place.
        expected: String,
    },
    /// A setting in the environment makes no sense.
    #[error("{what} {reason}")]
    Config {
        /// The variable or file.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The network is needed and not to be used.
    #[error("{missing}, and {variable} is set: unset it to fetch from the hub")]
    Offline {
        /// The variable that says so.
        variable: &'static str,
        /// What the cache does not have.
        missing: String,
    },
    /// The hub says no, and would say so again.
    #[error("the hub refuses {what}: {reason} (HTTP {status}): {advice}")]
    Refused {
        /// The file or repository.
        what: String,
        /// The answer's status.
        status: u16,
        /// The hub's own words, or what the status stands for.
        reason: String,
        /// What to do, with the page to visit.
        advice: String,
    },
    /// The repository has no such file.
    #[error("{repo} has no file `{path}`: {advice}")]
    NoSuchFile {
        /// The repository.
        repo: String,
        /// The file asked for.
        path: String,
        /// What there is.
        advice: String,
    },
    /// A repository holds something else than a checkpoint.
    #[error("{repo} is not a checkpoint: {reason}")]
    NotACheckpoint {
        /// The repository.
        repo: String,
        /// What it holds, and what to do with it.
        reason: String,
    },
    /// What the hub has under the name of a file is a pointer to it.
    #[error(
        "{what} is a {system} pointer on the hub itself, not the file: its author has not uploaded it, so take another revision or repository"
    )]
    Pointer {
        /// The file.
        what: String,
        /// The system for large files that it is a pointer of.
        system: &'static str,
    },
    /// Every attempt failed that the policy allows.
    #[error(
        "cannot fetch {what}: {last}; gave up after {} in {seconds:.0} s without progress{}: run the same command again when the connection is better",
        like::counted((*attempts).into(), "attempt"),
        .missing.as_ref().map_or_else(String::new, |missing| format!(", and {missing}"))
    )]
    GaveUp {
        /// The file or repository.
        what: String,
        /// How the last attempt failed.
        last: String,
        /// How many failed in a row.
        attempts: u32,
        /// Seconds since the first of them.
        seconds: f64,
        /// What the cache does not have, where it has the rest and would have been taken.
        missing: Option<String>,
    },
    /// A file is no longer the one that was begun with.
    #[error(
        "{what} changed while it was read: expected {property} {expected}, found {found}: start again"
    )]
    Changed {
        /// The file.
        what: String,
        /// What changed.
        property: &'static str,
        /// As it was.
        expected: String,
        /// As it is.
        found: String,
    },
    /// An answer is not what the hub's protocol says.
    #[error("the answer for {what} is not a hub's: {reason}: does HF_ENDPOINT name a hub?")]
    Malformed {
        /// The file or repository.
        what: String,
        /// What was expected and found.
        reason: String,
    },
    /// A file that is read whole is too large for that.
    #[error(
        "{what} has {size} bytes, expected at most {limit}: look at it on the hub, it is not what its name says"
    )]
    TooLarge {
        /// The file.
        what: String,
        /// Its size.
        size: u64,
        /// The most that is read.
        limit: u64,
    },
    /// Bytes are not those that the hub has the digest of.
    #[error("{what} arrived damaged: expected {kind} {expected}, found {found}: fetch it again")]
    Damaged {
        /// The file.
        what: String,
        /// The digest's kind.
        kind: &'static str,
        /// The hub's digest.
        expected: String,
        /// Ours of the bytes.
        found: String,
    },
    /// A file of the cache cannot be read or written.
    #[error("cannot use `{path}`: {error}: HF_HUB_CACHE can name another folder for the cache")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The cache's disk is too full.
    #[error(
        "not enough room in `{dir}`: {} are to be fetched, {} are free; HF_HUB_CACHE can name a folder on another disk",
        DecimalBytes(*needed),
        DecimalBytes(*available)
    )]
    NoSpace {
        /// The cache's folder.
        dir: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        available: u64,
    },
    /// The user interrupted.
    #[error("interrupted")]
    Interrupted,
}

impl HubError {
    pub(crate) fn name(given: &str, expected: impl Into<String>) -> Self {
        Self::Name {
            given: given.into(),
            expected: expected.into(),
        }
    }

    /// Of `text`, which names nothing: what was meant, where that is known.
    pub(super) fn or_meant(self, text: &str, meant: Option<String>) -> Self {
        meant.map_or(self, |meant| Self::name(text, meant))
    }

    pub(super) fn malformed(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Malformed {
            what: what.into(),
            reason: reason.into(),
        }
    }

    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |error| Self::Io { path, error }
    }
}

//! What a user writes to name a repository or a file of the hub.
//!
//! | form | means |
//! | --- | --- |
//! | `hf:ORG/NAME` | the repository, at its branch `main` |
//! | `hf:ORG/NAME@REVISION` | at a branch, tag or commit |
//! | `https://huggingface.co/ORG/NAME[/tree/REVISION]` | the same, as it stands in a browser |
//! | `hf:ORG/NAME[@REVISION]:FILE` | one file of it |
//!
//! A few old repositories have no `ORG/`. Names, revisions and paths become parts of URLs and of
//! paths in the cache, so they are checked here, once: by the hub's rules for names, git's for
//! revisions, and for paths so that none leaves the folder it is put in.

mod meant;
#[cfg(test)]
mod tests;

use std::fmt;

use super::{config::DEFAULT_ENDPOINT, error::HubError};

pub use meant::{Meant, Part};

/// The branch that is meant where none is named.
pub const DEFAULT_REVISION: &str = "main";

/// The longest `ORG/NAME` of the hub, in bytes.
const MAX_ID: usize = 96;

/// A model repository's name: `ORG/NAME`, or `NAME` for a few old ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepoId(String);

/// A repository at a revision: a branch, a tag or a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    /// Its name.
    pub id: RepoId,
    /// The revision asked for; [`DEFAULT_REVISION`] where none was.
    pub revision: String,
}

/// One file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoFile {
    /// Where it is.
    pub repo: Repo,
    /// Its path in the repository, with `/` between folders.
    pub path: String,
}

impl RepoId {
    /// Checks a name by the hub's rules: one slash at most, letters, digits, `-`, `_` and `.`, none
    /// of `-` and `.` at an end, no `--`, no `..`, no `.git` at the end, 96 bytes in all.
    ///
    /// # Errors
    /// [`HubError::Name`] with the rule that is broken.
    pub fn new(id: &str) -> Result<Self, HubError> {
        let broken = |rule: &str| HubError::name(id, rule);
        if id.len() > MAX_ID {
            return Err(broken("a repository's name has at most 96 bytes"));
        }
        let parts: Vec<&str> = id.split('/').collect();
        if parts.len() > 2 || parts.iter().any(|part| part.is_empty()) {
            return Err(broken("expected `ORG/NAME`"));
        }
        for part in parts {
            let other = |c: &char| !c.is_ascii_alphanumeric() && !"-_.".contains(*c);
            if let Some(found) = part.chars().find(other) {
                return Err(broken(&format!(
                    "a name has the letters A to Z, digits, `-`, `_` and `.`, found `{}`",
                    found.escape_debug()
                )));
            }
            if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) {
                return Err(broken("a name neither begins nor ends with `-` or `.`"));
            }
        }
        if id.contains("--") || id.contains("..") {
            return Err(broken("a name has no `--` and no `..`"));
        }
        if id.ends_with(".git") {
            return Err(broken("a name does not end with `.git`"));
        }
        Ok(Self(id.into()))
    }

    /// The name as it is written, `ORG/NAME`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The repository's folder in the cache: `models--ORG--NAME`.
    pub fn folder(&self) -> String {
        format!("models--{}", self.0.replace('/', "--"))
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Repo {
    /// A repository at a revision.
    ///
    /// # Errors
    /// [`HubError::Name`] where the revision cannot be one of git's.
    pub fn new(id: RepoId, revision: Option<&str>) -> Result<Self, HubError> {
        let revision = revision.unwrap_or(DEFAULT_REVISION);
        check_revision(revision)?;
        Ok(Self {
            id,
            revision: revision.into(),
        })
    }

    /// Whether `text` names something of the hub rather than a local path, if perhaps not as
    /// [`Repo::parse`] takes it.
    pub fn is_remote(text: &str) -> bool {
        text.starts_with("https://")
            || text.starts_with("http://")
            || meant::address(text, DEFAULT_ENDPOINT).is_some()
    }

    /// Parses `hf:ORG/NAME[@REVISION]`, or the address of the repository's page. `endpoint` is the
    /// hub in use, whose pages are taken as well as huggingface.co's.
    ///
    /// # Errors
    /// [`HubError::Name`] with what was expected.
    pub fn parse(text: &str, endpoint: &str) -> Result<Self, HubError> {
        Self::parse_as_ours(text, endpoint).map_err(|error| {
            let meant = Meant::of(text, endpoint);
            error.or_meant(text, meant.map(|meant| meant.as_checkpoint()))
        })
    }

    fn parse_as_ours(text: &str, endpoint: &str) -> Result<Self, HubError> {
        if let Some(rest) = text.strip_prefix("hf:") {
            if let Some((_, file)) = rest.split_once(':') {
                return Err(HubError::name(
                    text,
                    format!("expected a repository, found the file `{file}` of one"),
                ));
            }
            return id_and_revision(text, rest);
        }
        let hosts = [endpoint, DEFAULT_ENDPOINT, "https://hf.co"];
        let path = hosts
            .iter()
            .filter_map(|host| text.strip_prefix(host)?.strip_prefix('/'))
            .next()
            .ok_or_else(|| {
                HubError::name(
                    text,
                    "expected `hf:ORG/NAME[@REVISION]` or `https://huggingface.co/ORG/NAME`",
                )
            })?;
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let path = path.trim_end_matches('/');
        let (id, revision) = match path.split_once("/tree/") {
            Some((id, revision)) => (id, Some(revision)),
            None => (path, None),
        };
        if ["datasets/", "spaces/", "blob/"]
            .iter()
            .any(|kind| id.starts_with(kind))
        {
            return Err(HubError::name(text, "expected the page of a model"));
        }
        Self::new(RepoId::new(id)?, revision)
    }

    /// Whether no other revision than [`DEFAULT_REVISION`] was asked for.
    pub(super) fn is_default(&self) -> bool {
        self.revision == DEFAULT_REVISION
    }

    /// Whether the revision is a commit, which never changes.
    pub fn is_pinned(&self) -> bool {
        is_commit(&self.revision)
    }
}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}", self.id)?;
        if !self.is_default() {
            write!(f, "@{}", self.revision)?;
        }
        Ok(())
    }
}

impl RepoFile {
    /// Parses `hf:ORG/NAME[@REVISION]:FILE`.
    ///
    /// # Errors
    /// [`HubError::Name`] with what was expected.
    pub fn parse(text: &str) -> Result<Self, HubError> {
        Self::parse_as_ours(text).map_err(|error| {
            let meant = Meant::of(text, DEFAULT_ENDPOINT);
            error.or_meant(text, meant.map(|meant| meant.as_gguf()))
        })
    }

    /// Whether it names no file but what one is called after, for example a file type: `Q4_K_M`.
    pub fn is_tag(&self) -> bool {
        !self.path.contains('/') && !self.path.to_ascii_lowercase().ends_with(".gguf")
    }

    fn parse_as_ours(text: &str) -> Result<Self, HubError> {
        let expected = "expected `hf:ORG/NAME[@REVISION]:FILE`";
        let rest = text
            .strip_prefix("hf:")
            .ok_or_else(|| HubError::name(text, expected))?;
        let (repo, path) = rest
            .split_once(':')
            .ok_or_else(|| HubError::name(text, format!("{expected}, found no `:FILE`")))?;
        check_path(path)?;
        Ok(Self {
            repo: id_and_revision(text, repo)?,
            path: path.into(),
        })
    }
}

fn id_and_revision(text: &str, rest: &str) -> Result<Repo, HubError> {
    if rest.is_empty() || rest.starts_with("//") {
        return Err(HubError::name(text, "expected `hf:ORG/NAME[@REVISION]`"));
    }
    let (id, revision) = match rest.split_once('@') {
        Some((id, revision)) => (id, Some(revision)),
        None => (rest, None),
    };
    Repo::new(RepoId::new(id)?, revision)
}

/// Whether `revision` is a whole commit id: 40 hexadecimal digits.
pub fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Git's rules for the name of a branch or tag, without those that the slashes of a path make void.
fn check_revision(revision: &str) -> Result<(), HubError> {
    let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let fits = (1..=255).contains(&revision.len())
        && !revision.contains(forbidden)
        && !revision.contains("..")
        && !revision.contains("@{")
        && !revision.starts_with('-')
        && revision
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
        && !revision.ends_with('.');
    if fits {
        return Ok(());
    }
    Err(HubError::name(
        revision,
        "expected a branch, tag or commit as a revision",
    ))
}

/// Fails where `path` is not one of a file below a folder: it becomes part of paths of ours.
pub(super) fn check_path(path: &str) -> Result<(), HubError> {
    let fits = (1..=1024).contains(&path.len())
        && !path.contains(|c: char| c.is_control() || "\\:".contains(c))
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..");
    if fits {
        return Ok(());
    }
    Err(HubError::name(
        path,
        "expected the path of a file in a repository",
    ))
}

/// Percent-encodes one segment of a URL's path, slashes included.
pub(super) fn encode_segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, SEGMENT).to_string()
}

/// Percent-encodes a path, whose slashes stay.
pub(super) fn encode_path(path: &str) -> String {
    let segments: Vec<String> = path.split('/').map(encode_segment).collect();
    segments.join("/")
}

/// All but what RFC 3986 calls unreserved.
const SEGMENT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
